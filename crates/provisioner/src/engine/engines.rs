//! All engines of a home. Each instance is made by one of them; leftovers on the host may be of any.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;

use crate::node::{Node, Nodes};
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::request::EngineKind;

use super::{Engine, EngineError, MissingRequirement};
use crate::plan::Power;
use crate::sighting::Sighting;

/// The engines that make a home's instances, one for each kind.
#[derive(Debug, Clone)]
pub struct Engines(Vec<(EngineKind, Arc<dyn Engine>)>);

impl Engines {
    /// These engines. The first one also serves the kinds that have no engine here.
    pub(crate) fn new(
        first: (EngineKind, Arc<dyn Engine>),
        others: impl IntoIterator<Item = (EngineKind, Arc<dyn Engine>)>,
    ) -> Self {
        Self(std::iter::once(first).chain(others).collect())
    }

    /// The same engines, but with this one for its kind.
    pub(crate) fn with(mut self, kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        self.0.retain(|(of, _)| *of != kind);
        self.0.push((kind, engine));
        self
    }

    /// The engine of a kind.
    pub fn of(&self, kind: EngineKind) -> &Arc<dyn Engine> {
        let found = self.0.iter().find(|(of, _)| *of == kind).unwrap_or(&self.0[0]);
        &found.1
    }

    /// [`Engine::preflight`] of a kind.
    pub async fn preflight(&self, kind: EngineKind) -> Vec<MissingRequirement> {
        self.of(kind).preflight().await
    }

    /// [`Engine::create`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::create`]; also [`EngineError::Absent`] when the engine returns no node.
    pub async fn create(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        whole(plan, self.of(plan.engine).create(plan).await?)
    }

    /// [`Engine::attach`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::attach`]; also [`EngineError::Absent`] when the engine returns no node.
    pub async fn attach(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        whole(plan, self.of(plan.engine).attach(plan).await?)
    }

    /// [`Engine::destroy`] by the engine of this kind, which is recorded in the instance's registry entry. `None` when
    /// there is no entry: then every engine searches for leftovers.
    ///
    /// # Errors
    /// The error of the engine, if one failed; [`EngineError::Left`] with all errors, if several failed. Every engine
    /// is tried.
    pub async fn destroy(
        &self,
        id: &InstanceId,
        folder: &Utf8Path,
        kind: Option<EngineKind>,
    ) -> Result<bool, EngineError> {
        let (mut found, mut failures) = (false, Vec::new());
        for engine in self.those_of(kind) {
            match engine.destroy(id, folder).await {
                Ok(there) => found |= there,
                Err(error) => failures.push(error),
            }
        }
        match failures.len() {
            0 => Ok(found),
            1 => Err(failures.remove(0)),
            _ => {
                let left = failures.iter().map(|failure| crate::error::chain(failure)).collect();
                Err(EngineError::Left { instance: id.name.clone(), left })
            }
        }
    }

    /// [`Engine::destroy_node`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::destroy_node`].
    pub async fn destroy_node(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<bool, EngineError> {
        self.of(plan.engine).destroy_node(plan, node).await
    }

    /// [`Engine::power`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::power`].
    pub async fn power(&self, plan: &ClusterPlan, power: Power) -> Result<(), EngineError> {
        self.of(plan.engine).power(plan, power).await
    }

    /// [`Engine::sightings`] of every engine.
    ///
    /// # Errors
    /// The error of the first engine that cannot inspect its host.
    pub async fn sightings(&self) -> Result<Vec<Sighting>, EngineError> {
        self.sightings_of(None).await
    }

    /// [`Engine::sightings`] of the engine of one kind, or of every engine with `None`.
    ///
    /// # Errors
    /// The error of the first engine that cannot inspect its host.
    pub async fn sightings_of(&self, kind: Option<EngineKind>) -> Result<Vec<Sighting>, EngineError> {
        let mut all = Vec::new();
        for engine in self.those_of(kind) {
            all.extend(engine.sightings().await?);
        }
        Ok(all)
    }

    /// [`Engine::sightings`] of every engine. An engine that cannot inspect its host does not stop the others.
    pub async fn look(&self) -> Survey {
        let mut look = Survey::default();
        for (kind, engine) in &self.0 {
            match engine.sightings().await {
                Ok(sightings) => look.sightings.extend(sightings),
                Err(error) => look.blind.push((*kind, error)),
            }
        }
        look
    }

    fn those_of(&self, kind: Option<EngineKind>) -> Vec<&Arc<dyn Engine>> {
        match kind {
            Some(kind) => vec![self.of(kind)],
            None => self.0.iter().map(|(_, engine)| engine).collect(),
        }
    }

    /// [`Engine::strangers`] of every engine. An engine's error is ignored, because the kernel is asked as well before
    /// a folder is removed (`users_of`).
    pub async fn strangers(&self, id: &InstanceId, folder: &Utf8Path) -> Vec<String> {
        let asked = self.0.iter().map(|(_, engine)| engine.strangers(id, folder));
        futures::future::join_all(asked).await.into_iter().flatten().flatten().collect()
    }

    /// [`Engine::cgroups`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::cgroups`].
    pub async fn cgroups(&self, plan: &ClusterPlan) -> Result<BTreeMap<String, String>, EngineError> {
        self.of(plan.engine).cgroups(plan).await
    }

    /// [`Engine::collect_logs`] by the plan's engine.
    ///
    /// # Errors
    /// As for [`Engine::collect_logs`].
    pub async fn collect_logs(&self, plan: &ClusterPlan, into: &Utf8Path) -> Result<(), EngineError> {
        self.of(plan.engine).collect_logs(plan, into).await
    }
}

/// The nodes of a plan. [`EngineError::Absent`] when the engine returned none: [`Nodes`] has at least one.
fn whole(plan: &ClusterPlan, nodes: Vec<Node>) -> Result<Nodes, EngineError> {
    Nodes::of(nodes).ok_or_else(|| EngineError::Absent { node: plan.first().name.clone() })
}

/// The result of [`Engines::look`].
#[derive(Debug, Default)]
pub struct Survey {
    /// The sightings of the engines that could inspect their host.
    pub sightings: Vec<Sighting>,
    /// The engines that could not, with the reason.
    pub blind: Vec<(EngineKind, EngineError)>,
}

/// Collects the outcomes of the steps of a removal. A failed step does not stop the next ones.
#[derive(Debug, Default)]
pub(super) struct Removal {
    found: bool,
    left: Vec<String>,
}

impl Removal {
    /// Records whether a step found something to remove, or why it failed.
    pub(super) fn note(&mut self, outcome: Result<bool, EngineError>) {
        self.note_all(outcome.map_err(|error| vec![error]));
    }

    /// The same for a step that may fail with several errors.
    pub(super) fn note_all<E: std::error::Error>(&mut self, outcome: Result<bool, Vec<E>>) {
        match outcome {
            Ok(there) => self.found |= there,
            Err(failures) => self.left.extend(failures.iter().map(|failure| crate::error::chain(failure))),
        }
    }

    /// Whether any step found something to remove; [`EngineError::Left`] with all errors, if a step failed.
    pub(super) fn end(self, instance: &str) -> Result<bool, EngineError> {
        match self.left.is_empty() {
            true => Ok(self.found),
            false => Err(EngineError::Left { instance: instance.to_owned(), left: self.left }),
        }
    }
}
