//! A command in a pod, and what became of it.

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

/// A pod that runs one command to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRun {
    image: String,
    command: Vec<String>,
    node: Option<String>,
    host_network: bool,
    within: Duration,
}

impl PodRun {
    /// A shell command in the toolbox image, which every node has.
    pub fn shell(script: impl Into<String>) -> Self {
        Self::new(TOOLBOX_IMAGE, ["sh".to_owned(), "-c".to_owned(), script.into()])
    }

    /// A command in any image that the nodes have: they can pull none, because nothing leads out of an instance. See
    /// `TestNode::load_image`.
    pub fn new(image: impl Into<String>, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            image: image.into(),
            command: command.into_iter().map(Into::into).collect(),
            node: None,
            host_network: false,
            within: Duration::from_secs(90),
        }
    }

    /// Runs it on this node, by the name that the test uses.
    #[must_use]
    pub fn on_node(self, node: impl Into<String>) -> Self {
        Self { node: Some(node.into()), ..self }
    }

    /// Runs it in the node's own network.
    #[must_use]
    pub fn host_network(self) -> Self {
        Self { host_network: true, ..self }
    }

    /// Gives it this long from its creation to its end, and longer where the cluster takes longer.
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

/// Three echo requests to an address; `UNREACHABLE` in the output when they fail.
///
/// A denial needs its positive control: without one, this also says `UNREACHABLE` where `ping` is missing.
pub fn ping(address: impl Into<IpAddr>) -> PodRun {
    PodRun::shell(format!("ping -c 3 -W 2 {} || echo UNREACHABLE", address.into()))
}

const CONTAINER: &str = "main";

/// What became of a pod that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodOutput {
    /// The command's exit code.
    pub exit_code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// `Succeeded` or `Failed`.
    pub phase: String,
    /// The node on which it ran.
    pub node: String,
}

impl PodOutput {
    /// Demands that standard output contains a text.
    ///
    /// # Panics
    /// When it does not, with everything that is known of the run.
    #[track_caller]
    pub fn assert_output_contains(&self, text: &str) {
        assert!(self.stdout.contains(text), "the output does not contain {text:?}:\n{self}");
    }

    /// Demands that the command succeeded.
    ///
    /// # Panics
    /// When it did not, with everything that is known of the run.
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

/// Why there is no output of a pod: it never ran, or nobody knows what it said.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The cluster is another one than the test means.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The API server refused.
    #[error("{attempt} a pod of {image} in {cluster}")]
    Api {
        /// `create`, `watch`.
        attempt: &'static str,
        /// The image.
        image: String,
        /// The cluster.
        cluster: String,
        /// What the API server says.
        #[source]
        source: Box<kube::Error>,
    },
    /// It cannot start, ever.
    #[error("pod {pod} in {cluster} never ran: {reason}")]
    NeverRan {
        /// The pod.
        pod: String,
        /// The cluster.
        cluster: String,
        /// Why, in the kubelet's words.
        reason: String,
    },
    /// It did not end in time.
    #[error("pod {pod} in {cluster} did not end")]
    Unfinished {
        /// The pod.
        pod: String,
        /// The cluster.
        cluster: String,
        /// How far it was.
        #[source]
        source: Box<WaitError<kube::Error>>,
    },
    /// Its output cannot be read.
    #[error("read the output of pod {pod} on {node}")]
    Output {
        /// The pod.
        pod: String,
        /// Its node.
        node: String,
        /// What the node says.
        #[source]
        source: CommandError,
    },
}
