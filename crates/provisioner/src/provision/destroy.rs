//! Destroys an instance: removes its layers in the reverse order of their creation.

use std::fmt;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};

use super::{DestroyError, StageError};
use crate::engine::EngineError;
use crate::events::Event;
use crate::files::FileError;
use crate::kubeconfig;
use crate::plan::InstanceId;
use crate::registry::{ChangeError, Instance, Neighbours, OperationKind, RegistryError, State};
use crate::request::Handling;
use crate::stage::Stage;

use super::Provisioner;
use super::hold::Hold;
use super::in_use::refuse_mounted;

/// A part of an instance that existed and was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The mark of the active instance; only one instance of a home has it.
    Marker,
    /// Context, cluster and user in the user's kubeconfig.
    Context,
    /// The nodes, their networks, and everything else that the engine created.
    Nodes,
    /// The instance's authority in the host's trust store.
    Trust,
    /// The instance's folder: certificates, isolated kubeconfig, logs.
    Folder,
    /// The instance's names on the host.
    Names,
    /// The registry entry, and with it the claim on name, subnet and CIDRs.
    Entry,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Marker => "active-context marker",
            Self::Context => "context, cluster and user in the kubeconfig",
            Self::Nodes => "nodes and networks",
            Self::Trust => "trust anchor",
            Self::Folder => "folder with certificates and kubeconfig",
            Self::Names => "names on this host",
            Self::Entry => "registry entry",
        })
    }
}

/// The results of all steps: a failed step does not keep the next ones from running.
#[derive(Debug, Default)]
struct Steps {
    removed: Vec<Removed>,
    failures: Vec<StageError>,
}

impl Steps {
    /// Notes the result of a step: `true` if it removed something, `false` if there was nothing, or the error.
    fn note(&mut self, what: Removed, outcome: Result<bool, impl Into<StageError>>) {
        match outcome {
            Ok(true) => self.removed.push(what),
            Ok(false) => {}
            Err(error) => self.failures.push(error.into()),
        }
    }
}

impl Provisioner {
    /// Destroys an instance, or the parts of it that are left, and returns what it removed. It is no error if nothing
    /// is left, so the call may be repeated.
    ///
    /// The steps run in the reverse order of creation. A failed step does not stop the others; the registry entry is
    /// removed last, and only when no step has failed.
    ///
    /// # Errors
    /// [`DestroyError`] with every step that failed. Nothing is done when the cluster that answers is not the recorded
    /// one. If no cluster answers, the event [`Event::IdentityUnchecked`] says so, and everything with this home's id
    /// and the instance's name in its name or labels is removed.
    pub async fn destroy(&self, name: &str) -> Result<Vec<Removed>, DestroyError> {
        let started = Instant::now();
        let steps = self.take_apart(name).await;
        let outcome = if steps.failures.is_empty() {
            Ok(steps.removed)
        } else {
            let Steps { removed, failures } = steps;
            Err(DestroyError { cluster: name.to_owned(), removed, failures })
        };
        self.events.publish(Event::StageCompleted {
            instance: name.to_owned(),
            stage: Stage::Destroy,
            node: None,
            took: started.elapsed(),
            error: outcome.as_ref().err().map(ToString::to_string),
        });
        if outcome.as_ref().is_ok_and(|removed| !removed.is_empty()) {
            self.events.publish(Event::ClusterDown { instance: name.to_owned() });
            self.events.publish(Event::InstanceReleased { instance: name.to_owned() });
        }
        outcome
    }

    async fn take_apart(&self, name: &str) -> Steps {
        let mut steps = Steps::default();
        let id = InstanceId { home: self.home.id(), name: name.to_owned() };
        let folder = self.home.instance(name);
        let (instance, _hold) = match self.begin(name, &id, &folder).await {
            Ok(Some((instance, hold))) => (Some(instance), hold),
            Ok(None) => (None, None),
            Err(error) => {
                steps.failures.push(error);
                return steps;
            }
        };
        let kind = instance.as_ref().map(|instance| instance.engine);
        // An instance without an entry may have had context and names, as an operator's has.
        let handling = instance.map_or(Handling::OPERATOR, |instance| instance.handling);
        steps.note(Removed::Marker, kubeconfig::clear_active(&self.home, name));
        if handling.kubeconfig {
            steps.note(Removed::Context, kubeconfig::unmerge(&self.home, name));
        }
        steps.note(Removed::Trust, self.refuse(name).await);
        steps.note(Removed::Nodes, self.engines.destroy(&id, &folder, kind).await);
        steps.note(Removed::Folder, remove_folder(folder).await);
        if handling.host_names {
            steps.note(Removed::Names, self.dns_remove(name).await.map(|effect| effect.is_some()));
        }
        if steps.failures.is_empty() {
            steps.note(Removed::Entry, self.registry.release(name).map(|released| released.is_some()));
            steps.note(Removed::Entry, self.forget_home().map(|()| false));
        }
        steps
    }

    /// Removes the home from the host's list of homes after its last instance.
    fn forget_home(&self) -> Result<(), RegistryError> {
        self.homes.as_ref().map_or(Ok(()), |list| Neighbours::forget(list, &self.home))
    }

    /// Checks that the instance may be destroyed, and publishes and records the operation. `None` if the registry has
    /// no such instance.
    async fn begin(
        &self,
        name: &str,
        id: &InstanceId,
        folder: &Utf8Path,
    ) -> Result<Option<(Instance, Option<Hold>)>, StageError> {
        let found = self.registry.find(name)?;
        found.as_ref().map_or(Ok(()), |instance| self.refuse_owned(instance))?;
        self.refuse_shared(id, folder).await?;
        let Some(instance) = found else { return Ok(None) };
        let started = instance.name.clone();
        self.events.publish(Event::StageStarted { instance: started, stage: Stage::Destroy, node: None });
        self.identify_if_it_answers(&instance).await?;
        let going = |instance: &Instance| Ok(Instance { state: State::Destroying, ..instance.clone() });
        match self.hold(name, OperationKind::Destroy, going) {
            Ok((instance, hold)) => Ok(Some((instance, Some(hold)))),
            Err(ChangeError::Refused(busy)) => Err(busy.into()),
            // If the registry cannot be written, the last step fails, too, and reports it.
            Err(ChangeError::Registry(_)) => Ok(Some((instance, None))),
        }
    }
}

/// Removes a folder with everything in it, unless it is in use. Returns whether the folder existed.
async fn remove_folder(folder: Utf8PathBuf) -> Result<bool, StageError> {
    refuse_mounted(&folder).await?;
    let target = folder.clone();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&target)).await;
    match removed.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(EngineError::File(FileError { attempt: "remove", path: folder, source }).into()),
    }
}
