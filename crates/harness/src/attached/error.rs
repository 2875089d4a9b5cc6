//! [`AttachContextError`]: why a cluster could not be attached.

use camino::Utf8PathBuf;
use kube::config::KubeconfigError;
use provisioner::error::Hint;

use super::asking::WITHIN;

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
