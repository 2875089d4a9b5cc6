//! Why credentials cannot be handed out or taken back, and what to do about it.

use std::io;

use camino::Utf8PathBuf;

use crate::error::Hint;

/// Why credentials cannot be handed out or taken back.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file or folder.
    #[error("{attempt} {path}")]
    File {
        /// `read`, `write`, `lock`, `make folder`.
        attempt: &'static str,
        /// Which.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It is no YAML. The reason quotes nothing of the file: it holds private keys.
    #[error("{file} is no kubeconfig; it is left as it is")]
    Unparsable {
        /// Which.
        file: String,
        /// Where it stops to make sense.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// It is YAML, but not such as a kubeconfig is.
    #[error("{file} is no kubeconfig that can be edited: {why}; it is left as it is")]
    Shape {
        /// Which.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody else has an entry of the instance's name.
    #[error("{kind} '{name}' in {path} is not of this homelab{}", leading_to(.server))]
    Foreign {
        /// The merged kubeconfig.
        path: Utf8PathBuf,
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The API server that it leads to, if it says so.
        server: Option<String>,
    },
    /// There is no context of this name.
    #[error("no context '{name}' in {path}")]
    NoContext {
        /// The merged kubeconfig.
        path: Utf8PathBuf,
        /// The name.
        name: String,
    },
    /// Somebody else holds kubectl's lock and does not let go.
    #[error("{lock} exists since {}s: somebody else is changing the kubeconfig", .waited.as_secs())]
    Locked {
        /// The lock file.
        lock: Utf8PathBuf,
        /// For how long we waited.
        waited: std::time::Duration,
    },
}

fn leading_to(server: &Option<String>) -> String {
    server.as_ref().map(|server| format!(" (it leads to {server})")).unwrap_or_default()
}

impl Hint for KubeconfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Unparsable { .. } | Self::Shape { .. } => {
                Some("correct it, or let KUBECONFIG name another file".to_owned())
            }
            Self::Foreign { name, .. } => Some(format!(
                "rename it (`kubectl config rename-context {name} OTHER` and its cluster and user), \
                 choose another instance name, or let KUBECONFIG name another file"
            )),
            Self::NoContext { .. } => Some("`homelab instance list` shows the names".to_owned()),
            Self::Locked { lock, .. } => Some(format!("if no kubectl is running, remove {lock}")),
        }
    }
}
