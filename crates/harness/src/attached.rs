//! [`AttachedCluster`]: a cluster that somebody else made, and of which only a kubeconfig is known.
//!
//! Attaching asks the API server for the cluster's identity, its nodes, and the rights of an audit. It changes nothing.
//! The host's networks, the nodes' files and etcd are out of reach, so the audit covers what an API server and pods give
//! access to.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::try_join_all;
use ipnet::Ipv4Net;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use provisioner::assets::TOOLBOX_IMAGE;
use provisioner::error::Hint;
use provisioner::home::Home;
use provisioner::plan::Role;
use tokio::time::timeout;

/// The deadline for connecting to the API server, and for its answers while a cluster is attached.
const WITHIN: Duration = Duration::from_secs(10);

/// What an audit does in a cluster: verb, API group, and resource.
const RIGHTS: [(&str, &str, &str); 14] = [
    ("create", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("list", "", "namespaces"),
    ("list", "", "nodes"),
    ("create", "", "pods"),
    ("get", "", "pods"),
    ("list", "", "pods"),
    ("deletecollection", "", "pods"),
    ("get", "", "pods/log"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/exec"),
    ("create", "", "services"),
    ("get", "", "services"),
    ("create", "", "serviceaccounts/token"),
];

/// Which cluster to attach, by a context of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSpec {
    name: String,
    kubeconfig: Option<Utf8PathBuf>,
    probe_image: Option<String>,
}

impl ContextSpec {
    /// A context of the user's kubeconfig.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), kubeconfig: None, probe_image: None }
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
}

impl From<&str> for ContextSpec {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A cluster that somebody else made, by the name of its context.
#[derive(Clone)]
pub struct AttachedCluster {
    context: String,
    config: Config,
    client: Client,
    uid: String,
    nodes: Vec<AttachedNode>,
    image: String,
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

/// Why a cluster could not be attached. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AttachContextError {
    /// A file of the user's kubeconfig cannot be read.
    #[error("read the kubeconfig {path}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// The kubeconfig has no such context.
    #[error("no context '{context}' in the kubeconfig; there are {}", listed(.known))]
    Unknown {
        /// The name, as given.
        context: String,
        /// The contexts that the kubeconfig has.
        known: Vec<String>,
    },
    /// The context's entries cannot be used.
    #[error("use the context '{context}'")]
    Unusable {
        /// The context.
        context: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server did not answer in time.
    #[error("{attempt} in '{context}': {server} did not answer within {}s", WITHIN.as_secs())]
    Late {
        /// The attempt: `list the nodes`.
        attempt: &'static str,
        /// The context.
        context: String,
        /// The URL of the API server.
        server: String,
    },
    /// The API server refused a request, or could not be reached.
    #[error("{attempt} in '{context}', at {server}")]
    Api {
        /// The attempt: `list the nodes`.
        attempt: &'static str,
        /// The context.
        context: String,
        /// The URL of the API server.
        server: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The context's user may not do what an audit does.
    #[error("the user of the context '{context}' may not {}", listed(.missing))]
    Denied {
        /// The context.
        context: String,
        /// The missing rights: `create pods/exec`.
        missing: Vec<String>,
    },
    /// The cluster has no node that could be asked.
    #[error("the cluster of '{context}' has no node")]
    NoNode {
        /// The context.
        context: String,
    },
    /// A node cannot take part in an audit.
    #[error("node {node} of '{context}' {why}")]
    Node {
        /// The node's name.
        node: String,
        /// The context.
        context: String,
        /// `has no IPv4 address`, or another reason.
        why: &'static str,
    },
}

impl Hint for AttachContextError {
    fn hint(&self) -> Option<String> {
        let about =
            |verb: &str, context: &str| Some(format!("`kubectl --context {context} {verb}` shows why"));
        match self {
            Self::Unknown { .. } => Some("`kubectl config get-contexts` lists the contexts".to_owned()),
            Self::Late { context, .. } | Self::Api { context, .. } => about("get nodes", context),
            Self::Denied { context, .. } => Some(format!(
                "use a context of an administrator; `kubectl --context {context} auth can-i --list` \
                              lists this user's rights"
            )),
            Self::Node { context, .. } | Self::NoNode { context } => about("get nodes -o wide", context),
            Self::File { .. } | Self::Unusable { .. } => None,
        }
    }
}

fn listed(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
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
        Ok(Self { context: context.to_owned(), config, client, uid, nodes, image })
    }

    /// The name of its context, which is its name in reports.
    pub fn name(&self) -> &str {
        &self.context
    }

    /// The UID of its namespace `kube-system`, which no two clusters have in common.
    pub fn uid(&self) -> &str {
        &self.uid
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

/// The first requests to a cluster.
struct Asking<'a> {
    context: &'a str,
    client: &'a Client,
    server: String,
}

impl Asking<'_> {
    async fn uid(&self) -> Result<String, AttachContextError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let attempt = "get the namespace kube-system";
        let found = self.answer(attempt, namespaces.get("kube-system")).await?;
        Ok(found.metadata.uid.unwrap_or_default())
    }

    async fn demand_rights(&self) -> Result<(), AttachContextError> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let asked = RIGHTS.map(|(verb, group, resource)| {
            let review = review(verb, group, resource);
            let reviews = &reviews;
            async move {
                let options = PostParams::default();
                let answer =
                    self.answer("ask for the rights of an audit", reviews.create(&options, &review)).await?;
                let allowed = answer.status.is_some_and(|status| status.allowed);
                Ok((!allowed).then(|| format!("{verb} {resource}")))
            }
        });
        let missing: Vec<String> = try_join_all(asked).await?.into_iter().flatten().collect();
        match missing.as_slice() {
            [] => Ok(()),
            _ => Err(AttachContextError::Denied { context: self.context.to_owned(), missing }),
        }
    }

    async fn nodes(&self) -> Result<Vec<AttachedNode>, AttachContextError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let listed = self.answer("list the nodes", nodes.list(&ListParams::default())).await?;
        let found = listed.items.iter().map(|listed| {
            node(listed).map_err(|why| AttachContextError::Node {
                node: listed.metadata.name.clone().unwrap_or_default(),
                context: self.context.to_owned(),
                why,
            })
        });
        let mut found: Vec<AttachedNode> = found.collect::<Result<_, _>>()?;
        found.sort_by_key(|node| (node.role != Role::ControlPlane, node.name.clone()));
        match found.is_empty() {
            true => Err(AttachContextError::NoNode { context: self.context.to_owned() }),
            false => Ok(found),
        }
    }

    async fn answer<T>(
        &self,
        attempt: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, AttachContextError> {
        let (context, server) = (self.context.to_owned(), self.server.clone());
        match timeout(WITHIN, request).await {
            Err(_) => Err(AttachContextError::Late { attempt, context, server }),
            Ok(answer) => answer.map_err(|source| {
                let source = Box::new(source);
                AttachContextError::Api { attempt, context, server, source }
            }),
        }
    }
}

/// The question whether the user may do this in all namespaces. Pure.
fn review(verb: &str, group: &str, resource: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let resource_attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(resource_attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// A node by its Kubernetes object, or why it cannot take part. Pure.
fn node(listed: &Node) -> Result<AttachedNode, &'static str> {
    let status = listed.status.clone().unwrap_or_default();
    let spec = listed.spec.clone().unwrap_or_default();
    let ready = |kind: &str, value: &str| kind == "Ready" && value == "True";
    let conditions = status.conditions.unwrap_or_default();
    if !conditions.iter().any(|condition| ready(&condition.type_, &condition.status)) {
        return Err("is not ready");
    }
    if status.node_info.is_some_and(|info| info.operating_system != "linux") {
        return Err("does not run Linux");
    }
    let internal = status.addresses.unwrap_or_default().into_iter();
    let internal = internal.filter(|address| address.type_ == "InternalIP");
    let address = internal.filter_map(|address| match address.address.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    });
    let labels = listed.metadata.labels.clone().unwrap_or_default();
    let leads = labels.contains_key("node-role.kubernetes.io/control-plane");
    Ok(AttachedNode {
        name: listed.metadata.name.clone().unwrap_or_default(),
        role: if leads { Role::ControlPlane } else { Role::Worker },
        address: { address }.next().ok_or("has no IPv4 address of the type InternalIP")?,
        pod_cidrs: spec.pod_cidrs.unwrap_or_default().iter().filter_map(|net| net.parse().ok()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed_node(ready: &str, addresses: &[(&str, &str)]) -> Node {
        let addresses: Vec<_> =
            addresses.iter().map(|(kind, address)| json!({ "type": kind, "address": address })).collect();
        let node = json!({
            "metadata": { "name": "n1", "labels": { "node-role.kubernetes.io/control-plane": "" } },
            "spec": { "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }], "addresses": addresses },
        });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_node_takes_part_if_it_is_ready_and_has_an_ipv4_address() {
        let all = [("ExternalIP", "203.0.113.7"), ("InternalIP", "fd00::7"), ("InternalIP", "192.0.2.7")];
        let expected = AttachedNode {
            name: "n1".to_owned(),
            role: Role::ControlPlane,
            address: Ipv4Addr::new(192, 0, 2, 7),
            pod_cidrs: vec!["10.244.1.0/24".parse().unwrap()],
        };
        assert_eq!(node(&listed_node("True", &all)), Ok(expected));
        assert_eq!(node(&listed_node("Unknown", &all)), Err("is not ready"));
        let v6 = node(&listed_node("True", &all[..2]));
        assert_eq!(v6, Err("has no IPv4 address of the type InternalIP"));
    }

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

    #[test]
    fn a_subresource_is_asked_as_such() {
        let attributes = review("create", "", "pods/exec").spec.resource_attributes.unwrap();
        assert_eq!(
            (attributes.resource.as_deref(), attributes.subresource.as_deref()),
            (Some("pods"), Some("exec"))
        );
        assert_eq!(attributes.namespace, None, "in all namespaces");
    }
}
