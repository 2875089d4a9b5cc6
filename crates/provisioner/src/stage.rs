//! The stages of the flow, which events, errors and progress name.

use std::fmt;

use serde::Serialize;

/// A stage of the flow, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Name, subnet and CIDRs are recorded.
    Claim,
    /// Its names resolve on this host.
    Names,
    /// The node image is there.
    Assets,
    /// Machines and their network exist.
    Nodes,
    /// Pods have a network to come up in.
    Network,
    /// Certificate authorities exist.
    Authorities,
    /// The control plane answers.
    Init,
    /// Workers belong to the cluster.
    Join,
    /// All nodes and the cluster's DNS are ready.
    Ready,
    /// Credentials are on the workstation.
    Kubeconfig,
    /// Pods move away from a worker.
    Drain,
    /// Workers are taken away.
    Leave,
    /// Everything is taken away again.
    Destroy,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::Names => "names",
            Self::Assets => "assets",
            Self::Nodes => "nodes",
            Self::Authorities => "authorities",
            Self::Init => "init",
            Self::Network => "network",
            Self::Join => "join",
            Self::Ready => "ready",
            Self::Kubeconfig => "kubeconfig",
            Self::Drain => "drain",
            Self::Leave => "leave",
            Self::Destroy => "destroy",
        })
    }
}
