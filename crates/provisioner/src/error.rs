//! What can go wrong on the way from a spec to a cluster, at which stage, and what it left behind.

use std::fmt;

use serde::Serialize;

/// A stage of the flow, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Name, subnet and CIDRs are recorded.
    Claim,
    /// The node image is there.
    Assets,
    /// Machines and their network exist.
    Nodes,
    /// Certificate authorities exist.
    Authorities,
    /// The control plane answers.
    Init,
    /// Pods have a network.
    Network,
    /// Workers belong to the cluster.
    Join,
    /// All nodes and the cluster's DNS are ready.
    Ready,
    /// Credentials are on the workstation.
    Kubeconfig,
    /// Everything is taken away again.
    Destroy,
}

impl Stage {
    /// All stages of `create`, in order.
    pub const CREATE: [Self; 9] = [
        Self::Claim,
        Self::Assets,
        Self::Nodes,
        Self::Authorities,
        Self::Init,
        Self::Network,
        Self::Join,
        Self::Ready,
        Self::Kubeconfig,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::Assets => "assets",
            Self::Nodes => "nodes",
            Self::Authorities => "authorities",
            Self::Init => "init",
            Self::Network => "network",
            Self::Join => "join",
            Self::Ready => "ready",
            Self::Kubeconfig => "kubeconfig",
            Self::Destroy => "destroy",
        })
    }
}
