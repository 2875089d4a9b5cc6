//! Nodes in memory that fail on request, for tests of everything above the engine.
//!
//! A simulated node stores the files that are put on it, returns them, and makes the kubeconfigs that kubeadm would
//! make. Commands that it does not know succeed with an empty output, unless a test gives an answer or a [`Fault`]. So
//! success proves nothing: a test checks [`SimulatedEngine::commands`], which lists the commands that ran.

mod node;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use camino::Utf8Path;
use futures::future::BoxFuture;

use crate::exec::Command;
use crate::files::FileError;
use crate::node::Node;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};

use super::{Engine, EngineError, MissingRequirement};
use crate::plan::Power;
use crate::sighting::{Sighting, SightingKind};

use node::SimulatedNode;

/// An engine whose host is this process. Clones share one host, as processes on a real host do.
#[derive(Debug, Clone)]
pub struct SimulatedEngine {
    home: String,
    host: Shared,
    is_emulated: bool,
}

/// A failure that a test requests. All but [`Fault::Destroy`] last until [`SimulatedEngine::heal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The host does not meet this requirement.
    Preflight(MissingRequirement),
    /// `create` fails after it has made some of the nodes.
    Create {
        /// The number of nodes that are made before the failure; 0 means none.
        after: usize,
    },
    /// `sightings`, `destroy` and `destroy_node` fail: the host cannot be inspected.
    Blind,
    /// The next `destroy` or `destroy_node` fails and removes nothing.
    Destroy,
    /// A command on a node exits with 1 if its `Display` contains this text.
    Command(String),
    /// A command on a node runs until its deadline if its `Display` contains this text.
    Hang(String),
    /// A node disappears when it is told to run a command whose `Display` contains this text.
    Vanish(String),
}

/// The state that all clones of an engine and all their nodes share.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<SimulatedState>>);

#[derive(Debug, Default)]
struct SimulatedState {
    /// The key is the instance and the node's name.
    nodes: BTreeMap<(InstanceId, String), SimulatedNode>,
    faults: Vec<Fault>,
    answers: Vec<(String, String)>,
    commands: Vec<(String, String)>,
}

impl SimulatedState {
    fn can_be_asked(&self) -> Result<(), EngineError> {
        match self.faults.contains(&Fault::Blind) {
            true => Err(EngineError::Injected("the host cannot be inspected".to_owned())),
            false => Ok(()),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, SimulatedState> {
        // A poisoned lock is fine: no panic leaves a change to the state half-done.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SimulatedEngine {
    /// An engine for the instances of one home.
    pub fn new(home: impl Into<String>) -> Self {
        Self { home: home.into(), host: Shared::default(), is_emulated: false }
    }

    /// The engine of another home on the same host.
    #[must_use]
    pub fn for_home(&self, home: impl Into<String>) -> Self {
        Self { home: home.into(), ..self.clone() }
    }

    /// The same engine with an emulated processor, so that the deadlines of commands are stretched.
    #[must_use]
    pub fn emulated(self) -> Self {
        Self { is_emulated: true, ..self }
    }

    /// Adds a fault. It also applies to the clones.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        self.host.state().faults.push(fault);
        self
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.host.state().faults.clear();
    }

    /// Sets the standard output of commands whose `Display` contains this text. If several answers match, the last one
    /// that was set counts.
    #[must_use]
    pub fn answering(self, text: impl Into<String>, stdout: impl Into<String>) -> Self {
        self.host.state().answers.push((text.into(), stdout.into()));
        self
    }

    /// All commands that nodes were told to run so far, in order, as (name of the node, `Display` of the command).
    pub fn commands(&self) -> Vec<(String, String)> {
        self.host.state().commands.clone()
    }

    fn node(&self, plan: &ClusterPlan, place: usize) -> Node {
        let node = plan.nodes[place].clone();
        let key = (plan.id.clone(), node.name.clone());
        Node::new(node, Arc::new(node::Inside { host: self.host.clone(), key }))
    }

    fn nodes(&self, plan: &ClusterPlan) -> Vec<Node> {
        (0..plan.nodes.len()).map(|place| self.node(plan, place)).collect()
    }

    fn make(&self, plan: &ClusterPlan) -> Result<Vec<Node>, EngineError> {
        let mut state = self.host.state();
        let limit = state.faults.iter().find_map(|fault| match fault {
            Fault::Create { after } => Some(*after),
            _ => None,
        });
        for (made, node) in plan.nodes.iter().enumerate() {
            if limit == Some(made) {
                return Err(EngineError::Injected(format!("create, when {made} nodes were made")));
            }
            let key = (plan.id.clone(), node.name.clone());
            state.nodes.entry(key).or_insert_with(|| SimulatedNode::new(plan)).wake();
        }
        match limit {
            Some(limit) if limit >= plan.nodes.len() => {
                Err(EngineError::Injected("create, when all nodes were made".to_owned()))
            }
            _ => Ok(self.nodes(plan)),
        }
    }

    fn find(&self, plan: &ClusterPlan) -> Result<Vec<Node>, EngineError> {
        let state = self.host.state();
        let runs = |node: &NodePlan| {
            let known = state.nodes.get(&(plan.id.clone(), node.name.clone()));
            known.is_some_and(SimulatedNode::runs)
        };
        let absent = plan.nodes.iter().find(|node| !runs(node));
        match absent {
            Some(node) => Err(EngineError::Absent { node: node.name.clone() }),
            None => Ok(self.nodes(plan)),
        }
    }

    fn remove(&self, doomed: impl Fn(&InstanceId, &str) -> bool) -> Result<bool, EngineError> {
        let mut state = self.host.state();
        state.can_be_asked()?;
        if let Some(place) = state.faults.iter().position(|fault| *fault == Fault::Destroy) {
            state.faults.remove(place);
            return Err(EngineError::Injected("destroy, once".to_owned()));
        }
        let before = state.nodes.len();
        state.nodes.retain(|(id, node), _| !doomed(id, node));
        Ok(state.nodes.len() < before)
    }
}

impl Engine for SimulatedEngine {
    fn is_emulated(&self) -> bool {
        self.is_emulated
    }

    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>> {
        Box::pin(async {
            let state = self.host.state();
            let lacks = state.faults.iter().filter_map(|fault| match fault {
                Fault::Preflight(lack) => Some(lack.clone()),
                _ => None,
            });
            lacks.collect()
        })
    }

    fn create<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(async { self.make(plan) })
    }

    fn attach<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(async { self.find(plan) })
    }

