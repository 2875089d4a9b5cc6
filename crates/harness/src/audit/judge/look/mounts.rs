//! Compares mounts: two mounts of one device share files when their roots have one inode, or one root is at or below
//! the other.

use std::collections::BTreeSet;

use crate::audit::verdict::Judgement;

/// File systems of which the kernel has only one. They are shared as the kernel is, which every report states.
const KERNEL: [&str; 8] =
    ["binfmt_misc", "configfs", "debugfs", "efivarfs", "fusectl", "pstore", "securityfs", "tracefs"];

/// File systems that lead out of a VM, to a folder of the host. Their source is a tag: a freely chosen name.
const TAGGED: [&str; 3] = ["9p", "virtiofs", "vboxsf"];
/// File systems that lead to a folder of a server. Their source is the name of the server and the path.
const SERVED: [&str; 5] = ["nfs", "nfs4", "cifs", "smb3", "ceph"];

/// A line of [`Sight::Mounts`](probe::Sight::Mounts): `8:1 2 rw / /mnt ext4 /dev/sda1`.
struct Mount<'a> {
    line: &'a str,
    device: &'a str,
    /// The inode of its root; `None` where it could not be read.
    inode: Option<&'a str>,
    writable: bool,
    root: &'a str,
    kind: &'a str,
    source: &'a str,
}

/// The destination of a mount that leads out of the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WayOut {
    /// A folder of the host, named by a tag.
    Tagged,
    /// A folder of a server.
    Served,
}

/// The relation of two mounts.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    Apart,
    Shared,
    /// Two cgroup mounts, at least one without an inode: the path of a cgroup root depends on its namespace
    /// (cgroup_namespaces(7)).
    Unknown,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, inode, mode, root, _, kind, source] = words[..] else { return None };
        let inode = Some(inode).filter(|inode| *inode != "-");
        device.contains(':').then_some(Self {
            line,
            device,
            inode,
            writable: mode == "rw",
            root,
            kind,
            source,
        })
    }

    /// How the mount leads out of the VM; `None` where it does not. The files of a FUSE program (filesystems/fuse.rst)
    /// may come from any server, which its source names as well.
    fn way_out(&self) -> Option<WayOut> {
        if TAGGED.contains(&self.kind) {
            return Some(WayOut::Tagged);
        }
        let served = SERVED.contains(&self.kind) || self.kind.starts_with("fuse.");
        served.then_some(WayOut::Served)
    }

    /// The path of its folder on the server: source and root.
    fn served(&self) -> String {
        format!("{}/{}", self.source.trim_end_matches('/'), self.root.trim_matches('/'))
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

/// Whether a path is this folder or below it.
fn within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Judges the mounts of two nodes on one kernel. A mount that is read-only on both sides is no path between them, and a
/// file system of the kernel is shared anyway: both are listed in the reason only.
pub(super) fn judge(here: &[String], there: &[String]) -> Judgement {
    if !all_read(here) || !all_read(there) {
        return Judgement::inconclusive(NO_MOUNT);
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
        return Judgement::inconclusive(format!("the cgroup of this mount is unknown: {line}"));
    }
    let common: Vec<String> = common.into_iter().collect();
    let common = match common.as_slice() {
        [] => "nothing shared".to_owned(),
        some => format!(
            "shared only what belongs to the kernel or is read-only on both sides: {}",
            some.join(", ")
        ),
    };
    Judgement::isolated(format!(
        "{} mounts at the source, {} at the target, {common}",
        here.len(),
        there.len()
    ))
}

/// The reason when a line of an inspection is not a mount.
const NO_MOUNT: &str = "the inspection returned a line that is not a mount";

fn all_read(lines: &[String]) -> bool {
    lines.iter().all(|line| Mount::read(line).is_some())
}

/// Judges the mounts of two nodes on different kernels, whose device and inode numbers are unrelated. Only mounts that
/// lead out of a VM can be shared, and their destinations are compared. Only the hypervisor knows the folder behind a
/// tag.
pub(super) fn across(here: &[String], there: &[String]) -> Judgement {
    if !all_read(here) || !all_read(there) {
        return Judgement::inconclusive(NO_MOUNT);
    }
    fn out(lines: &[String]) -> Vec<(Mount<'_>, WayOut)> {
        let mounts = lines.iter().filter_map(|line| Mount::read(line));
        mounts.filter_map(|mount| mount.way_out().map(|way| (mount, way))).collect()
    }
    let (ours, theirs) = (out(here), out(there));
    for (own, way) in &ours {
        for (other, _) in theirs.iter().filter(|(_, other)| way == other) {
            let same = match way {
                WayOut::Tagged => own.source == other.source,
                WayOut::Served => {
                    within(&own.served(), &other.served()) || within(&other.served(), &own.served())
                }
            };
            if same && (own.writable || other.writable) {
                return Judgement::leak(format!("{} and {} lead to the same place", own.line, other.line));
            }
        }
    }
    let tagged = ours.iter().find(|(mount, way)| *way == WayOut::Tagged && mount.writable);
    match tagged {
        Some((mount, _)) => {
            Judgement::inconclusive(format!("the host folder behind this mount is unknown: {}", mount.line))
        }
        None => Judgement::isolated(format!(
            "source and target run on different kernels (boot ids); of {} mounts at the source, {} lead out of the VM, \
             of {} at the target, {}; none to the same place",
            here.len(),
            ours.len(),
            there.len(),
            theirs.len()
        )),
    }
}
