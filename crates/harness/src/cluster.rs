//! One cluster of a fixture: its nodes, its API, and its workers, by the names that the test uses.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, Client};
use probe::{Batch, ProbeResult};
use provisioner::error::Hint;
use provisioner::exec::{Command, CommandError, Output};
use provisioner::identity::{self, IdentityError};
use provisioner::node::Node;
use provisioner::slowdown::Slowdown;
use provisioner::{AttachError, Cluster, Drain, Provisioner, WorkersError};
use serde::de::DeserializeOwned;

use crate::ask::{self, AskError};
use crate::name;
use crate::wait::{self, Wait, WaitError};

/// One cluster of a fixture, under the name that the test gave it: `acme`, which is for instance `acme-x7k2` on the
/// host.
#[derive(Clone)]
pub struct TestCluster {
    name: String,
    cluster: Cluster,
    nodes: Vec<TestNode>,
    client: Client,
    provisioner: Provisioner,
}

impl Debug for TestCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCluster").field("name", &self.name).field("cluster", &self.cluster).finish()
    }
}

/// One node of a [`TestCluster`], a container or a VM.
#[derive(Debug, Clone)]
pub struct TestNode {
    name: String,
    node: Node,
}

/// Why a running cluster could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The instance is not in the registry, or its nodes do not run.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Workers could not be added or removed.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// No API client can be made of its kubeconfig.
    #[error("use the kubeconfig {path}")]
    Kubeconfig {
        /// The cluster's isolated kubeconfig.
        path: Utf8PathBuf,
        /// What is wrong with the file.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request to the API server failed.
    #[error("{attempt} in {cluster}")]
    Api {
        /// The attempt and its object: `apply Service web`.
        attempt: String,
        /// The cluster's name, as the test gives it.
        cluster: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The cluster that answers is not the one that was created under this name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A manifest is no YAML, or no Kubernetes object.
    #[error("read the manifest: {why}")]
    Manifest {
        /// The parser's message, or the missing field.
        why: String,
    },
    /// A file on the host cannot be read.
    #[error("read {path}")]
    File {
        /// The image archive.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The container runtime of a node did not import the image.
    #[error("load an image into {node}")]
    Load {
        /// The node's name, as the test gives it.
        node: String,
        /// The failed `ctr` command.
        #[source]
        source: CommandError,
    },
}

impl Hint for ClusterError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Attach(error) => error.hint(),
            Self::Workers(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Kubeconfig { .. }
            | Self::Api { .. }
            | Self::Manifest { .. }
            | Self::File { .. }
            | Self::Load { .. } => None,
        }
    }
}

impl TestNode {
    /// The name that the test uses: `acme-cp-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name on the host and in Kubernetes: `acme-x7k2-cp-1`.
    pub fn real_name(&self) -> &str {
        self.node.name()
    }

    /// The node's address in the network of its instance.
    pub fn ip(&self) -> Ipv4Addr {
        self.node.address()
    }

    /// Runs a command on the node, as root.
    ///
    /// # Errors
    /// [`CommandError`] when the command cannot be started, exits with another code than 0, or exceeds its deadline.
    pub async fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.node.run(command).await
    }

    pub(crate) async fn read(&self, path: &str) -> Result<String, CommandError> {
        self.node.read(path).await
    }
}

impl TestCluster {
    /// Attaches to a running instance of the registry, for instance one of an operator, and checks that the cluster
    /// that answers is the one that was created under this name.
    ///
    /// # Errors
    /// [`ClusterError`] when there is no such instance, its nodes do not run, its API server does not answer, or
    /// another cluster answers. Nothing is changed.
    pub async fn attach(provisioner: &Provisioner, name: &str) -> Result<Self, ClusterError> {
        let cluster = Self::of(provisioner, name.to_owned(), provisioner.attach(name).await?).await?;
        cluster.identify().await?;
        Ok(cluster)
    }

    pub(crate) async fn of(
        provisioner: &Provisioner,
        name: String,
        cluster: Cluster,
    ) -> Result<Self, ClusterError> {
        let client = client(&cluster.kubeconfig).await?;
        let real = &cluster.instance.name;
        let nodes = cluster.nodes.iter().map(|node| {
            let role = node.name().strip_prefix(real.as_str()).unwrap_or_default();
            TestNode { name: format!("{name}{role}"), node: node.clone() }
        });
        Ok(Self { nodes: nodes.collect(), name, cluster, client, provisioner: provisioner.clone() })
    }