    fn destroy<'a>(
        &'a self,
        id: &'a InstanceId,
        _folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move { self.remove(|of, _| of == id) })
    }

    fn destroy_node<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        node: &'a NodePlan,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move { self.remove(|of, name| *of == plan.id && name == node.name) })
    }

    fn power<'a>(&'a self, plan: &'a ClusterPlan, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut state = self.host.state();
            for node in &plan.nodes {
                let known = state.nodes.get_mut(&(plan.id.clone(), node.name.clone()));
                let absent = || EngineError::Absent { node: node.name.clone() };
                known.ok_or_else(absent)?.obey(power);
            }
            Ok(())
        })
    }

    fn sightings(&self) -> BoxFuture<'_, Result<Vec<Sighting>, EngineError>> {
        Box::pin(async {
            let state = self.host.state();
            state.can_be_asked()?;
            let ours = state.nodes.keys().filter(|(id, _)| id.home == self.home);
            let sightings = ours.map(|(id, node)| Sighting {
                instance: id.name.clone(),
                kind: SightingKind::Container,
                name: id.node_scope(node),
            });
            Ok(sightings.collect())
        })
    }

    fn strangers<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        Box::pin(async move {
            let state = self.host.state();
            let others = state.nodes.iter().filter(|((of, _), node)| of != id && node.is_in(folder));
            Ok(others.map(|((of, node), _)| format!("container {}", of.node_scope(node))).collect())
        })
    }

    /// Writes the commands that each node was told to run to `<node>/commands.log`.
    fn collect_logs<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        into: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let commands = self.commands();
            for node in &plan.nodes {
                let own = commands.iter().filter(|(name, _)| *name == node.name);
                let log: String = own.map(|(_, command)| format!("{command}\n")).collect();
                let path = into.join(&node.name).join("commands.log");
                let failed =
                    |source| EngineError::File(FileError { attempt: "write", path: path.clone(), source });
                std::fs::create_dir_all(into.join(&node.name)).map_err(failed)?;
                std::fs::write(&path, log).map_err(failed)?;
            }
            Ok(())
        })
    }
}

/// Whether a command is meant by a test's text: its `Display` contains it.
fn meant(text: &str, command: &Command) -> bool {
    command.to_string().contains(text)
}
