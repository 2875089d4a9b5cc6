//! Machines come to exist, just short of Kubernetes.
//!
//! An [`Engine`] makes the nodes of a plan and the network between them, and takes them away again. It knows
//! nothing of Kubernetes, and nothing above this module knows how a node is made. One contract suite runs
//! against all engines. Next in the flow: `kubeadm` makes nodes a cluster.

mod container;
mod engines;
mod preflight;
mod usage;
mod vagrant;
#[cfg(feature = "simulated")]
mod simulated;

use std::fmt::{self, Debug};

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::BoxFuture;

use crate::error::Hint;
use crate::exec::CommandError;
use crate::fabric::FabricError;
use crate::files::FileError;
use crate::node::Node;
use crate::plan::{ClusterPlan, InstanceId, NodePlan, Power};
use crate::sighting::Sighting;
use crate::slowdown::Slowdown;

pub use container::ContainerEngine;
#[cfg(feature = "fuzzing")]
pub use container::read_podman;
pub use engines::{Engines, Look};
#[cfg(feature = "simulated")]
pub use simulated::{Fault, SimulatedEngine};
pub(crate) use usage::users_of;
pub(crate) use vagrant::allowed_ranges;
pub use vagrant::{VagrantEngine, VirtualBoxError};
pub use vagrant::{kvm, networks_conf};
#[cfg(feature = "fuzzing")]
pub use vagrant::{read_vagrant, read_virtualbox};

/// Makes machines and takes them away.
///
/// `create` may be called again after it succeeded or failed half-way, and starts nodes again that have ended.
/// `destroy` may come at any time, also when `create` never ran or is long forgotten, and may be cancelled at any await
/// and repeated.
pub trait Engine: Debug + Send + Sync {
    /// Whether the processor of its nodes is emulated: that of this host, where nodes have no other one.
    fn is_emulated(&self) -> bool {
        Slowdown::of_host() == Slowdown::EMULATED
    }

    /// Everything that this host lacks for the engine, all at once; empty when it can start.
    fn preflight(&self) -> BoxFuture<'_, Vec<Lack>>;

    /// Makes all nodes of a plan and the network between them, in the plan's order. Those that are there run on as they
    /// are: a plan that has become larger gets the nodes that are missing.
    ///
    /// # Errors
    /// [`EngineError`]; what was made until then stays for `destroy`.
    fn create<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>>;

    /// Takes new handles on the nodes that exist, for instance in another process.
    ///
    /// # Errors
    /// [`EngineError::Absent`] when one of them is not there or does not run.
    fn attach<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>>;

    /// Takes away everything that the host has of an instance, its `folder`'s node files included, and says whether
    /// there was anything.
    ///
    /// # Errors
    /// [`EngineError::Left`] with everything that could not be removed; each step is tried on its own.
    fn destroy<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Takes away everything that the host has of one node, and says whether there was anything; the others run on as
    /// they are. May come at any time, like `destroy`, and be cancelled and repeated.
    ///
    /// # Errors
    /// [`EngineError::Left`] with everything that could not be removed; each step is tried on its own.
    fn destroy_node<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        node: &'a NodePlan,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Stops all nodes of an instance or has them go on, and says nothing of what runs on them. Repeating it is fine.
    ///
    /// # Errors
    /// [`EngineError::Absent`] when one of them is not there; [`EngineError`] when one of them does not obey.
    fn power<'a>(&'a self, plan: &'a ClusterPlan, power: Power) -> BoxFuture<'a, Result<(), EngineError>>;

    /// What the host really has of this home's instances, whatever the registry says.
    ///
    /// # Errors
    /// [`EngineError`] when the host cannot be asked.
    fn sightings(&self) -> BoxFuture<'_, Result<Vec<Sighting>, EngineError>>;

    /// Nodes of other instances, of whatever home, that have something in this folder: as their disks, for instance.
    /// They run or not.
    ///
    /// # Errors
    /// [`EngineError`] when the host cannot be asked.
    fn strangers<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<Vec<String>, EngineError>>;

    /// Copies the logs of an instance's nodes into a folder, as far as there are any.
    ///
    /// # Errors
    /// [`EngineError`] when the folder cannot be written.
    fn collect_logs<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        into: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<(), EngineError>>;
}

/// Something that this host lacks, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What is missing: `podman`, `root`, `fs.inotify.max_user_instances ≥ 512`.
    pub what: String,
    /// What to type.
    pub remedy: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// Why machines could not be made, found or taken away.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The host is not ready for the engine.
    #[error("this host lacks: {}", listed(.0))]
    Preflight(Vec<Lack>),
    /// A file or folder of a node.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network.
    #[error("wire {instance}")]
    Wires {
        /// Whose network.
        instance: String,
        /// What the fabric says.
        #[source]
        source: Box<FabricError>,
    },
    /// A node does not obey.
    #[error("{power} node {node}")]
    Power {
        /// What it was told.
        power: Power,
        /// Which.
        node: String,
        /// What the engine's own tool says.
        #[source]
        source: CommandError,
    },
    /// A node could not be started.
    #[error("start node {node}")]
    Start {
        /// Which.
        node: String,
        /// What the engine's own tool says.
        #[source]
        source: CommandError,
    },
    /// The engine's own tool could not be asked.
    #[error("ask for {what}")]
    Ask {
        /// What was asked.
        what: &'static str,
        /// What the tool says.
        #[source]
        source: CommandError,
    },
    /// The engine's own tool answers in an unknown form.
    #[error("read the answer on {what}: {answer}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// The beginning of the answer.
        answer: String,
    },
    /// A node did not become usable.
    #[error("node {node} is not usable: {why}")]
    Unusable {
        /// Which.
        node: String,
        /// What is missing.
        why: String,
    },
    /// Something that nobody here has made uses a folder that would be removed.
    #[error("{folder} is used by {}", .users.join(", "))]
    Used {
        /// The folder.
        folder: Utf8PathBuf,
        /// Processes, with their containers.
        users: Vec<String>,
    },
    /// A node that should exist does not run.
    #[error("node {node} does not run")]
    Absent {
        /// Which.
        node: String,
    },
    /// Some things could not be removed.
    #[error("some things of {instance} are left: {}", .left.join("; "))]
    Left {
        /// Whose.
        instance: String,
        /// Each of them, with the reason.
        left: Vec<String>,
    },
    /// VirtualBox.
    #[error(transparent)]
    VirtualBox(#[from] VirtualBoxError),
    /// Something is in the way that nobody here has made.
    #[error("{what} is there, and this instance did not make it")]
    Foreign {
        /// What, with its name.
        what: String,
    },
    /// A failure that a test asked for.
    #[cfg(feature = "simulated")]
    #[error("injected failure: {0}")]
    Injected(String),
}

impl Hint for EngineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::VirtualBox(error) => error.hint(),
            Self::Foreign { .. } => {
                Some("choose another name; what a killed command has left, `homelab reap` removes".to_owned())
            }
            Self::Preflight(_) => Some("`homelab doctor` shows everything at once".to_owned()),
            Self::File(error) => error.hint(),
            Self::Wires { .. }
            | Self::Power { .. }
            | Self::Start { .. }
            | Self::Ask { .. }
            | Self::Answer { .. }
            | Self::Unusable { .. }
            | Self::Absent { .. }
            | Self::Left { .. } => None,
            #[cfg(feature = "simulated")]
            Self::Injected(_) => None,
            Self::Used { .. } => Some("end what uses it".to_owned()),
        }
    }
}

fn listed(lacks: &[Lack]) -> String {
    lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
