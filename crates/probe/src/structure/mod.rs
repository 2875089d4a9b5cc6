//! Wire types of `homelab-probe walk`: everything on a host that can connect two instances, as plain data.
//!
//! `walk` reads a [`Request`] from standard input and writes one [`Seen`], both as one JSON object. It judges nothing:
//! the harness compares the result with what was planned. A read that failed or was cut is a line of [`Seen::unread`],
//! so that an empty list always means that there is nothing.

mod bpf;
mod files;
mod network;
mod processes;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use bpf::{Bpf, BpfLink, Pin, Program};
pub use files::{Backed, Cgroup, DeviceNode, LinkedFile, Mount, MountTable, Place};
pub use network::{Address, Filter, Link, Neighbour, Network, Peer, PolicyRule, Qdisc, Route, Socket};
pub use processes::{Namespace, NamespaceKind, Namespaces, Process};

/// Version of the format of all types in this module.
pub const VERSION: u32 = 1;

/// What a walk needs to know beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// Folders of nodes, by a name of the caller's, such as `acme-cp-1`. Hard links and device nodes are searched in
    /// them.
    pub roots: BTreeMap<String, String>,
    /// Texts that occur in the names of nodes' cgroups, such as the id of a container. Limits and devices are read of
    /// the cgroups with such a name.
    pub cgroups: BTreeSet<String>,
    /// Networks of instances. Addresses in them are reported if they occur in the command line of a process.
    pub networks: Vec<IpNet>,
}

/// The result of a walk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// The namespaces of the walk itself, which are the host's.
    pub host: Namespaces,
    /// The pid of the walk itself.
    pub pid: u32,
    /// All processes of the walk's PID namespace.
    pub processes: Vec<Process>,
    /// Every namespace that was found, of all kinds.
    pub namespaces: Vec<Namespace>,
    /// The content of each network namespace.
    pub networks: Vec<Network>,
    /// The mounts of each mount namespace.
    pub mounts: Vec<MountTable>,
    /// Programs in the kernel.
    pub bpf: Bpf,
    /// Files with several names, at least one of which is outside of the root where it was found.
    pub linked: Vec<LinkedFile>,
    /// Device nodes: in `/dev` of each mount namespace, and in the roots.
    pub devices: Vec<DeviceNode>,
    /// Block devices that are made of files or of other block devices.
    pub backed: Vec<Backed>,
    /// Limits and devices of nodes' cgroups.
    pub cgroups: Vec<Cgroup>,
    /// The duration of the walk in milliseconds.
    pub took_ms: u64,
    /// The programs that the kernel starts on the host, by the setting that names them: `kernel/core_pattern`.
    pub programs: BTreeMap<String, String>,
    /// What could not be read, with the reason, a sentence each.
    pub unread: Vec<String>,
}
