//! How far the nodes of a cluster are, as types. Each step takes the state before it and makes the next one, so steps in
//! the wrong order do not compile:
//!
//! | state | what is there | made by |
//! |---|---|---|
//! | [`Nodes`] | nodes that run commands | an engine |
//! | [`Wired`] | the pod network's configuration, and the routes between nodes | [`cni::wire`](crate::cni::wire), `rewire`, `extend` |
//! | [`Serving`] | an API server that answers on the first node | [`kubeadm::init`](crate::kubeadm::init), `serving` |
//! | [`Joined`] | every node is known to the API server | [`kubeadm::join_all`](crate::kubeadm::join_all) |
//!
//! ```compile_fail,E0308
//! # use provisioner::{kubeadm, node::Nodes, pki::Bundle, plan::ClusterPlan};
//! async fn without_a_network(nodes: Nodes, plan: &ClusterPlan, bundle: &Bundle) {
//!     let _ = kubeadm::init(nodes, plan, bundle).await;
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use provisioner::{bring_up::Wired, cni::Cni, plan::ClusterPlan};
//! async fn before_there_is_an_api_server(network: &dyn Cni, wired: Wired, plan: &ClusterPlan) {
//!     let _ = network.deploy(&wired, plan).await;
//! }
//! ```
//!
//! ```compile_fail,E0382
//! # use provisioner::{bring_up::Serving, events::Events, kubeadm::{self, Invitation}, pki::Bundle, plan::ClusterPlan};
//! async fn with_a_token_that_is_deleted(
//!     serving: Serving, invitation: Invitation, plan: &ClusterPlan, bundle: &Bundle, events: &Events,
//! ) {
//!     let _ = kubeadm::join_all(serving, invitation, plan, bundle, events).await;
//!     let _ = kubeadm::join_all(serving, invitation, plan, bundle, events).await;
//! }
//! ```

use crate::node::{Node, Nodes};

/// Nodes with a pod network and the routes to each other's pods.
#[derive(Debug)]
pub struct Wired {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

/// The same, whose first node has an API server that answers.
#[derive(Debug)]
pub struct Serving {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

/// The same, when the newcomers have joined the first node.
#[derive(Debug)]
pub struct Joined {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

impl Wired {
    /// For the pod network, when it is there. The newcomers are those that have not joined yet.
    pub(crate) fn of(nodes: Nodes, newcomers: Vec<Node>) -> Self {
        Self { nodes, newcomers }
    }

    /// The first control plane.
    pub fn first(&self) -> &Node {
        &self.nodes.first
    }

    /// For kubeadm, when the first node's API server answers.
    pub(crate) fn serving(self) -> Serving {
        let Self { nodes, newcomers } = self;
        Serving { nodes, newcomers }
    }
}

impl Serving {
    /// The first control plane, whose API server answers.
    pub fn first(&self) -> &Node {
        &self.nodes.first
    }

    /// The nodes that are to join it, control planes first.
    pub fn newcomers(&self) -> &[Node] {
        &self.newcomers
    }

    /// For kubeadm, when the newcomers have joined.
    pub(crate) fn joined(self) -> Joined {
        let Self { nodes, newcomers } = self;
        Joined { nodes, newcomers }
    }
}

impl Joined {
    /// All nodes of the cluster.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Those that have just joined.
    pub fn newcomers(&self) -> &[Node] {
        &self.newcomers
    }

    /// All nodes of the cluster, for whoever keeps them.
    pub fn into_nodes(self) -> Nodes {
        self.nodes
    }
}
