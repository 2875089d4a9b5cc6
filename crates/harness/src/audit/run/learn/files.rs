//! Files of a node, all with one command: on a virtual machine each costs a connection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::TestNode;

use super::quick;

/// A line of base64 for each file; the first that cannot be read is an error.
const ALL: &str = "for file; do base64 --wrap=0 -- \"$file\" || exit; echo; done";

/// What is in them, in their order; nothing when one cannot be read.
pub(super) async fn read(node: &TestNode, paths: &[String]) -> Option<Vec<String>> {
    let words = ["-c", ALL, "sh"].map(str::to_owned);
    let all = node.run(&quick("sh").args(words).args(paths.to_vec())).await.ok()?;
    let read = |line: &str| String::from_utf8(STANDARD.decode(line).ok()?).ok();
    let read: Vec<String> = all.text().lines().map(read).collect::<Option<_>>()?;
    (read.len() == paths.len()).then_some(read)
}
