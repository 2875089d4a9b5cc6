//! Pod networks: installs them on nodes and deploys them in clusters.
//!
//! A [`Cni`] knows nodes, never engines. It is installed before kubeadm runs: the kubelet is Ready at once if it
//! finds the configuration when it starts, otherwise only after its next check of the runtime, seconds later.

mod cilium;
mod routed;

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::bring_up::{Serving, Wired};
use crate::error::Hint;
use crate::exec::CommandError;
use crate::node::{Node, Nodes};
use crate::plan::{ClusterPlan, NodePlan};
use crate::request::CniKind;

pub use cilium::Cilium;
pub use routed::Routed;

/// A pod network.
pub trait Cni: Debug + Send + Sync {
    /// Installs the pod network on all or some nodes of a plan. May be called again.
    ///
    /// # Errors
    /// [`CniError`] with the node that failed.
    fn install<'a>(
        &'a self,
        nodes: &'a [&'a Node],
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>>;

    /// Updates nodes that have the pod network after the plan has changed. `gone` are the removed nodes. May be called
    /// again. Does nothing in a pod network with a daemon that learns such changes itself.
    ///
    /// # Errors
    /// [`CniError`] with the node that failed.
    fn adapt<'a>(
        &'a self,
        _nodes: &'a [&'a Node],
        _plan: &'a ClusterPlan,
        _gone: &'a [NodePlan],
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Deploys the components of the pod network in the cluster, as soon as its API server answers. May be called
    /// again.
    ///
    /// # Errors
    /// [`CniError`] with the node that failed.
    fn deploy<'a>(
        &'a self,
        serving: &'a Serving,
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>>;

    /// Waits until pods on all these nodes have a network.
    ///
    /// # Errors
    /// [`CniError::NotReady`] with the last log lines of the agent that is not ready.
    fn ready<'a>(&'a self, nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>>;

    /// Waits until the pod network on all these nodes routes the service of CoreDNS, which is ready. Does nothing in
    /// a pod network that leaves services to kube-proxy.
    ///
    /// # Errors
    /// [`CniError::NotReady`] with the last log lines of the agent that has no such route.
    fn dns_ready<'a>(&'a self, _nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Checks the pod network on a node. Asks only the node itself, so it also works without an API server.
    fn health<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Health>;
}

/// The pod network of a plan.
pub fn of(plan: &ClusterPlan) -> Box<dyn Cni> {
    match plan.cni {
        CniKind::Cilium => Box::new(Cilium { platform: plan.platform }),
        CniKind::Routed => Box::new(Routed),
    }
}

/// Installs the pod network on all nodes of a new cluster.
///
/// # Errors
/// [`CniError`] with the node that failed.
pub async fn wire(network: &dyn Cni, nodes: Nodes, plan: &ClusterPlan) -> Result<Wired, CniError> {
    network.install(&nodes.all(), plan).await?;
    let newcomers = nodes.others.clone();
    Ok(Wired::of(nodes, newcomers))
}

/// Installs the pod network on the nodes that are not in the plan `before`, and tells the other nodes about them.
///
/// # Errors
/// [`CniError`] with the node that failed.
pub async fn extend(
    network: &dyn Cni,
    nodes: Nodes,
    before: &ClusterPlan,
    plan: &ClusterPlan,
) -> Result<Wired, CniError> {
    let (old, new): (Vec<&Node>, Vec<&Node>) =
        nodes.iter().partition(|node| before.nodes.contains(node.plan()));
    network.install(&new, plan).await?;
    network.adapt(&old, plan, &[]).await?;
    let newcomers = new.into_iter().cloned().collect();
    Ok(Wired::of(nodes, newcomers))
}

/// Sets the routes to other nodes' pods again on nodes that have booted: a reboot loses the kernel's routes.
///
/// # Errors
/// [`CniError`] with the node that failed.
pub async fn rewire(network: &dyn Cni, nodes: Nodes, plan: &ClusterPlan) -> Result<Wired, CniError> {
    network.adapt(&nodes.all(), plan, &[]).await?;
    Ok(Wired::of(nodes, Vec::new()))
}

/// The health of the pod network on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The pod network has no agent that could report its health.
    NoAgent,
    /// The agent reports that it is healthy.
    Good,
    /// The agent reports a problem or does not answer: its last log lines.
    Bad(String),
}

/// Why pods have no network.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A command on a node failed.
    #[error("install the pod network on {node}")]
    Refused {
        /// The name of the node.
        node: String,
        /// The command and its output.
        #[source]
        source: CommandError,
    },
    /// The capabilities of a node's containers cannot be read.
    #[error("read the capabilities of {node} in /proc/1/status: {status}")]
    Capabilities {
        /// The name of the node.
        node: String,
        /// The contents of the node's `/proc/1/status`.
        status: String,
    },
    /// The manifests of the chart cannot be parsed.
    #[error("parse the manifests that Helm has rendered on {node}: {why}")]
    Manifests {
        /// The node that rendered the chart.
        node: String,
        /// The parser's error.
        why: String,
    },
    /// An agent was not ready before the deadline.
    #[error("wait for the pod network on {node}: {state}")]
    NotReady {
        /// The name of the node.
        node: String,
        /// The last log lines of the agent.
        state: String,
        /// How the wait ended.
        #[source]
        source: CommandError,
    },
}

impl Hint for CniError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { .. }
            | Self::Capabilities { .. }
            | Self::Manifests { .. }
            | Self::NotReady { .. } => None,
        }
    }
}
