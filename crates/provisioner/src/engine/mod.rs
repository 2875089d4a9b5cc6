//! Engines make the nodes of a plan and the network between them, and remove them again.
//!
//! An [`Engine`] knows nothing of Kubernetes, and no module above this one knows how a node is made. One contract suite
//! runs against all engines. Next in the flow: `kubeadm` makes the nodes a cluster.

mod container;
mod engines;
mod preflight;
mod usage;
mod vagrant;
#[cfg(feature = "simulated")]
mod simulated;

use std::collections::BTreeMap;
use std::fmt::Debug;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::BoxFuture;

use crate::capacity::CapacityError;
use crate::error::Hint;
use crate::exec::CommandError;
use crate::fabric::FabricError;
use crate::files::FileError;
use crate::node::Node;
use crate::plan::{ClusterPlan, InstanceId, NodePlan, Power};
use crate::sighting::Sighting;
use crate::slowdown::Slowdown;

pub use crate::error::MissingRequirement;
pub use container::ContainerEngine;
#[cfg(feature = "fuzzing")]
pub use container::read_podman;
pub use engines::{Engines, Survey};
#[cfg(feature = "simulated")]
pub use simulated::{Fault, SimulatedEngine};
pub(crate) use usage::users_of;
pub(crate) use vagrant::allowed_ranges;
pub use vagrant::{VagrantEngine, VirtualBoxError};
pub use vagrant::{kvm, networks_conf};
#[cfg(feature = "fuzzing")]
pub use vagrant::{read_vagrant, read_virtualbox};

/// Makes and removes the nodes and the network of an instance.
///
/// `create` may be called again after it succeeded or failed half-way; it also starts nodes again that have ended.
/// `destroy` may be called at any time, even if `create` never ran or the registry has no entry of the instance. It may
/// be cancelled at any await, and repeated.
pub trait Engine: Debug + Send + Sync {
    /// Whether the processor of the nodes is emulated. The default is the answer for the host's processor, for engines
    /// whose nodes use that one.
    fn is_emulated(&self) -> bool {
        Slowdown::of_host() == Slowdown::EMULATED
    }

    /// All requirements of the engine that this host does not meet; empty when the engine can make nodes.
    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>>;

    /// Makes all nodes of a plan and the network between them, and returns the nodes in the plan's order. Nodes that
    /// run already are left as they are: for a plan that has grown, only the new nodes are made.
    ///
    /// # Errors
    /// [`EngineError`]. Nodes and networks that were made before the error stay until `destroy` removes them.
    fn create<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>>;

    /// Returns new handles on the existing nodes of a plan, for instance in another process.
    ///
    /// # Errors
    /// [`EngineError::Absent`] when a node does not exist or does not run.
    fn attach<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>>;

    /// Removes everything that the host has of an instance, including the node files in its `folder`. Returns whether
    /// there was anything to remove.
    ///
    /// # Errors
    /// [`EngineError::Left`] with everything that could not be removed. A failed step does not stop the next ones.
    fn destroy<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Removes everything that the host has of one node, and returns whether there was anything. The other nodes are
    /// left as they are. Like `destroy`, it may be called at any time, cancelled and repeated.
    ///
    /// # Errors
    /// [`EngineError::Left`] with everything that could not be removed; a failed step does not stop the next ones.
    /// Another [`EngineError`] when the engine cannot find out whether the node exists.
    fn destroy_node<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        node: &'a NodePlan,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Pauses, resumes, halts or starts all nodes of an instance. It does not wait for Kubernetes on them. May be
    /// repeated.
    ///
    /// # Errors
    /// [`EngineError::Absent`] when a node does not exist; another [`EngineError`] when a node could not be changed.
    /// Nodes that were changed before the error stay changed.
    fn power<'a>(&'a self, plan: &'a ClusterPlan, power: Power) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Everything that the host has of this home's instances, also of those that the registry does not know.
    ///
    /// # Errors
    /// [`EngineError`] when the host cannot be inspected.
    fn sightings(&self) -> BoxFuture<'_, Result<Vec<Sighting>, EngineError>>;

    /// The nodes of other instances, of any home, that keep something in this folder, such as their disks. Nodes that
    /// do not run count as well. For people: `container homelab-8fc76b.acme.acme-cp-1`.
    ///
    /// # Errors
    /// [`EngineError`] when the host cannot be inspected.
    fn strangers<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<Vec<String>, EngineError>>;

