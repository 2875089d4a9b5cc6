//! The choices of a request: topology, pod network, engine, size, handling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of nodes that a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topology {
    /// One node, which is control plane and runs pods.
    #[serde(rename = "k8s-single")]
    Single,
    /// One control plane and workers.
    #[serde(rename = "k8s-multi")]
    Multi,
    /// Three control planes behind a virtual address, and workers.
    #[serde(rename = "k8s-ha")]
    Ha,
}

impl Topology {
    /// All topologies.
    pub const ALL: [Self; 3] = [Self::Single, Self::Multi, Self::Ha];

    /// The name in files, flags and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "k8s-single",
            Self::Multi => "k8s-multi",
            Self::Ha => "k8s-ha",
        }
    }

    /// The default number of workers.
    pub fn usual_workers(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Multi | Self::Ha => 3,
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Topology {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|topology| topology.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown topology '{text}'; known: {known}")
        })
    }
}

/// The pod network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CniKind {
    /// Cilium, with an eBPF datapath and network policies: the default of `homelab up`.
    Cilium,
    /// ptp and host-local with static routes between the nodes: starts sooner and takes less memory.
    Routed,
}

impl CniKind {
    /// All pod networks, the default of `homelab up` first.
    pub const ALL: [Self; 2] = [Self::Cilium, Self::Routed];

    /// The name in files, flags and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cilium => "cilium",
            Self::Routed => "routed",
        }
    }
}

impl fmt::Display for CniKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Options of Cilium beyond a pod network. By default, all are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CiliumOptions {
    /// Cilium forwards services to pods by eBPF, and kube-proxy is not installed.
    pub kube_proxy_replacement: bool,
    /// Each agent keeps the flows it saw, for `hubble observe` on its node.
    pub hubble: bool,
}

impl CiliumOptions {
    /// Whether all options are off.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// The engine, which makes the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum EngineKind {
    /// podman containers on networks that homelab makes. They share the host's kernel.
    Container,
    /// Virtual machines, made by Vagrant on this hypervisor.
    Vagrant(Provider),
    /// In memory, for unit tests.
    #[cfg(feature = "simulated")]
    Simulated,
}

/// The hypervisor that Vagrant drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// QEMU, by way of libvirt and the plugin vagrant-libvirt.
    Libvirt,
    /// VirtualBox.
    Virtualbox,
}

impl Provider {
    /// All providers. The first whose requirements the host meets is the default.
    pub const ALL: [Self; 2] = [Self::Libvirt, Self::Virtualbox];

    /// The name in files, flags and listings, which is also Vagrant's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt",
            Self::Virtualbox => "virtualbox",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown provider '{text}'; known: {known}")
        })
    }
}

impl EngineKind {
    /// All engines except the simulated one.
    pub const ALL: [Self; 3] =
        [Self::Container, Self::Vagrant(Provider::Libvirt), Self::Vagrant(Provider::Virtualbox)];

    /// The name in the registry and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Vagrant(Provider::Libvirt) => "vagrant-libvirt",
            Self::Vagrant(Provider::Virtualbox) => "vagrant-virtualbox",
            #[cfg(feature = "simulated")]
            Self::Simulated => "simulated",
        }
    }

    /// Whether nodes are VMs.
    pub fn is_virtual(self) -> bool {
        matches!(self, Self::Vagrant(_))
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        #[cfg(feature = "simulated")]
        if text == Self::Simulated.as_str() {
            return Ok(Self::Simulated);
        }
        Self::ALL.into_iter().find(|engine| engine.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown engine '{text}'; known: {known}")
        })
    }
}

impl From<EngineKind> for String {
    fn from(engine: EngineKind) -> Self {
        engine.as_str().to_owned()
    }
}

impl TryFrom<String> for EngineKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The processors and the memory of a VM. Containers have no fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSize {
    /// The number of processors.
    pub cpus: u8,
    /// The memory, in MiB. Ledgers before format 3 called it `memoryMb`.
    #[serde(rename = "memoryMiB", alias = "memoryMb")]
    pub memory_mib: u32,
}

impl NodeSize {
    /// The minimum for a control plane (kubeadm's own preflight: 2 processors, 1700 MiB).
    pub const LEAST: Self = Self { cpus: 2, memory_mib: 1700 };
}

impl Default for NodeSize {
    /// Two processors and 2.5 GiB: a control plane with Cilium takes 1.3 GiB, and its image cache the remainder.
    fn default() -> Self {
        Self { cpus: 2, memory_mib: 2560 }
    }
}

/// How an operator's instance and a test's instance differ. Each property is checked on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handling {
    /// etcd waits for the disk, so that the cluster's data survives a power failure.
    pub fsync: bool,
    /// Its context is merged into the user's kubeconfig.
    pub kubeconfig: bool,
    /// The names of its nodes are recorded on the host.
    pub host_names: bool,
    /// The audit's self-test may inject leaks into it.
    pub self_test: bool,
}

impl Handling {
    /// An operator's instance: its data is safe on disk, and the user's and the host's files mention it.
    pub const OPERATOR: Self = Self { fsync: true, kubeconfig: true, host_names: true, self_test: false };
    /// A test's instance: it is fast, and no file of the user or the host mentions it.
    pub const TEST: Self = Self { fsync: false, kubeconfig: false, host_names: false, self_test: true };

    /// Whether files of the user or the host mention it.
    pub fn is_outside(self) -> bool {
        self.kubeconfig || self.host_names
    }
}
