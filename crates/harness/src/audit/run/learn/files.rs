//! Reads files of a node, all with one command, because each command on a VM costs an SSH connection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::TestNode;

use super::quick;

/// Prints a line of base64 for each file. Ends with an error at the first file that cannot be read.
const ALL: &str = "for file; do base64 --wrap=0 -- \"$file\" || exit; echo; done";

/// The contents of the files, in the order of `paths`. `None` when one cannot be read or is not UTF-8.
pub(super) async fn read(node: &TestNode, paths: &[String]) -> Option<Vec<String>> {
    let words = ["-c", ALL, "sh"].map(str::to_owned);
    let all = node.run(&quick("sh").args(words).args(paths.to_vec())).await.ok()?;
    let read = |line: &str| String::from_utf8(STANDARD.decode(line).ok()?).ok();
    let read: Vec<String> = all.text().lines().map(read).collect::<Option<_>>()?;
    (read.len() == paths.len()).then_some(read)
}