    /// For each node of an instance, by its name, a text that is in the names of all its cgroups on this host, such as
    /// the id of its container. A node without an entry has no such text, as a VM, or does not exist.
    ///
    /// # Errors
    /// [`EngineError`] when the host cannot be inspected.
    fn cgroups<'a>(
        &'a self,
        _plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, EngineError>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    /// Copies the logs of an instance's nodes into a folder, with a subfolder for each node that has logs.
    ///
    /// # Errors
    /// [`EngineError`] when logs cannot be read or the folder cannot be written.
    fn collect_logs<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        into: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<(), EngineError>>;
}

/// Why nodes could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The host does not meet these requirements of the engine.
    #[error("missing requirements: {}", listed(.0))]
    Preflight(Vec<MissingRequirement>),
    /// The limits of a node depend on the host's memory and processors, which could not be read.
    #[error("find the limits of a node")]
    Limits(#[source] CapacityError),
    /// A file or folder of a node could not be read, written or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network of an instance could not be made, inspected, guarded or removed.
    #[error("network of {instance}")]
    Wires {
        /// The name of the instance, or `all instances`, or `the host`.
        instance: String,
        /// The fabric's error, with the attempt.
        #[source]
        source: Box<FabricError>,
    },
    /// A node could not be paused, resumed, halted or started.
    #[error("{power} node {node}")]
    Power {
        /// The attempt.
        power: Power,
        /// The node's name.
        node: String,
        /// The error of the engine's own tool.
        #[source]
        source: CommandError,
    },
    /// Nodes could not be made, or could not be started again.
    #[error("start node {node}")]
    Start {
        /// The node's name, or several, separated by commas.
        node: String,
        /// The error of the engine's own tool.
        #[source]
        source: CommandError,
    },
    /// A command of the engine's own tool failed.
    #[error("{what}")]
    Ask {
        /// The attempt: `list containers`.
        what: &'static str,
        /// The tool's error.
        #[source]
        source: CommandError,
    },
    /// The engine's own tool answered in an unknown form.
    #[error("{what}: unexpected answer: {answer}")]
    Answer {
        /// The attempt: `list containers`.
        what: &'static str,
        /// The beginning of the answer, and what is wrong with it.
        answer: String,
    },
    /// A node did not become usable.
    #[error("node {node} is not usable: {why}")]
    Unusable {
        /// The node's name.
        node: String,
        /// The reason: `containerd does not answer: …`.
        why: String,
    },
    /// A folder that would be removed is used by a process that is not the instance's own.
    #[error("{folder} is used by {}", .users.join(", "))]
    Used {
        /// The folder.
        folder: Utf8PathBuf,
        /// Processes, with their containers: `process 4711 (sh) of container 0123456789ab`.
        users: Vec<String>,
    },
    /// A node does not exist or does not run.
    #[error("node {node} does not run")]
    Absent {
        /// The node's name.
        node: String,
    },
    /// Parts of an instance could not be removed.
    #[error("some parts of {instance} could not be removed: {}", .left.join("; "))]
    Left {
        /// The instance's name.
        instance: String,
        /// The error of each failed step, with its causes.
        left: Vec<String>,
    },
    /// VirtualBox failed.
    #[error(transparent)]
    VirtualBox(#[from] VirtualBoxError),
    /// The host has a thing with a name of this instance that the instance did not make.
    #[error("{what} exists already, and this instance did not make it")]
    Foreign {
        /// Its kind and name: `a virtual machine named homelab-8fc76b.acme.acme-cp-1`.
        what: String,
    },
    /// A failure that a test requested.
    #[cfg(feature = "simulated")]
    #[error("injected failure: {0}")]
    Injected(String),
}

impl Hint for EngineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::VirtualBox(error) => error.hint(),
            Self::Foreign { .. } => {
                Some("choose another name, or run `sudo homelab reap` if a killed command left it".to_owned())
            }
            Self::Preflight(_) => Some("`homelab doctor` lists all missing requirements".to_owned()),
            Self::File(error) => error.hint(),
            Self::Limits(_)
            | Self::Wires { .. }
            | Self::Power { .. }
            | Self::Start { .. }
            | Self::Ask { .. }
            | Self::Answer { .. }
            | Self::Unusable { .. }
            | Self::Absent { .. }
            | Self::Left { .. } => None,
            #[cfg(feature = "simulated")]
            Self::Injected(_) => None,
            Self::Used { .. } => Some("end the processes that use it, and try again".to_owned()),
        }
    }
}

fn listed(lacks: &[MissingRequirement]) -> String {
    lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
