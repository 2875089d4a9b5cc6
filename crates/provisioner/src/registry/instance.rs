//! An entry of the registry: the names and networks that one instance has claimed, its state, and its keeper.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Identity, Keeper, Operation, Workers};
use crate::request::{CiliumOptions, CniKind, EngineKind, Handling, NodeSize, Topology};

/// One instance: one cluster with its network, names and keeper. The registry's file is a list of these. Fields that a
/// newer version wrote stay in the file unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name, a DNS label, unique in its home.
    pub name: String,
    /// The network of its nodes, such as `192.168.60.0/24`; a /24 unless the settings say otherwise.
    pub subnet: Ipv4Net,
    /// The first label of its DNS suffix `<tldPrefix>.lab`.
    pub tld_prefix: String,
    /// The time of the claim.
    pub created_at: Timestamp,
    /// Its topology, which fixes the control planes.
    pub topology: Topology,
    /// The numbers of its workers.
    pub workers: Workers,
    /// The numbers of workers that are being added or removed: parts of them may exist. Recorded before the first part
    /// is made or removed, and until the last step is done. If no operation is in progress, the change did not finish,
    /// and the next operation removes these workers.
    #[serde(default)]
    pub transit: Workers,
    /// The engine that makes its nodes.
    pub engine: EngineKind,
    /// The processors and the memory of each node, for VMs; `None` for containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<NodeSize>,
    /// The network by which the hypervisor manages its nodes; `None` for engines that need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<Ipv4Net>,
    /// Whether the processor of its nodes is emulated, as found at the claim. `None` in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulated: Option<bool>,
    /// The properties in which an operator's instance and a test's instance differ.
    pub handling: Handling,
    /// The Kubernetes part of the entry.
    pub k8s: K8s,
    /// The state that the last operation recorded.
    pub state: State,
    /// The boot of this host in which its nodes were last started (`/proc/sys/kernel/random/boot_id`). `None` before
    /// the first start, and in entries of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Its keeper, which decides when the instance ends.
    pub keeper: Keeper,
    /// The operation that changes it now, or that was killed; `None` between two operations.
    #[serde(default)]
    pub operation: Option<Operation>,
}

impl Instance {
    /// The suffix of all its names outside of the cluster, `<tldPrefix>.lab`.
    pub fn dns_suffix(&self) -> String {
        format!("{}.lab", self.tld_prefix)
    }

    /// A copy whose workers include those in transit.
    #[must_use]
    pub fn with_transit(&self) -> Self {
        Self { workers: self.workers.with(&self.transit), ..self.clone() }
    }

    /// All networks that it has claimed: nodes, pods, services, and management if it has one.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        [self.subnet, self.k8s.pod_cidr, self.k8s.service_cidr].into_iter().chain(self.management).collect()
    }
}

/// The Kubernetes part of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct K8s {
    /// The software that makes its nodes a cluster.
    pub distribution: Distribution,
    /// The Kubernetes version with its `v`, such as `v1.36.3`.
    pub version: String,
    /// The network of the pods' addresses.
    pub pod_cidr: Ipv4Net,
    /// The network of the services' addresses.
    pub service_cidr: Ipv4Net,
    /// The name of its context in a kubeconfig.
    pub kubeconfig_context: String,
    /// The subject of the instance's own certificate authority.
    pub ca_name: String,
    /// The pod network.
    pub cni: CniKind,
    /// Features of Cilium beyond the pod network.
    #[serde(default, skip_serializing_if = "CiliumOptions::is_off")]
    pub cilium: CiliumOptions,
    /// The cluster's identity; `None` until the cluster has come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// The software that makes nodes a cluster.
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

/// The recorded state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The instance is claimed; its nodes may exist.
    Creating,
    /// The cluster came up, or came up again.
    Running,
    /// A pause began, and no `resume` or `start` has succeeded since. Paused nodes keep their memory.
    Paused,
    /// A halt began, and no `start` has succeeded since. Halted nodes are off and keep their disks.
    Halted,
    /// The creation failed, and parts of the instance may exist.
    Failed,
    /// The destruction has begun.
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

/// A process that needs an instance. The pid alone does not identify it: pids are reused, hence the start time and the
/// boot; and each PID namespace has its own pids, hence the namespace and the lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its pid in its own PID namespace.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`, proc_pid_stat(5)).
    pub start_time: u64,
    /// The boot of the host in which it started (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The id of its run of tests, as in the name of the evidence folder; `homelab-<pid>` for a command.
    pub run_id: String,
    /// The number of its PID namespace (inode of `/proc/self/ns/pid`); `None` in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<u64>,
    /// The number of its time namespace, on whose clock the start time depends; `None` in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_namespace: Option<u64>,
    /// The lock that it holds until it ends; `None` in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<OwnerLock>,
}

/// The lock of an owner: one byte of the file `owners.lock` in its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerLock {
    /// The inode of the file, which tells it from a file that has replaced it.
    pub inode: u64,
    /// The offset of the byte, below 2^62. The file itself is empty.
    pub byte: u64,
}
