//! Reads files of a node, all with one command, because each command on a VM costs an SSH connection.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use provisioner::exec::Command;

use crate::cluster::{TestCluster, TestNode};

use super::quick;

/// The contents of files by their paths.
pub(super) type Files = BTreeMap<String, String>;

/// Prints a line for each file that may have a certificate, a private key or a token of a node or a pod: its path and
/// base64 of it. A pod that ends meanwhile has none.
const WITH_KEYS: &str = r#"print='for file; do printf "%s " "$file"; base64 --wrap=0 -- "$file" || exit; echo; done'
find /etc/kubernetes /var/lib/kubelet/pki -type f -size -64k -exec sh -c "$print" sh '{}' + || exit
for folder in /var/lib/kubelet/pods/*/volumes/kubernetes.io~projected; do
find "$folder" -type f -size -64k -exec sh -c "$print" sh '{}' + 2>/dev/null; done; true"#;

/// Prints a line of base64 for each file. Ends with an error at the first file that cannot be read.
const ALL: &str = "for file; do base64 --wrap=0 -- \"$file\" || exit; echo; done";

/// The files with certificates, private keys and tokens of each node. `None` if those of a node cannot be read. Files that are not
/// text are left out.
pub(super) async fn with_keys(cluster: &TestCluster) -> Option<Vec<Files>> {
    let read = cluster.nodes().iter().map(async |node| {
        let read = Command::within(Duration::from_secs(30), "sh").args(["-c", WITH_KEYS]);
        let printed = node.run(&read).await.ok()?.text();
        let file = |line: &str| {
            let (path, encoded) = line.rsplit_once(' ')?;
            Some((path.to_owned(), String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?))
        };
        Some(printed.lines().filter_map(file).collect())
    });
    join_all(read).await.into_iter().collect()
}

/// The contents of the files, in the order of `paths`. `None` when one cannot be read or is not UTF-8.
pub(super) async fn read(node: &TestNode, paths: &[String]) -> Option<Vec<String>> {
    let words = ["-c", ALL, "sh"].map(str::to_owned);
    let all = node.run(&quick("sh").args(words).args(paths.to_vec())).await.ok()?;
    let read = |line: &str| String::from_utf8(STANDARD.decode(line).ok()?).ok();
    let read: Vec<String> = all.text().lines().map(read).collect::<Option<_>>()?;
    (read.len() == paths.len()).then_some(read)
}
