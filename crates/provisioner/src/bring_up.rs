//! The states of a cluster's nodes during a bring-up, as types. Each step consumes one state and returns the next, so
//! steps in the wrong order do not compile:
//!
//! | state | meaning | made by |
//! |---|---|---|
//! | [`Nodes`] | nodes that run commands | an engine |
//! | [`Wired`] | the pod network's configuration, and the routes between nodes | [`cni::wire`](crate::cni::wire), `rewire`, `extend` |
//! | [`Serving`] | the first node's API server answers | [`kubeadm::init`](crate::kubeadm::init), `serving` |
//! | [`Joined`] | the API server knows every node | [`kubeadm::join_all`](crate::kubeadm::join_all) |
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
//! # use provisioner::{bring_up::Serving, events::Events, kubeadm::{self, JoinCredentials}, pki::Bundle, plan::ClusterPlan};
//! async fn with_a_token_that_is_deleted(
//!     serving: Serving, credentials: JoinCredentials, plan: &ClusterPlan, bundle: &Bundle, events: &Events,
//! ) {
//!     let _ = kubeadm::join_all(serving, credentials, plan, bundle, events).await;
//!     let _ = kubeadm::join_all(serving, credentials, plan, bundle, events).await;
//! }
//! ```

use crate::node::{Node, Nodes};

/// Nodes with the pod network's configuration and the routes to each other's pods.
#[derive(Debug)]
pub struct Wired {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

/// Wired nodes; the API server on the first one answers.
#[derive(Debug)]
pub struct Serving {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

/// The nodes of a cluster after the newcomers have joined it.
#[derive(Debug)]
pub struct Joined {
    nodes: Nodes,
    newcomers: Vec<Node>,
}

impl Wired {
    /// For `cni`, after it has configured the nodes. `newcomers` are the nodes that have not joined yet.
    pub(crate) fn of(nodes: Nodes, newcomers: Vec<Node>) -> Self {
        Self { nodes, newcomers }
    }

    /// The first control plane.
    pub fn first(&self) -> &Node {
        &self.nodes.first
    }

    /// For `kubeadm`, when the first node's API server answers.
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

    /// The nodes that have not joined yet, control planes first.
    pub fn newcomers(&self) -> &[Node] {
        &self.newcomers
    }

    /// For `kubeadm`, when the newcomers have joined.
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

    /// The nodes that have just joined.
    pub fn newcomers(&self) -> &[Node] {
        &self.newcomers
    }

    /// All nodes of the cluster, by value.
    pub fn into_nodes(self) -> Nodes {
        self.nodes
    }
}
