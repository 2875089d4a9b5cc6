//! Errors of reading and writing kubeconfigs, with hints.

use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::files::FileError;

use crate::error::Hint;

/// Why a kubeconfig cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not valid YAML. The source quotes nothing of the file, which contains private keys.
    #[error("{file} is not a valid kubeconfig; the file was not changed")]
    Unparsable {
        /// The path of the file, or a description of the text.
        file: String,
        /// The parser's error, with line and column.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// The file is valid YAML, but not in the form of a kubeconfig, or it cannot be edited without changing a value.
    #[error("{file} cannot be edited as a kubeconfig: {why}; the file was not changed")]
    Shape {
        /// The path of the file, or a description of the text.
        file: String,
        /// What is wrong: `it is not a YAML mapping`.
        why: String,
    },
    /// The user's kubeconfig has an entry of the instance's name that is not ours.
    #[error("{kind} '{name}' in {path} does not belong to this homelab{}", leading_to(.server))]
    Foreign {
        /// The kubeconfig with the entry.
        path: Utf8PathBuf,
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The name of the entry.
        name: String,
        /// The URL of the entry's API server. `None` for a user, or if the entry has none.
        server: Option<String>,
    },
    /// The user's kubeconfig has no context of this name.
    #[error("no context '{name}' in {path}")]
    NoContext {
        /// The merged kubeconfig.
        path: Utf8PathBuf,
        /// The name of the context.
        name: String,
    },
    /// Another process holds kubectl's lock and did not release it in time.
    #[error("{lock} still exists after {}s{}: another process has locked the kubeconfig", .waited.as_secs(), told(.made))]
    Locked {
        /// The lock file.
        lock: Utf8PathBuf,
        /// For how long we waited.
        waited: Duration,
        /// The owner and time of the lock file. `None` if they cannot be read.
        made: Option<Made>,
    },
}

/// The hint for a kubeconfig that cannot be used.
const ELSEWHERE: &str = "set KUBECONFIG to another file";

/// The owner of a lock file, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The user's name, or `user 1000` if the user has no name.
    pub by: String,
    /// The file's modification time.
    pub at: Timestamp,
}

fn told(made: &Option<Made>) -> String {
    made.as_ref().map(|Made { by, at }| format!(", created by {by} at {at:.0}")).unwrap_or_default()
}

/// The hint with the command that adds an instance's context to the user's kubeconfig.
pub fn merging(instance: &str) -> String {
    format!("`sudo homelab k8s kubeconfig {instance} --renew --path` adds the context to your kubeconfig")
}

fn leading_to(server: &Option<String>) -> String {
    server.as_ref().map(|server| format!(" (its server is {server})")).unwrap_or_default()
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
                Some(format!("if no kubectl is running, a killed one has left the lock: `rm {lock}`"))
            }
        }
    }
}