    /// The same cluster with its present nodes.
    pub(crate) async fn refreshed(&self) -> Result<Self, ClusterError> {
        let cluster = self.provisioner.attach(&self.cluster.instance.name).await?;
        Self::of(&self.provisioner, self.name.clone(), cluster).await
    }

    /// Adds `count` workers and returns the cluster with them. `self` keeps its old list of nodes.
    ///
    /// # Errors
    /// [`ClusterError::Workers`]. What is left of the new workers is removed with the fixture.
    pub async fn add_workers(&self, count: u8) -> Result<Self, ClusterError> {
        self.provisioner.add_workers(&self.cluster.instance.name, count).await?;
        self.refreshed().await
    }

    /// Removes a worker by the name that the test uses, `acme-w-2`, and returns the cluster without the worker.
    ///
    /// # Errors
    /// [`ClusterError::Workers`]. A worker that could not be drained stays, cordoned.
    ///
    /// # Panics
    /// When the cluster has no node of this name.
    pub async fn remove_worker(&self, name: &str, drain: Drain) -> Result<Self, ClusterError> {
        let node = self.node(name).real_name();
        self.provisioner.remove_worker(&self.cluster.instance.name, node, drain).await?;
        self.refreshed().await
    }

    /// The name that the test uses: `acme`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The provisioner's handle: plan, registry entry, and the names on the host.
    pub fn inner(&self) -> &Cluster {
        &self.cluster
    }

    /// The UID of its namespace `kube-system`, as it was recorded when the cluster came up. Empty if none was recorded.
    pub(crate) fn uid(&self) -> &str {
        self.cluster.instance.k8s.identity.as_ref().map_or("", |identity| &identity.uid)
    }

    /// An API client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// An API client with connections of its own. [`TestCluster::client`] works only while the runtime that made its
    /// connections runs; an undo may run in another one.
    pub(crate) async fn fresh_client(&self) -> Result<Client, ClusterError> {
        client(&self.cluster.kubeconfig).await
    }

    /// The path of the isolated kubeconfig, which has this cluster only.
    pub fn kubeconfig(&self) -> &Utf8Path {
        &self.cluster.kubeconfig
    }

    /// All nodes, the first control plane first.
    pub fn nodes(&self) -> &[TestNode] {
        &self.nodes
    }

    /// The node with the name that the test uses: `acme-cp-1`.
    ///
    /// # Panics
    /// When the cluster has no node of this name; the message lists the nodes.
    pub fn node(&self, name: &str) -> &TestNode {
        let real = name::real_node(name, &self.name, &self.cluster.instance.name).unwrap_or_default();
        self.nodes.iter().find(|node| node.real_name() == real).unwrap_or_else(|| {
            let known: Vec<&str> = self.nodes.iter().map(TestNode::name).collect();
            panic!("'{}' has no node '{name}'; it has {}", self.name, known.join(", "))
        })
    }

    pub(crate) fn node_by_real_name(&self, real: &str) -> &TestNode {
        let found = self.nodes.iter().find(|node| node.real_name() == real);
        found.unwrap_or_else(|| panic!("'{}' has a pod on '{real}', which is not in its plan", self.name))
    }

    /// Checks that the cluster that answers is the one that was created under this name: context, server, certificate
    /// authority, UID of `kube-system`. `apply`, `ask`, `exec`, `load_image` and `run_pod` call it first.
    ///
    /// # Errors
    /// [`IdentityError`] with the recorded and the found value.
    pub async fn identify(&self) -> Result<(), IdentityError> {
        identity::check_isolated(&self.cluster.instance, &self.cluster.kubeconfig)?;
        identity::check_cluster(&self.cluster.instance, self.client()).await
    }

    /// Runs the prober in a running pod and has it send a batch of probes. The pod has one container, of the toolbox
    /// image. Returns the prober's output, [`ProbeResult::End`] last.
    ///
    /// # Errors
    /// [`AskError`] when the prober could not be run, or its output could not be read to the end.
    pub async fn ask(&self, namespace: &str, pod: &str, batch: &Batch) -> Result<Vec<ProbeResult>, AskError> {
        self.identify().await?;
        ask::ask(&Api::namespaced(self.client(), namespace), self.slowdown(), pod, batch).await
    }

