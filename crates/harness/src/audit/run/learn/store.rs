//! The writable files in the image stores of nodes. A file that two instances can write is a leak (C9).

use std::time::Duration;

use provisioner::exec::Command;

use crate::cluster::TestNode;

/// The most files of one node. The list of a larger store stays unknown.
const FILES: usize = 200_000;

/// Lists the files that root can write, with device and inode. `-writable` asks the kernel, so that files on a
/// read-only mount are not listed. Symbolic links to files count as their targets. In the upper three levels, which are
/// the store's own structure, a link to a folder counts with everything below its target. Further down are the file
/// systems of images, whose links have no meaning on the node.
///
/// Exit codes 1 of `find` and 123 of `xargs` mean that a file could not be read; standard error names it.
const LIST: &str = r"export LC_ALL=C; cd /var/lib/containerd/ &&
{ find . -type f -writable -printf '%D:%i %p\n' || [ $? -eq 1 ]; } &&
{ find . -type l -xtype f -writable -print0 | xargs -0 -r stat -L -c '%d:%i %n' -- || [ $? -eq 123 ]; } &&
{ find . -maxdepth 3 -type l -xtype d -exec find '{}/' -type f -writable -printf '%D:%i %p\n' ';' || [ $? -eq 1 ]; }";

/// A line `<device>:<inode> <node>:<path>` for each writable file of all nodes. `None` when one cannot be read.
pub(super) async fn of(nodes: &[TestNode]) -> Option<Vec<String>> {
    let all = futures::future::join_all(nodes.iter().map(listed)).await;
    Some(all.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

async fn listed(node: &TestNode) -> Option<Vec<String>> {
    let list = Command::within(Duration::from_secs(30), "sh").args(["-c", LIST]);
    let output = node.run(&list).await.ok()?;
    if !only_vanished(&String::from_utf8_lossy(&output.stderr)) {
        return None;
    }
    let text = output.text();
    let lines = text.lines().take(FILES + 1).map(|line| match line.split_once(" ./") {
        Some((key, path)) => format!("{key} {}:/var/lib/containerd/{path}", node.real_name()),
        None => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    (lines.len() <= FILES).then_some(lines)
}

/// Whether all messages on standard error are about files that vanished during the search. containerd creates and
/// removes files all the time, and a removed file cannot be written by another instance. Pure.
fn only_vanished(complaints: &str) -> bool {
    complaints.lines().all(|line| line.ends_with(": No such file or directory"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use provisioner::exec::{Local, Runner};

    use super::*;

    #[test]
    fn vanished_files_are_ignored_and_unreadable_ones_are_an_error() {
        let vanished = "find: './snapshots/7': No such file or directory\n\
                        stat: cannot statx './blobs/one': No such file or directory\n";
        assert!(only_vanished("") && only_vanished(vanished));
        assert!(!only_vanished(&format!("{vanished}find: './snapshots/8': Permission denied\n")));
    }

    #[tokio::test]
    async fn a_linked_file_is_listed_with_the_inode_of_its_target_and_links_in_snapshots_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["store/blobs", "store/snapshots/1/fs/usr", "elsewhere"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        for path in ["store/blobs/one", "elsewhere/two", "three", "store/snapshots/1/fs/usr/four"] {
            std::fs::write(at(path), "").unwrap();
        }
        symlink("../elsewhere", at("store/other")).unwrap();
        symlink("../../three", at("store/blobs/three")).unwrap();
        symlink("/", at("store/snapshots/1/fs/root")).unwrap();
        symlink("nowhere", at("store/blobs/gone")).unwrap();
        let list = LIST.replace("/var/lib/containerd/", at("store").to_str().unwrap());
        let list = Command::within(Duration::from_secs(10), "sh").args(["-c", &list]);
        let text = Local.run(&list).await.unwrap().text();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| line.split_once(' ').map(|(_, path)| path));
        let key = |path: &str| {
            let meta = std::fs::metadata(at(path)).unwrap();
            format!("{}:{}", meta.dev(), meta.ino())
        };
        let expected = [
            format!("{} ./blobs/one", key("store/blobs/one")),
            format!("{} ./blobs/three", key("three")),
            format!("{} ./other/two", key("elsewhere/two")),
            format!("{} ./snapshots/1/fs/usr/four", key("store/snapshots/1/fs/usr/four")),
        ];
        assert_eq!(lines, expected);
    }
}
