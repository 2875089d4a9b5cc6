//! The choices of a spec: topology, pod network, engine, durability.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which nodes a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topology {
    /// One node that does everything.
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Single, Self::Multi, Self::Ha];

    /// The name in files, flags and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "k8s-single",
            Self::Multi => "k8s-multi",
            Self::Ha => "k8s-ha",
        }
    }

    /// How many workers it has unless told otherwise.
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
    /// Cilium, with an eBPF datapath and network policies: what operators run.
    Cilium,
    /// ptp and host-local with static routes between the nodes: the light one.
    Routed,
}

impl CniKind {
    /// All of them, the operators' first.
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

/// What Cilium does beyond a pod network. All of it is off unless it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CiliumOptions {
    /// Whether it leads services to pods, too, by eBPF; kube-proxy is not installed then.
    pub kube_proxy_replacement: bool,
    /// Whether each agent keeps the flows it saw, for `hubble observe` on its node.
    pub hubble: bool,
}

impl CiliumOptions {
    /// Whether nothing is asked for.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// What makes the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// podman containers on networks of our own. They share the host's kernel.
    Container,
    /// In memory, for unit tests.
    #[cfg(feature = "simulated")]
    Simulated,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container => f.pad("container"),
            #[cfg(feature = "simulated")]
            Self::Simulated => f.pad("simulated"),
        }
    }
}

/// Whether a cluster's data survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// etcd waits for the disk, and the context is merged into the user's kubeconfig: an operator's cluster.
    Durable,
    /// Neither: a fixture's cluster, which nobody will miss.
    ThrowAway,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Durable => "durable",
            Self::ThrowAway => "throw-away",
        })
    }
}
