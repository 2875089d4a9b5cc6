//! [`ProbedCluster`]: a cluster as the deployment of probes sees it, an instance of this host or an attached one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use kube::Client;
use provisioner::assets::TOOLBOX_IMAGE;
use provisioner::slowdown::Slowdown;

use super::ProbesError;
use crate::attached::AttachedCluster;
use crate::cluster::TestCluster;

/// A cluster into which an audit deploys witnesses and probers.
#[derive(Debug, Clone, Copy)]
pub enum ProbedCluster<'a> {
    /// An instance of this host.
    Instance(&'a TestCluster),
    /// A cluster of which only the kubeconfig is known.
    Attached(&'a AttachedCluster),
}

impl<'a> From<&'a TestCluster> for ProbedCluster<'a> {
    fn from(cluster: &'a TestCluster) -> Self {
        Self::Instance(cluster)
    }
}

impl<'a> From<&'a AttachedCluster> for ProbedCluster<'a> {
    fn from(cluster: &'a AttachedCluster) -> Self {
        Self::Attached(cluster)
    }
}

impl<'a> ProbedCluster<'a> {
    /// Its name in reports.
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Instance(cluster) => cluster.name(),
            Self::Attached(cluster) => cluster.name(),
        }
    }

    /// Its context in the user's kubeconfig.
    pub(super) fn context(self) -> &'a str {
        match self {
            Self::Instance(cluster) => &cluster.inner().instance.k8s.kubeconfig_context,
            Self::Attached(cluster) => cluster.name(),
        }
    }

    pub(super) fn client(self) -> Client {
        match self {
            Self::Instance(cluster) => cluster.client(),
            Self::Attached(cluster) => cluster.client(),
        }
    }

    /// An API client with connections of its own, for another runtime.
    pub(super) async fn fresh_client(self) -> Result<Client, ProbesError> {
        match self {
            Self::Instance(cluster) => Ok(cluster.fresh_client().await?),
            Self::Attached(cluster) => cluster.fresh_client().map_err(|source| ProbesError::Api {
                attempt: "connect again".to_owned(),
                instance: cluster.name().to_owned(),
                source: Box::new(source),
            }),
        }
    }

    /// How much slower its nodes are than containers. Nodes of attached clusters count as equally fast.
    pub(super) fn slowdown(self) -> Slowdown {
        match self {
            Self::Instance(cluster) => cluster.slowdown(),
            Self::Attached(_) => Slowdown::NONE,
        }
    }

    /// Its nodes, control planes first: name, address, and the identity of the witness there. Nodes of attached clusters
    /// may have any name, so the identity has the cluster's name in it.
    pub(super) fn nodes(self) -> Vec<(String, Ipv4Addr, String)> {
        match self {
            Self::Instance(cluster) => {
                let nodes = cluster.nodes().iter();
                nodes
                    .map(|node| (node.real_name().to_owned(), node.ip(), node.real_name().to_owned()))
                    .collect()
            }
            Self::Attached(cluster) => {
                let nodes = cluster.nodes().iter();
                let witness = |node: &str| format!("{}/node/{node}", cluster.name());
                nodes.map(|node| (node.name.clone(), node.address, witness(&node.name))).collect()
            }
        }
    }

    /// The image of the audit's pods.
    pub(super) fn image(self) -> &'a str {
        match self {
            Self::Instance(_) => TOOLBOX_IMAGE,
            Self::Attached(cluster) => cluster.probe_image(),
        }
    }

    /// The name of the witness's service, which no other cluster of a run has. The name of a context may have characters
    /// that the name of a service must not have, so its hash is taken.
    pub(super) fn service(self) -> String {
        match self {
            Self::Instance(cluster) => format!("witness-{}", cluster.name()),
            Self::Attached(cluster) => {
                let mut hasher = DefaultHasher::new();
                cluster.name().hash(&mut hasher);
                format!("witness-x{:016x}", hasher.finish())
            }
        }
    }
}
