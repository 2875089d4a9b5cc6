//! [`ProbesError`]: why the probes of an audit could not be deployed, used or removed.

use provisioner::error::Hint;
use provisioner::slowdown::Stretched;

use crate::ask::AskError;
use crate::cluster::ClusterError;
use crate::wait::WaitError;

/// Why the probes of an audit could not be deployed, used or removed in an instance.
#[derive(Debug, thiserror::Error)]
pub enum ProbesError {
    /// A request to the API server failed.
    #[error("{attempt} in {instance}")]
    Api {
        /// The attempt and its object: `create homelab-audit-1a2b3c4d`.
        attempt: String,
        /// The instance.
        instance: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server refused an object of the audit, for instance by an admission policy.
    #[error("{attempt} in {instance}: {why}")]
    Refused {
        /// The attempt and its object: `create node-acme-cp-1`.
        attempt: String,
        /// The instance.
        instance: String,
        /// The API server's message.
        why: String,
    },
    /// A pod does not listen, the service is not reachable, or the namespace is not deleted within the deadline.
    #[error("wait for the audit's objects in {instance}")]
    Wait {
        /// The instance.
        instance: String,
        /// The time-out with the last status.
        #[source]
        source: Box<WaitError<kube::Error>>,
    },
    /// A pod of the audit has failed, for instance because its node has no capacity for it.
    #[error("run pod {pod} in {instance}: {why}")]
    Pod {
        /// The pod's name.
        pod: String,
        /// The instance.
        instance: String,
        /// The kubelet's reason, or the pod's exit code and last output.
        why: String,
    },
    /// The nodes cannot pull the image of the audit's pods.
    #[error("pull the image {image} of pod {pod} in {instance}: {why}")]
    Image {
        /// The image.
        image: String,
        /// The pod's name.
        pod: String,
        /// The instance.
        instance: String,
        /// The kubelet's reason.
        why: String,
    },
    /// No API client can be made for the instance.
    #[error(transparent)]
    Connect(#[from] ClusterError),
    /// `/proc` cannot be read, so the namespace would have no owner.
    #[error("record this process as the owner of the audit")]
    Owner(#[source] std::io::Error),
    /// The answers of a prober are missing or incomplete.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The API server did not answer within the deadline.
    #[error("{attempt} in {instance}: no answer within {}s", .within.as_secs())]
    Late {
        /// `delete the namespace homelab-audit-1a2b3c4d`.
        attempt: String,
        /// The instance.
        instance: String,
        /// The deadline.
        within: Stretched,
    },
}

impl Hint for ProbesError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Image { instance, .. } => Some(format!(
                "name an image that the nodes of '{instance}' can pull with --probe-image; `homelab assets probe-image` \
                 prints the path of an archive with it"
            )),
            Self::Refused { instance, .. } => Some(format!(
                "an audit runs privileged pods in namespaces homelab-audit-…: policies of '{instance}' must allow them"
            )),
            Self::Connect(error) => error.hint(),
            Self::Api { .. }
            | Self::Wait { .. }
            | Self::Pod { .. }
            | Self::Owner(_)
            | Self::Ask(_)
            | Self::Late { .. } => None,
        }
    }
}
