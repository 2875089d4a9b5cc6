//! An entry of the registry: what one instance has claimed, and who may still need it.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Identity, Keeper, Operation, Workers};
use crate::spec::{CiliumOptions, CniKind, EngineKind, Handling, NodeSize, Topology};

/// One instance: one cluster with its network, names and keeper. The registry's file is a list of these; fields
/// that a newer version wrote stay there, untouched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name, a DNS label, unique on this host.
    pub name: String,
    /// Its host network, a /24 unless the settings say otherwise.
    pub subnet: Ipv4Net,
    /// The first label of its DNS suffix `<tldPrefix>.lab`.
    pub tld_prefix: String,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// Which nodes it has.
    pub topology: Topology,
    /// Which workers it has.
    pub workers: Workers,
    /// Workers that are being added or removed: parts of them may exist. Recorded before the first part is made or
    /// removed, and until the last step is done. Where no operation is in progress, the change did not finish, and the
    /// next operation removes them.
    #[serde(default)]
    pub transit: Workers,
    /// What makes its nodes.
    pub engine: EngineKind,
    /// How large its nodes are, where they are virtual machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<NodeSize>,
    /// The network by which a hypervisor manages its nodes, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<Ipv4Net>,
    /// Whether the processor of its nodes is emulated, as found when it was claimed. None in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulated: Option<bool>,
    /// What sets an operator's instance apart from one of a test.
    pub handling: Handling,
    /// What Kubernetes needs to know.
    pub k8s: K8s,
    /// How far it is.
    pub state: State,
    /// The boot of this host in which its nodes were last started (`/proc/sys/kernel/random/boot_id`). None before they
    /// were, and in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Who decides when it ends.
    pub keeper: Keeper,
    /// What is being done to it; none between two commands.
    #[serde(default)]
    pub operation: Option<Operation>,
}

impl Instance {
    /// The suffix of all its names outside the cluster, `<tldPrefix>.lab`.
    pub fn dns_suffix(&self) -> String {
        format!("{}.lab", self.tld_prefix)
    }

    /// The same with the workers that are on their way in or out.
    #[must_use]
    pub fn with_transit(&self) -> Self {
        Self { workers: self.workers.with(&self.transit), ..self.clone() }
    }

    /// Every network that is its own, of all kinds.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        [self.subnet, self.k8s.pod_cidr, self.k8s.service_cidr].into_iter().chain(self.management).collect()
    }
}

/// The Kubernetes part of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct K8s {
    /// What makes its nodes a cluster.
    pub distribution: Distribution,
    /// The version with its `v`.
    pub version: String,
    /// Where pods get their addresses.
    pub pod_cidr: Ipv4Net,
    /// Where services get theirs.
    pub service_cidr: Ipv4Net,
    /// The context in the merged kubeconfig.
    pub kubeconfig_context: String,
    /// The subject of the instance's own certificate authority.
    pub ca_name: String,
    /// The pod network.
    pub cni: CniKind,
    /// What Cilium does beyond that.
    #[serde(default, skip_serializing_if = "CiliumOptions::is_off")]
    pub cilium: CiliumOptions,
    /// Who the cluster is, since it came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// What makes nodes a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Upstream Kubernetes, set up by kubeadm.
    Kubeadm,
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Kubeadm => "kubeadm",
        })
    }
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Recorded; its nodes may or may not exist.
    Creating,
    /// It came up.
    Running,
    /// Its nodes keep their memory and get no processor, or some of them did not go on.
    Paused,
    /// Its nodes are off, or some of them did not come up again.
    Halted,
    /// Its creation failed and something may be left.
    Failed,
    /// It is being taken down.
    Destroying,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Failed => "failed",
            Self::Destroying => "destroying",
        })
    }
}

/// A process that needs an instance. Pids are reused, so the start time and the boot belong to it; and each PID
/// namespace has its own, so this and the lock do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`, proc_pid_stat(5)).
    pub start_time: u64,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The run it belongs to, as evidence folders are named.
    pub run_id: String,
    /// The number of its PID namespace (inode of `/proc/self/ns/pid`); none in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<u64>,
    /// The number of its time namespace, whose clock the start time is told by; none in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_namespace: Option<u64>,
    /// What it holds locked as long as it lives; none in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<OwnerLock>,
}

/// A byte that an owner holds locked, in a file of its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerLock {
    /// The file's inode: the lock is in this file, not in one that came in its place.
    pub inode: u64,
    /// Which byte; the file itself is empty.
    pub byte: u64,
}
