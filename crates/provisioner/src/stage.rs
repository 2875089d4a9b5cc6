//! The stages of the flow. Events, errors and the progress display name them.

use std::fmt;

use serde::Serialize;

/// A stage of the flow, in the order in which stages run. JSON has its name in lower case, such as `claim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Record the instance with its name, subnet and CIDRs.
    Claim,
    /// Make the instance's names resolve on this host.
    Names,
    /// Find the node image in the cache, or build it.
    Assets,
    /// Create the nodes and their network.
    Nodes,
    /// Configure and deploy the pod network.
    Network,
    /// Create the certificate authorities.
    Authorities,
    /// Start the control plane on the first node.
    Init,
    /// Join the other nodes to the cluster.
    Join,
    /// Wait until all nodes and the cluster's DNS are ready.
    Ready,
    /// Write the kubeconfigs on this host.
    Kubeconfig,
    /// Evict the pods of a worker.
    Drain,
    /// Remove workers.
    Leave,
    /// Destroy the instance.
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
