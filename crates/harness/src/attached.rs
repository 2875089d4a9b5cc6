//! [`AttachedCluster`]: a cluster that homelab did not make. Only a kubeconfig of it is known.
//!
//! Attaching asks the API server for the cluster's identity, its nodes, and the rights of an audit. It changes nothing.
//! The host's networks, the nodes' files and etcd are out of reach, so the audit covers what an API server and pods give
//! access to.

mod asking;
mod error;

use std::fmt::Debug;
use std::net::Ipv4Addr;

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::Ipv4Net;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use provisioner::assets::TOOLBOX_IMAGE;
use provisioner::home::Home;
use provisioner::plan::Role;

use crate::audit::DeclaredPath;

use asking::{Asking, WITHIN};
pub use error::AttachContextError;

/// Which cluster to attach, by a context of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSpec {
    name: String,
    kubeconfig: Option<Utf8PathBuf>,
    probe_image: Option<String>,
    declared: Vec<DeclaredPath>,
}

impl ContextSpec {
    /// A context of the user's kubeconfig.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), kubeconfig: None, probe_image: None, declared: Vec::new() }
    }

    /// The file that has the context, instead of the user's kubeconfig.
    #[must_use]
    pub fn kubeconfig(self, path: impl Into<Utf8PathBuf>) -> Self {
        Self { kubeconfig: Some(path.into()), ..self }
    }

    /// The image of an audit's pods: `registry.example.com/homelab/toolbox:1`. The nodes must have it or be able to pull
    /// it. By default it is the one that instances of homelab have.
    #[must_use]
    pub fn probe_image(self, image: impl Into<String>) -> Self {
        Self { probe_image: Some(image.into()), ..self }
    }

    /// A path that the cluster is meant to use. An audit reports it as expected, and everything beyond it as a leak.
    ///
    /// ```
    /// use harness::ContextSpec;
    /// use harness::audit::{DeclaredPath, DeclaredProtocol};
    ///
    /// let path = DeclaredPath {
    ///     target: "prod".to_owned(),
    ///     to: "192.0.2.10/32".parse()?,
    ///     protocol: DeclaredProtocol::Tcp,
    ///     ports: (443, 443),
    ///     reason: "the staging cluster reads the product catalogue".to_owned(),
    ///     by: "Anna".to_owned(),
    ///     at: "2026-11-29T12:00:00Z".parse()?,
    /// };
    /// let staging = ContextSpec::new("staging").may_reach(path);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn may_reach(mut self, path: DeclaredPath) -> Self {
        self.declared.push(path);
        self
    }
}

impl From<&str> for ContextSpec {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A cluster that homelab did not make, by the name of its context.
#[derive(Clone)]
pub struct AttachedCluster {
    context: String,
    config: Config,
    client: Client,
    uid: String,
    nodes: Vec<AttachedNode>,
    image: String,
    declared: Vec<DeclaredPath>,
}

impl Debug for AttachedCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachedCluster")
            .field("context", &self.context)
            .field("uid", &self.uid)
            .field("nodes", &self.nodes)
            .field("image", &self.image)
            .finish_non_exhaustive() // the others have credentials
    }
}

/// A node of an [`AttachedCluster`], as its API server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedNode {
    /// Its name.
    pub name: String,
    /// Whether it has the label of a control plane, `node-role.kubernetes.io/control-plane`.
    pub role: Role,
    /// Its address of the type `InternalIP`.
    pub address: Ipv4Addr,
    /// The networks of its pods; empty where the pod network does not use the node's `podCIDRs`.
    pub pod_cidrs: Vec<Ipv4Net>,
}

