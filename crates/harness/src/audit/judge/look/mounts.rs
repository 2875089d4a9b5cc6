//! Compares mounts: what two sides have mounted is shared where one's root is the other's, or is within it.

use crate::audit::verdict::Judgement;

/// File systems of which the kernel has one for everybody. That they are shared is said in every report: they are the
/// kernel.
const KERNEL: [&str; 9] =
    ["binfmt_misc", "bpf", "configfs", "debugfs", "efivarfs", "fusectl", "pstore", "securityfs", "tracefs"];

/// A line of [`Sight::Mounts`](probe::Sight::Mounts): `8:1 2 / /mnt ext4 /dev/sda1`.
struct Mount<'a> {
    line: &'a str,
    device: &'a str,
    /// Of its root; nothing where it could not be read.
    inode: Option<&'a str>,
    root: &'a str,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, inode, root, .., kind, _] = words[..] else { return None };
        let inode = Some(inode).filter(|inode| *inode != "-");
        (device.contains(':') && !KERNEL.contains(&kind)).then_some(Self { line, device, inode, root, kind })
    }

    /// Whether one shows files of the other. Roots of cgroups are told by their namespace (cgroup_namespaces(7)), so
    /// that only the inode tells them apart.
    fn shares_with(&self, other: &Mount<'_>) -> bool {
        let same = self.inode.is_some() && self.inode == other.inode;
        let nested = within(self.root, other.root) || within(other.root, self.root);
        self.device == other.device && (same || (nested && !self.kind.starts_with("cgroup")))
    }
}

/// Whether a path is another, or below it.
fn within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Both sides, as far as they can be understood; a side of which nothing can is none.
fn both<'a>(here: &'a [String], there: &'a [String]) -> Result<(Vec<Mount<'a>>, Vec<Mount<'a>>), Judgement> {
    let read = |lines: &'a [String]| lines.iter().filter_map(|line| Mount::read(line)).collect::<Vec<_>>();
    let (ours, theirs) = (read(here), read(there));
    if ours.is_empty() || theirs.is_empty() {
        return Err(Judgement::inconclusive("nothing that could be compared was seen"));
    }
    Ok((ours, theirs))
}

/// Folders and files that both have mounted.
pub(super) fn folders(here: &[String], there: &[String]) -> Judgement {
    let (ours, theirs) = match both(here, there) {
        Ok(sides) => sides,
        Err(judgement) => return judgement,
    };
    for own in &ours {
        if let Some(other) = theirs.iter().find(|other| own.shares_with(other)) {
            return Judgement::leak(format!("{} shows files of {}", own.line, other.line));
        }
    }
    Judgement::isolated(format!(
        "{} mounts on one side, {} on the other, nothing shared",
        ours.len(),
        theirs.len()
    ))
}

/// Sockets that are mounted: the other's, and those of what obeys everybody who holds them. A node of ours has none, so
/// that any other is a question. Abstract sockets belong to a network namespace (unix(7)), which is L's.
pub(super) fn sockets(here: &[String], there: &[String]) -> Judgement {
    const MASTERS: [&str; 4] = ["docker.sock", "podman.sock", "libvirt-sock", "dbus/system_bus_socket"];
    let (ours, theirs) = match both(here, there) {
        Ok(sides) => sides,
        Err(judgement) => return judgement,
    };
    let sockets: Vec<&Mount<'_>> = ours.iter().filter(|own| own.line.contains("sock")).collect();
    for own in &sockets {
        if MASTERS.iter().any(|name| own.line.contains(name)) {
            return Judgement::leak(format!("who holds this socket commands the workstation: {}", own.line));
        }
        if let Some(other) = theirs.iter().find(|other| own.shares_with(other)) {
            return Judgement::leak(format!("{} is a socket of {}", own.line, other.line));
        }
    }
    if let Some(unknown) = sockets.first() {
        return Judgement::inconclusive(format!("nobody knows whose socket this is: {}", unknown.line));
    }
    Judgement::isolated(format!("{} mounts, no socket among them", ours.len()))
}
