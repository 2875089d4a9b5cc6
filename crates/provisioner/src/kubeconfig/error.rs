//! Why credentials cannot be handed out or taken back, and what to do about it.

use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::files::FileError;

use crate::error::Hint;

/// Why credentials cannot be handed out or taken back.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
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
    /// There is no context of this name, and an instance that should have one.
    #[error("no context '{name}' in {path}")]
    NoContext {
        /// The merged kubeconfig.
        path: Utf8PathBuf,
        /// The name.
        name: String,
    },
    /// Somebody else holds kubectl's lock and does not let go.
    #[error("{lock} is in the way for {}s{}: it says that a kubeconfig is just being changed", .waited.as_secs(), told(.made))]
    Locked {
        /// The lock file.
        lock: Utf8PathBuf,
        /// For how long we waited.
        waited: Duration,
        /// Who made it, and when, as far as the file says.
        made: Option<Made>,
    },
}

/// The way out of a kubeconfig that cannot be used.
const ELSEWHERE: &str = "let KUBECONFIG name another file";

/// Who made a lock file, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The user's name, or number.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

fn told(made: &Option<Made>) -> String {
    made.as_ref().map(|Made { by, at }| format!(", made by {by} at {at:.0}")).unwrap_or_default()
}

/// What brings an instance's context into the user's kubeconfig.
pub fn merging(instance: &str) -> String {
    format!("`sudo homelab k8s kubeconfig {instance} --renew --path` puts the context into your kubeconfig")
}

fn leading_to(server: &Option<String>) -> String {
    server.as_ref().map(|server| format!(" (it leads to {server})")).unwrap_or_default()
}

impl Hint for KubeconfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => Some(match error.hint() {
                Some(hint) => format!("{hint}, or {ELSEWHERE}"),
                None => ELSEWHERE.to_owned(),
            }),
            Self::Unparsable { .. } | Self::Shape { .. } => Some(format!("correct it, or {ELSEWHERE}")),
            Self::Foreign { name, .. } => Some(format!(
                "rename it (`kubectl config rename-context {name} OTHER` and its cluster and user), \
                 choose another instance name, or {ELSEWHERE}"
            )),
            Self::NoContext { name, .. } => Some(merging(name)),
            Self::Locked { lock, .. } => {
                Some(format!("if no kubectl is running, a killed one has left it: `rm {lock}`"))
            }
        }
    }
}