impl AttachedCluster {
    /// Attaches to the cluster of a context: of the spec's own kubeconfig, or of the user's, which is all files of
    /// `KUBECONFIG`, or `~/.kube/config`. Missing files are skipped, and of entries with one name, the first one counts,
    /// as in kubectl.
    ///
    /// # Errors
    /// [`AttachContextError`]: the context is unknown or cannot be used, the API server does not answer, its user lacks a
    /// right that an audit needs, or the cluster has no usable node.
    pub async fn attach(home: &Home, spec: &ContextSpec) -> Result<Self, AttachContextError> {
        let context = spec.name.as_str();
        let own = spec.kubeconfig.as_ref().map(std::slice::from_ref);
        let kubeconfig = merged(own.unwrap_or_else(|| home.kubeconfigs()))?;
        let known = || kubeconfig.contexts.iter().map(|known| known.name.clone()).collect();
        if kubeconfig.contexts.iter().all(|known| known.name != context) {
            return Err(AttachContextError::Unknown { context: context.to_owned(), known: known() });
        }
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| AttachContextError::Unusable {
            context: context.to_owned(),
            source,
        };
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| unusable(error.into()))?;
        config.connect_timeout = Some(WITHIN);
        let client = Client::try_from(config.clone()).map_err(|error| unusable(error.into()))?;
        let asking = Asking { context, client: &client, server: config.cluster_url.to_string() };
        let uid = asking.uid().await?;
        asking.demand_rights().await?;
        let nodes = asking.nodes().await?;
        let image = spec.probe_image.clone().unwrap_or_else(|| TOOLBOX_IMAGE.to_owned());
        Ok(Self {
            context: context.to_owned(),
            config,
            client,
            uid,
            nodes,
            image,
            declared: spec.declared.clone(),
        })
    }

    /// The name of its context, which is its name in reports.
    pub fn name(&self) -> &str {
        &self.context
    }

    /// The UID of its namespace `kube-system`, which no two clusters have in common.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The paths that it is meant to use.
    pub fn declared(&self) -> &[DeclaredPath] {
        &self.declared
    }

    /// Its nodes, control planes first.
    pub fn nodes(&self) -> &[AttachedNode] {
        &self.nodes
    }

    /// The image of the audit's pods.
    pub fn probe_image(&self) -> &str {
        &self.image
    }

    /// An API client with the rights of the context's user.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// An API client with connections of its own, for another runtime.
    pub(crate) fn fresh_client(&self) -> Result<Client, kube::Error> {
        Client::try_from(self.config.clone())
    }

    /// How the kubeconfig reaches the API server.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

/// All files as one kubeconfig.
fn merged(files: &[Utf8PathBuf]) -> Result<Kubeconfig, AttachContextError> {
    let mut merged = Kubeconfig::default();
    for path in files.iter().filter(|path| path.exists()) {
        let failed = |source| AttachContextError::File { path: path.clone(), source: Box::new(source) };
        let next = Kubeconfig::read_from(Utf8Path::new(path)).map_err(failed)?;
        merged = merged.merge(next).map_err(failed)?;
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_unknown_context_and_an_unreadable_file_are_errors_that_name_the_file_and_the_contexts() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().join("config")).unwrap();
        let missing = Utf8PathBuf::try_from(folder.path().join("none")).unwrap();
        let context = |name: &str| json!({ "name": name, "context": { "cluster": "c", "user": "u" } });
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "clusters": [], "users": [],
            "contexts": [context("prod"), context("dev")],
        });
        std::fs::write(&path, file.to_string()).unwrap();
        let home = Home::at(Utf8Path::from_path(folder.path()).unwrap().join("home"));
        let home = home.with_kubeconfigs(vec![missing.clone(), path.clone()]);
        let spec = |name: &str| ContextSpec::new(name);
        let attach = async |spec| AttachedCluster::attach(&home, &spec).await.unwrap_err().to_string();
        assert_eq!(attach(spec("test")).await, "no context 'test' in the kubeconfig; there are prod, dev");
        assert_eq!(attach(spec("prod")).await, "use the context 'prod'", "its cluster is missing");
        assert_eq!(
            attach(spec("prod").kubeconfig(missing)).await,
            "no context 'prod' in the kubeconfig; there are none"
        );
        std::fs::write(&path, "contexts: 7").unwrap();
        assert_eq!(attach(spec("prod")).await, format!("read the kubeconfig {path}"));
    }
}
