//! Compares mounts: what two sides have mounted is shared where one's root is the other's, or is within it.

use std::collections::BTreeSet;

use crate::audit::verdict::Judgement;

/// File systems of which the kernel has one for everybody. That they are shared is said in every report: they are the
/// kernel.
const KERNEL: [&str; 8] =
    ["binfmt_misc", "configfs", "debugfs", "efivarfs", "fusectl", "pstore", "securityfs", "tracefs"];

/// A line of [`Sight::Mounts`](probe::Sight::Mounts): `8:1 2 rw / /mnt ext4 /dev/sda1`.
struct Mount<'a> {
    line: &'a str,
    device: &'a str,
    /// Of its root; nothing where it could not be read.
    inode: Option<&'a str>,
    writable: bool,
    root: &'a str,
    kind: &'a str,
}

/// How two mounts stand to each other.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    Apart,
    Shared,
    /// Roots of cgroups are told by their namespace (cgroup_namespaces(7)): without the inode nobody knows.
    Unknown,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, inode, mode, root, _, kind, _] = words[..] else { return None };
        let inode = Some(inode).filter(|inode| *inode != "-");
        device.contains(':').then_some(Self { line, device, inode, writable: mode == "rw", root, kind })
    }

    fn is_to(&self, other: &Mount<'_>) -> Relation {
        if self.device != other.device {
            return Relation::Apart;
        }
        let both = self.inode.zip(other.inode);
        if both.is_some_and(|(one, other)| one == other) {
            return Relation::Shared;
        }
        match (self.kind.starts_with("cgroup"), both) {
            (true, None) => Relation::Unknown,
            (true, Some(_)) => Relation::Apart,
            (false, _) if within(self.root, other.root) || within(other.root, self.root) => Relation::Shared,
            (false, _) => Relation::Apart,
        }
    }
}

/// Whether a path is another, or below it.
fn within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Folders and files that both have mounted. What neither can write by its mount is no way from one to the other; it is
/// said, like what is the kernel's.
pub(super) fn judge(here: &[String], there: &[String]) -> Judgement {
    let read = |lines: &'_ [String]| lines.iter().filter_map(|line| Mount::read(line)).count() == lines.len();
    if !read(here) || !read(there) {
        return Judgement::inconclusive("a line of what was seen is no mount");
    }
    let (mut common, mut unknown) = (BTreeSet::new(), None);
    for own in here.iter().filter_map(|line| Mount::read(line)) {
        for other in there.iter().filter_map(|line| Mount::read(line)) {
            let closed = KERNEL.contains(&own.kind) || !(own.writable || other.writable);
            match own.is_to(&other) {
                Relation::Apart => {}
                Relation::Shared if closed => drop(common.insert(format!("{} ({})", own.root, own.kind))),
                Relation::Shared => {
                    return Judgement::leak(format!("{} shows files of {}", own.line, other.line));
                }
                Relation::Unknown => unknown = Some(own.line),
            }
        }
    }
    if let Some(line) = unknown {
        return Judgement::inconclusive(format!("nobody knows which group this is: {line}"));
    }
    let common: Vec<String> = common.into_iter().collect();
    let common = match common.as_slice() {
        [] => "nothing shared".to_owned(),
        some => format!("shared is what is the kernel's or read-only for both: {}", some.join(", ")),
    };
    Judgement::isolated(format!("{} mounts on one side, {} on the other, {common}", here.len(), there.len()))
}
