//! Makes a cluster of nodes, with kubeadm's own phases and manifests.
//!
//! kubeadm's phases run in three parts, because their order decides how long a bring-up takes: see `init`. This
//! module knows nodes, never engines. Next in the flow: `ready` waits for the cluster, then `kubeconfig` writes the
//! credentials.

mod config;
mod patches;
mod init;
mod join;
mod ready;
mod leave;
mod adapt;
mod certificates;
mod bootstrap_token;
mod virtual_address;

use crate::error::Hint;
use crate::exec::CommandError;

pub use adapt::adapt;
pub use bootstrap_token::BootstrapToken;
pub use certificates::{NodeCertificate, certificates, renew};
pub use init::{admin_conf, complete, init, serves, serving, uid};
pub use join::{JoinCredentials, join_all, reopen};
pub use leave::{delete_tokens, drain, forget};
pub use ready::{newcomers_ready, ready};

/// Why nodes did not become a cluster.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// A step on a node failed: a kubeadm or kubectl command, or writing a file.
    #[error("{attempt} on {node}")]
    Step {
        /// The attempted step: `write the kubeadm files`, `delete the bootstrap token`.
        attempt: &'static str,
        /// The name of the node.
        node: String,
        /// The command and its output.
        #[source]
        source: CommandError,
    },
    /// A component was not ready before the deadline.
    #[error("wait for {what} on {node}: {state}")]
    NotReady {
        /// The awaited state: `the API server to be ready`.
        what: &'static str,
        /// The name of the node.
        node: String,
        /// The last lines of the node's logs.
        state: String,
        /// How the wait ended.
        #[source]
        source: CommandError,
    },
    /// Pods of a node were not evicted in time.
    #[error("drain {node}{}", pods_left(.left))]
    Drain {
        /// The name of the node.
        node: String,
        /// The pods that are left, `<namespace>/<name>`. Empty when they could not be listed.
        left: Vec<String>,
        /// kubectl's own message.
        #[source]
        source: CommandError,
    },
    /// The kernel gave no randomness for a bootstrap token.
    #[error("generate a bootstrap token")]
    BootstrapToken(#[source] rustix::io::Errno),
}

fn pods_left(left: &[String]) -> String {
    match left {
        [] => String::new(),
        [one] => format!(": the pod {one} is left"),
        many => format!(": {} pods are left: {}", many.len(), many.join(", ")),
    }
}

impl Hint for KubeadmError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Step { .. } | Self::NotReady { .. } | Self::Drain { .. } | Self::BootstrapToken(_) => None,
        }
    }
}
