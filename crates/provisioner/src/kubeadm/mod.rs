//! Nodes become a cluster, by kubeadm's own phases and manifests.
//!
//! kubeadm's phases are run in three parts, because their order decides how long a bring-up takes: see `init`.
//! This module knows nodes, never engines. Next in the flow: `ready` waits for the whole, then `kubeconfig`
//! hands out the credentials.

mod config;
mod patches;
mod init;
mod join;
mod ready;
mod leave;
mod adapt;
mod certificates;
mod ticket;
mod virtual_address;

use crate::error::Hint;
use crate::exec::CommandError;

pub use adapt::adapt;
pub use certificates::{NodeCertificate, certificates, renew};
pub use init::{admin_conf, complete, init, serves, serving, uid};
pub use join::{Invitation, join_all, reopen};
pub use leave::{drain, forget, void_tickets};
pub use ready::{newcomers_ready, ready};
pub use ticket::Ticket;

/// Why nodes did not become a cluster.
#[derive(Debug, thiserror::Error)]
pub enum KubeadmError {
    /// A step of kubeadm's or kubectl's failed.
    #[error("{attempt} on {node}")]
    Step {
        /// What was tried: `write the kubeadm files`, `delete the bootstrap token`.
        attempt: &'static str,
        /// On which node.
        node: String,
        /// The step and what it says.
        #[source]
        source: CommandError,
    },
    /// Something did not come up; `state` is what was last seen of it.
    #[error("wait for {what} on {node}: {state}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// Where.
        node: String,
        /// The last lines that tell why.
        state: String,
        /// How the wait ended.
        #[source]
        source: CommandError,
    },
    /// A node has pods that did not go.
    #[error("drain {node}{}", pods_left(.left))]
    Drain {
        /// Which.
        node: String,
        /// The pods, `<namespace>/<name>`.
        left: Vec<String>,
        /// Why they did not.
        #[source]
        source: CommandError,
    },
    /// No randomness for a join ticket.
    #[error("draw a join ticket")]
    Ticket(#[source] rustix::io::Errno),
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
            Self::Step { .. } | Self::NotReady { .. } | Self::Drain { .. } | Self::Ticket(_) => None,
        }
    }
}
