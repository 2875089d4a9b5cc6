//! BPF programs, the links that attach them, and pinned objects.

use serde::{Deserialize, Serialize};

/// The BPF programs of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bpf {
    /// All loaded programs.
    pub programs: Vec<Program>,
    /// All links of programs.
    pub links: Vec<BpfLink>,
    /// Objects that are pinned in a BPF file system.
    pub pins: Vec<Pin>,
}

/// A loaded BPF program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Program {
    /// Its id.
    pub id: u32,
    /// Its type in the kernel's numbers: 3 sched_cls, 6 xdp, 8 cgroup_skb (linux/bpf.h).
    pub kind: u32,
    /// Its name.
    pub name: String,
    /// The processes that hold it.
    pub pids: Vec<u32>,
}

/// The link of a program to its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BpfLink {
    /// Its id.
    pub id: u32,
    /// The id of the program.
    pub program: u32,
    /// Its kind, `tcx`, `xdp`, `cgroup`, `netns`; `None` if no descriptor of it could be read.
    pub kind: Option<String>,
    /// The index of the network link.
    pub link: Option<u32>,
    /// The inode of the cgroup.
    pub cgroup: Option<u64>,
    /// The inode of the network namespace.
    pub namespace: Option<u64>,
    /// The processes that hold it.
    pub pids: Vec<u32>,
}

/// An object in a BPF file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pin {
    /// The device of the file system.
    pub device: String,
    /// Its path in the file system.
    pub path: String,
    /// The id of the link, if it is one.
    pub link: Option<u32>,
    /// The id of the program, if it is one.
    pub program: Option<u32>,
}