    /// Applies manifests, one or several YAML documents, by server-side apply. Objects without a namespace go to
    /// `default`.
    ///
    /// # Errors
    /// [`ClusterError`] with the object that was refused. Objects of earlier documents stay applied.
    pub async fn apply(&self, manifests: &str) -> Result<(), ClusterError> {
        self.identify().await?;
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(manifests)
            .map_err(|error| ClusterError::Manifest { why: error.to_string() })?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            let object: DynamicObject = serde_json::from_value(document)
                .map_err(|error| ClusterError::Manifest { why: error.to_string() })?;
            let name = object.metadata.name.clone().unwrap_or_default();
            let (api, kind) = self.api_of(&object).await?;
            let failed = self.failed(format!("apply {kind} {name}"));
            let params = PatchParams::apply("homelab").force();
            api.patch(&name, &params, &Patch::Apply(&object)).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn api_of(&self, object: &DynamicObject) -> Result<(Api<DynamicObject>, String), ClusterError> {
        let types = object.types.clone();
        let types = types
            .ok_or_else(|| ClusterError::Manifest { why: "`apiVersion` or `kind` is missing".to_owned() })?;
        let kind = GroupVersionKind::try_from(&types)
            .map_err(|error| ClusterError::Manifest { why: error.to_string() })?;
        let found = pinned_kind(&self.client, &kind).await;
        let (resource, capabilities) = found.map_err(self.failed(format!("find kind {}", kind.kind)))?;
        let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
        let api = match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client(), namespace, &resource),
        };
        let ApiResource { kind, .. } = resource;
        Ok((api, kind))
    }

    /// How many times as long as in containers something takes on this cluster's nodes. For deadlines:
    /// `cluster.slowdown().stretch(…)`.
    pub fn slowdown(&self) -> Slowdown {
        self.inner().plan.platform.slowdown
    }

    /// Waits until an object of the default namespace satisfies a condition, and returns the object.
    ///
    /// # Errors
    /// [`WaitError`] when the API server refuses, and after `within`, stretched by [`TestCluster::slowdown`], with the
    /// object's last state.
    pub async fn wait_for<K>(
        &self,
        name: &str,
        within: Duration,
        condition: impl Fn(&K) -> bool,
    ) -> Result<K, WaitError<kube::Error>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::default_namespaced(self.client());
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        wait::until(format!("{kind} {name}"), self.slowdown().stretch(within), async || {
            Ok(match api.get_opt(name).await? {
                Some(object) if condition(&object) => Wait::Done(object),
                Some(object) => Wait::NotYet(format!("{object:?}")),
                None => Wait::NotYet("it does not exist".to_owned()),
            })
        })
        .await
    }

    /// Imports an image archive (OCI or Docker) into all nodes. Pods then use the image by the name in the archive.
    ///
    /// # Errors
    /// [`ClusterError`] with the node that refused. Nodes before it in [`TestCluster::nodes`] keep the image.
    pub async fn load_image(&self, archive: &Utf8Path) -> Result<(), ClusterError> {
        self.identify().await?;
        let failed = |source| ClusterError::File { path: archive.to_owned(), source };
        let bytes = tokio::fs::read(archive).await.map_err(failed)?;
        for node in &self.nodes {
            let import = Command::within(Duration::from_secs(120), "ctr")
                .args(["--namespace", "k8s.io", "images", "import", "-"])
                .input(bytes.clone());
            let refused = |source| ClusterError::Load { node: node.name.clone(), source };
            node.run(&import).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Makes a [`ClusterError::Api`] of an API server's error: `attempt` is the verb and its object.
    pub(crate) fn failed(&self, attempt: String) -> impl Fn(kube::Error) -> ClusterError + use<> {
        let cluster = self.name.clone();
        move |source| ClusterError::Api {
            attempt: attempt.clone(),
            cluster: cluster.clone(),
            source: Box::new(source),
        }
    }
}

async fn client(kubeconfig: &Utf8Path) -> Result<Client, ClusterError> {
    let unusable = |source| ClusterError::Kubeconfig { path: kubeconfig.to_owned(), source };
    provisioner::kubeconfig::client(kubeconfig).await.map_err(unusable)
}
