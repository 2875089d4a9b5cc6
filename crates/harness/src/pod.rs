//! [`PodRun`]: a command to run in a pod of its own. [`PodOutput`]: its exit code and output.

mod exec;
mod run;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use provisioner::assets::TOOLBOX_IMAGE;
use provisioner::exec::CommandError;
use provisioner::identity::IdentityError;

use crate::cluster::TestCluster;
use crate::wait::WaitError;

/// A pod that runs one command to its end; [`TestCluster::run_pod`] runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRun {
    image: String,
    command: Vec<String>,
    node: Option<String>,
    host_network: bool,
    within: Duration,
}

impl PodRun {
    /// A script for `sh -c` in the toolbox image, which every node has.
    pub fn shell(script: impl Into<String>) -> Self {
        Self::new(TOOLBOX_IMAGE, ["sh".to_owned(), "-c".to_owned(), script.into()])
    }

    /// A command in an image that the nodes have. Nodes cannot pull images, because an instance has no route out;
    /// [`TestCluster::load_image`] imports one. The deadline is 90 s unless [`PodRun::within`] changes it.
    pub fn new(image: impl Into<String>, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            image: image.into(),
            command: command.into_iter().map(Into::into).collect(),
            node: None,
            host_network: false,
            within: Duration::from_secs(90),
        }
    }

    /// Runs the pod on this node, given by the name that the test uses. Without it, the scheduler chooses.
    #[must_use]
    pub fn on_node(self, node: impl Into<String>) -> Self {
        Self { node: Some(node.into()), ..self }
    }

    /// Runs the pod in the node's network namespace (`hostNetwork`).
    #[must_use]
    pub fn host_network(self) -> Self {
        Self { host_network: true, ..self }
    }

    /// Sets the deadline from the pod's creation to its end, which is stretched by [`TestCluster::slowdown`].
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    fn manifest(&self, cluster: &TestCluster) -> Pod {
        Pod {
            metadata: ObjectMeta { generate_name: Some("run-".to_owned()), ..ObjectMeta::default() },
            spec: Some(PodSpec {
                containers: vec![Container {
                    name: CONTAINER.to_owned(),
                    image: Some(self.image.clone()),
                    image_pull_policy: Some("IfNotPresent".to_owned()),
                    command: Some(self.command.clone()),
                    ..Container::default()
                }],
                restart_policy: Some("Never".to_owned()),
                node_name: self.node.as_deref().map(|node| cluster.node(node).real_name().to_owned()),
                host_network: Some(self.host_network),
                automount_service_account_token: Some(false),
                termination_grace_period_seconds: Some(0),
                ..PodSpec::default()
            }),
            ..Pod::default()
        }
    }
}

/// Three ICMP echo requests to an address. The output has `UNREACHABLE` when they fail.
///
/// A denied ping needs a control, the same ping to an address that must answer: the output is also `UNREACHABLE` where
/// `ping` is missing.
pub fn ping(address: impl Into<IpAddr>) -> PodRun {
    PodRun::shell(format!("ping -c 3 -W 2 {} || echo UNREACHABLE", address.into()))
}

const CONTAINER: &str = "main";

/// The result of a command in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodOutput {
    /// The command's exit code.
    pub exit_code: i32,
    /// The command's standard output.
    pub stdout: String,
    /// The command's standard error.
    pub stderr: String,
    /// The pod's phase, `Succeeded` or `Failed`. After [`TestCluster::exec`], the status of the exec, `Success` or
    /// `Failure`.
    pub phase: String,
    /// The pod's node, by the name that the test uses. Empty after [`TestCluster::exec`].
    pub node: String,
}

impl PodOutput {
    /// Asserts that the standard output contains a text.
    ///
    /// # Panics
    /// When it does not; the message has the whole result.
    #[track_caller]
    pub fn assert_output_contains(&self, text: &str) {
        assert!(self.stdout.contains(text), "the output does not contain {text:?}:\n{self}");
    }

    /// Asserts that the exit code is 0.
    ///
    /// # Panics
    /// When it is not; the message has the whole result.
    #[track_caller]
    pub fn assert_success(&self) {
        assert!(self.exit_code == 0, "the command failed:\n{self}");
    }
}

impl Display for PodOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { exit_code, stdout, stderr, phase, node } = self;
        write!(f, "{phase} on {node}, exit code {exit_code}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

/// Why there is no [`PodOutput`]: the pod never ran, did not end, or its output cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The cluster that answers is not the one that was created under this name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A request to the API server failed.
    #[error("{attempt} a pod of {image} in {cluster}")]
    Api {
        /// `create` or `delete`.
        attempt: &'static str,
        /// The pod's image.
        image: String,
        /// The cluster.
        cluster: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The pod can never start, for instance because no node has the image.
    #[error("pod {pod} in {cluster} never ran: {reason}")]
    NeverRan {
        /// The pod.
        pod: String,
        /// The cluster.
        cluster: String,
        /// The kubelet's reason and message.
        reason: String,
    },
    /// The pod did not end within its deadline.
    #[error("pod {pod} in {cluster} did not end")]
    Unfinished {
        /// The pod.
        pod: String,
        /// The cluster.
        cluster: String,
        /// The time-out with the pod's last status.
        #[source]
        source: Box<WaitError<kube::Error>>,
    },
    /// The log file of the pod cannot be read on its node.
    #[error("read the output of pod {pod} on {node}")]
    Output {
        /// The pod.
        pod: String,
        /// The node's name in Kubernetes.
        node: String,
        /// The failed command on the node.
        #[source]
        source: CommandError,
    },
}
