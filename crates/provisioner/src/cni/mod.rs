//! Pods get a network.
//!
//! A [`Cni`] knows nodes, never engines. It is put on the nodes before kubeadm runs: a kubelet that finds it at
//! its first look is Ready at once, a later one only at its next check of the runtime, seconds later.

mod cilium;
mod routed;

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::bring_up::{Serving, Wired};
use crate::error::Hint;
use crate::exec::CommandError;
use crate::node::{Node, Nodes};
use crate::plan::{ClusterPlan, NodePlan};
use crate::spec::CniKind;

pub use cilium::Cilium;
pub use routed::Routed;

/// Installs a pod network.
pub trait Cni: Debug + Send + Sync {
    /// Puts the pod network on nodes of a plan, all or some. May be called again.
    ///
    /// # Errors
    /// [`CniError`] with the node that refused.
    fn install<'a>(
        &'a self,
        nodes: &'a [&'a Node],
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>>;

    /// Has nodes that have the pod network learn a plan that has changed, without those who are `gone`. May be called
    /// again. One whose daemon learns by itself has nothing to do.
    ///
    /// # Errors
    /// [`CniError`] with the node that refused.
    fn adapt<'a>(
        &'a self,
        _nodes: &'a [&'a Node],
        _plan: &'a ClusterPlan,
        _gone: &'a [NodePlan],
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Has the cluster run what the pod network consists of, as soon as its API server answers. May be called again.
    ///
    /// # Errors
    /// [`CniError`] with the node that refused.
    fn deploy<'a>(
        &'a self,
        serving: &'a Serving,
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>>;

    /// Waits until pods on all these nodes have a network.
    ///
    /// # Errors
    /// [`CniError::NotReady`] with the last lines of what did not come up.
    fn ready<'a>(&'a self, nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>>;

    /// Waits until pods on all these nodes are led to CoreDNS, once it is ready. A network that leaves services to
    /// kube-proxy has nothing to wait for.
    ///
    /// # Errors
    /// [`CniError::NotReady`] with the last lines of what does not lead there.
    fn dns_ready<'a>(&'a self, _nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// How the pod network is on a node, asked of the node itself: also when its API server is gone.
    fn health<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Health>;
}

/// The pod network that a plan asks for.
pub fn of(plan: &ClusterPlan) -> Box<dyn Cni> {
    match plan.cni {
        CniKind::Cilium => Box::new(Cilium { platform: plan.platform }),
        CniKind::Routed => Box::new(Routed),
    }
}

/// Puts the pod network on all nodes of a plan, none of which has joined yet.
///
/// # Errors
/// [`CniError`] with the node that refused.
pub async fn wire(network: &dyn Cni, nodes: Nodes, plan: &ClusterPlan) -> Result<Wired, CniError> {
    network.install(&nodes.all(), plan).await?;
    let newcomers = nodes.others.clone();
    Ok(Wired::of(nodes, newcomers))
}

/// Puts it on the nodes that are not in the plan `before`, and has the others know them.
///
/// # Errors
/// [`CniError`] with the node that refused.
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

/// Has nodes that have booted know the routes to each other's pods again, which a kernel forgets.
///
/// # Errors
/// [`CniError`] with the node that refused.
pub async fn rewire(network: &dyn Cni, nodes: Nodes, plan: &ClusterPlan) -> Result<Wired, CniError> {
    network.adapt(&nodes.all(), plan, &[]).await?;
    Ok(Wired::of(nodes, Vec::new()))
}

/// How the pod network is on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It has nobody who could be asked.
    NoAgent,
    /// Its agent says that all is well.
    Good,
    /// Its agent says otherwise or nothing: its last lines.
    Bad(String),
}

/// Why pods have no network.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A node refused.
    #[error("put the pod network on {node}")]
    Refused {
        /// Which.
        node: String,
        /// What it says.
        #[source]
        source: CommandError,
    },
    /// A node does not tell what its containers may be given.
    #[error("find out what containers on {node} may do: {status}")]
    Capabilities {
        /// Which.
        node: String,
        /// What it says of its first process.
        status: String,
    },
    /// What it consists of cannot be made out.
    #[error("read what the chart on {node} deploys: {why}")]
    Manifests {
        /// Where the chart was rendered.
        node: String,
        /// What is wrong with it.
        why: String,
    },
    /// An agent did not get ready.
    #[error("wait for the pod network on {node}: {state}")]
    NotReady {
        /// Where.
        node: String,
        /// The last lines that tell why.
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
