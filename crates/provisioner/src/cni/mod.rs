//! Pods get a network.
//!
//! A [`Cni`] knows nodes, never engines. It is put on the nodes before kubeadm runs: a kubelet that finds it at
//! its first look is Ready at once, a later one only at its next check of the runtime, seconds later.

mod cilium;
mod routed;

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::exec::CommandError;
use crate::node::Node;
use crate::plan::ClusterPlan;
use crate::spec::CniKind;

pub use cilium::Cilium;
pub use routed::Routed;

/// Installs a pod network.
pub trait Cni: Debug + Send + Sync {
    /// Puts the pod network on all nodes of a plan. May be called again.
    ///
    /// # Errors
    /// [`CniError`] with the node that refused.
    fn install<'a>(&'a self, nodes: &'a [Node], plan: &'a ClusterPlan)
    -> BoxFuture<'a, Result<(), CniError>>;

    /// Has the cluster run what the pod network consists of, as soon as its API server answers. May be called again.
    ///
    /// # Errors
    /// [`CniError`] with the node that refused.
    fn deploy<'a>(&'a self, first: &'a Node, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), CniError>>;
}

/// The pod network that a plan asks for.
pub fn of(plan: &ClusterPlan) -> Box<dyn Cni> {
    match plan.cni {
        CniKind::Cilium => Box::new(Cilium),
        CniKind::Routed => Box::new(Routed),
    }
}

/// Why pods have no network.
#[derive(Debug, thiserror::Error)]
#[error("put the pod network on {node}")]
pub struct CniError {
    /// The node that refused.
    pub node: String,
    /// What it says.
    #[source]
    pub source: CommandError,
}
