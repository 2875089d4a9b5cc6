//! One cluster of a fixture, as its test sees it.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, Client};
use probe::{Batch, Said};
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

/// One cluster, under the name that the test gave it.
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

/// One node of it.
#[derive(Debug, Clone)]
pub struct TestNode {
    name: String,
    node: Node,
}

/// Why a cluster that is up could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no handle on it.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// It did not get or lose workers.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// Its kubeconfig cannot be used.
    #[error("use the kubeconfig {path}")]
    Kubeconfig {
        /// Which.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server refused.
    #[error("{attempt} in {cluster}")]
    Api {
        /// What was attempted.
        attempt: String,
        /// Where.
        cluster: String,
        /// What the API server says.
        #[source]
        source: Box<kube::Error>,
    },
    /// It is another cluster than the one that came up under this name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A manifest is none.
    #[error("read the manifest: {why}")]
    Manifest {
        /// What is wrong with it.
        why: String,
    },
    /// A file on this host.
    #[error("read {path}")]
    File {
        /// Which.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A node refused.
    #[error("load an image into {node}")]
    Load {
        /// Which.
        node: String,
        /// What it says.
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
    /// Its name as the test says it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name as the host and Kubernetes have it.
    pub fn real_name(&self) -> &str {
        self.node.name()
    }

    /// Its address.
    pub fn ip(&self) -> Ipv4Addr {
        self.node.address()
    }

    /// Runs a command on it.
    ///
    /// # Errors
    /// [`CommandError`] as of any command.
    pub async fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.node.run(command).await
    }

    pub(crate) async fn read(&self, path: &str) -> Result<String, CommandError> {
        self.node.read(path).await
    }
}

impl TestCluster {
    /// Takes a handle on a running instance of the registry, under its own name, and checks that the cluster which
    /// answers is the one that came up under it.
    ///
    /// # Errors
    /// [`ClusterError`] when there is no such instance, its nodes do not run, or its API server does not answer.
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

    /// The same cluster with the nodes that it has now.
    pub(crate) async fn anew(&self) -> Result<Self, ClusterError> {
        let cluster = self.provisioner.attach(&self.cluster.instance.name).await?;
        Self::of(&self.provisioner, self.name.clone(), cluster).await
    }

    /// Adds so many workers, and returns the cluster with them: this handle only knows the nodes that it knew.
    ///
    /// # Errors
    /// [`ClusterError::Workers`]; what is left of the new workers goes with the fixture.
    pub async fn add_workers(&self, count: u8) -> Result<Self, ClusterError> {
        self.provisioner.add_workers(&self.cluster.instance.name, count).await?;
        self.anew().await
    }

    /// Removes a worker by the name that the test uses, `acme-w-2`, and returns the cluster without it.
    ///
    /// # Errors
    /// [`ClusterError::Workers`]; a worker that could not be drained stays, cordoned.
    ///
    /// # Panics
    /// When there is no such node.
    pub async fn remove_worker(&self, name: &str, drain: Drain) -> Result<Self, ClusterError> {
        let node = self.node(name).real_name();
        self.provisioner.remove_worker(&self.cluster.instance.name, node, drain).await?;
        self.anew().await
    }

    /// Its name as the test says it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster behind it: plan, registry entry, real names.
    pub fn inner(&self) -> &Cluster {
        &self.cluster
    }

    /// A client with administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same with connections of its own, for whoever outlives the runtime that drives the other one's.
    pub(crate) async fn fresh_client(&self) -> Result<Client, ClusterError> {
        client(&self.cluster.kubeconfig).await
    }

    /// The kubeconfig that knows this cluster and no other.
    pub fn kubeconfig(&self) -> &Utf8Path {
        &self.cluster.kubeconfig
    }

    /// Its nodes, the first control plane first.
    pub fn nodes(&self) -> &[TestNode] {
        &self.nodes
    }

    /// A node by the name that the test uses: `acme-cp-1`.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&self, name: &str) -> &TestNode {
        let real = name::real_node(name, &self.name, &self.cluster.instance.name).unwrap_or_default();
        self.nodes.iter().find(|node| node.real_name() == real).unwrap_or_else(|| {
            let known: Vec<&str> = self.nodes.iter().map(TestNode::name).collect();
            panic!("'{}' has no node '{name}'; it has {}", self.name, known.join(", "))
        })
    }

    pub(crate) fn node_by_real_name(&self, real: &str) -> &TestNode {
        let found = self.nodes.iter().find(|node| node.real_name() == real);
        found.unwrap_or_else(|| panic!("'{}' has a pod on '{real}', which is no node of its plan", self.name))
    }

    /// Checks that this is the cluster that came up under this name: context, server, authority, UID. Every action
    /// begins with it.
    ///
    /// # Errors
    /// [`IdentityError`] with both values.
    pub async fn identify(&self) -> Result<(), IdentityError> {
        identity::check_isolated(&self.cluster.instance, &self.cluster.kubeconfig)?;
        identity::check_cluster(&self.cluster.instance, self.client()).await
    }

    /// Has a prober in a running pod ask a batch: the pod runs the toolbox image in its only container. Returns all that
    /// it said, [`Said::End`] last.
    ///
    /// # Errors
    /// [`AskError`] when the prober could not be run or was not heard to its end.
    pub async fn ask(&self, namespace: &str, pod: &str, batch: &Batch) -> Result<Vec<Said>, AskError> {
        self.identify().await?;
        ask::ask(&Api::namespaced(self.client(), namespace), self.slowdown(), pod, batch).await
    }

    /// Applies manifests, one or several YAML documents, on the server's side.
    ///
    /// # Errors
    /// [`ClusterError`] with the object that was refused.
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
        let types = types.ok_or_else(|| ClusterError::Manifest { why: "it has no kind".to_owned() })?;
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

    /// How much longer than in a container everything takes in its nodes.
    pub fn slowdown(&self) -> Slowdown {
        self.inner().plan.platform.slowdown
    }

    /// Waits until an object of the default namespace satisfies a condition.
    ///
    /// # Errors
    /// [`WaitError`] with the last state after `within`, stretched by [`TestCluster::slowdown`].
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

    /// Brings an image archive (OCI or Docker) into all nodes; pods then use it by its own name.
    ///
    /// # Errors
    /// [`ClusterError`] with the node that refused.
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

    /// Says of an API server's refusal what was attempted, and where.
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
