//! Processes and their namespaces.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The inode numbers of a process's namespaces. 0 where the kernel has no such namespace or the link could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Of the network.
    pub net: u64,
    /// Of the mounts.
    pub mnt: u64,
    /// Of the process itself, not of its future children.
    pub pid: u64,
    /// Of System V and POSIX message queues and shared memory.
    pub ipc: u64,
    /// Of the host name.
    pub uts: u64,
    /// Of the cgroup root.
    pub cgroup: u64,
    /// Of user ids.
    pub user: u64,
}

/// The kind of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceKind {
    /// Links, addresses, routes, sockets.
    Net,
    /// Mounts.
    Mnt,
    /// Process ids.
    Pid,
    /// Message queues and shared memory.
    Ipc,
    /// The host name.
    Uts,
    /// The cgroup root.
    Cgroup,
    /// User ids.
    User,
}

impl NamespaceKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Net, Self::Mnt, Self::Pid, Self::Ipc, Self::Uts, Self::Cgroup, Self::User];

    /// The kernel's name: `net`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Mnt => "mnt",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::User => "user",
        }
    }

    /// The kind and the inode in the kernel's text, such as `net:[4026531840]`.
    pub fn parse(text: &str) -> Option<(Self, u64)> {
        let (name, inode) = text.strip_suffix(']')?.split_once(":[")?;
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name)?;
        Some((kind, inode.parse().ok()?))
    }
}

impl Namespaces {
    /// The inode of one kind.
    pub fn of(&self, kind: NamespaceKind) -> u64 {
        match kind {
            NamespaceKind::Net => self.net,
            NamespaceKind::Mnt => self.mnt,
            NamespaceKind::Pid => self.pid,
            NamespaceKind::Ipc => self.ipc,
            NamespaceKind::Uts => self.uts,
            NamespaceKind::Cgroup => self.cgroup,
            NamespaceKind::User => self.user,
        }
    }

    /// Sets the inode of one kind.
    pub fn set(&mut self, kind: NamespaceKind, inode: u64) {
        *match kind {
            NamespaceKind::Net => &mut self.net,
            NamespaceKind::Mnt => &mut self.mnt,
            NamespaceKind::Pid => &mut self.pid,
            NamespaceKind::Ipc => &mut self.ipc,
            NamespaceKind::Uts => &mut self.uts,
            NamespaceKind::Cgroup => &mut self.cgroup,
            NamespaceKind::User => &mut self.user,
        } = inode;
    }
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Its pid in the walk's PID namespace.
    pub pid: u32,
    /// The pid of its parent.
    pub parent: u32,
    /// Its start time in clock ticks since boot (proc_pid_stat(5)).
    pub start: u64,
    /// Its name in the kernel, at most 15 characters.
    pub comm: String,
    /// The first word of its command line; empty for threads of the kernel.
    pub program: String,
    /// The name of the virtual machine that it runs (`guest=` of QEMU's `-name`).
    pub guest: Option<String>,
    /// The addresses in its command line that are in [`Request::networks`].
    pub mentions: Vec<IpAddr>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Namespaces of its threads that differ from its own.
    pub of_threads: Vec<(NamespaceKind, u64)>,
    /// Namespaces that it holds by a descriptor.
    pub held: Vec<(NamespaceKind, u64)>,
    /// Its cgroups, `controllers:path` (cgroups(7)); `:path` in the unified hierarchy.
    pub cgroups: Vec<String>,
    /// The inodes of its sockets.
    pub sockets: Vec<u64>,
    /// Pipes, FIFOs and files that it has open, and memory that it shares, by device and inode. Two processes that have one
    /// of them can exchange data. The device of a pipe is 0, of an eventfd 1 and of a BPF map 2, which no file system has.
    pub channels: Vec<(u64, u64)>,
    /// The processes for which it has a descriptor (pidfd_open(2)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pidfds: Vec<u32>,
    /// The numbers of the mounts through which it uses files: those that it has open or shares in memory, its root and its
    /// working folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<u64>,
    /// The names of the folders of [`Request::roots`] in which it works, or which are in its command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// The file systems of its open files and folders, of its root and of its working folder, by device: `major:minor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<String>,
    /// The names of its TUN and TAP links.
    pub taps: Vec<String>,
    /// Devices of the host that it has open: `/dev/vda`, `/dev/vhost-net`.
    pub open_devices: Vec<String>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its inode.
    pub inode: u64,
    /// The processes in it, also with one thread only.
    pub pids: Vec<u32>,
    /// The processes that hold it by a descriptor.
    pub holders: Vec<u32>,
    /// Its bind mounts: the inode of the mount namespace and the mount point in it.
    pub pins: Vec<(u64, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_read_from_the_kernels_text() {
        assert_eq!(NamespaceKind::parse("net:[4026531840]"), Some((NamespaceKind::Net, 4_026_531_840)));
        assert_eq!(NamespaceKind::parse("socket:[7]"), None);
        assert_eq!(NamespaceKind::parse("net:4026531840"), None);
    }
}
