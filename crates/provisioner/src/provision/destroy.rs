//! The way back: every layer of an instance is taken away, in the reverse order of its creation.

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
use crate::spec::Handling;
use crate::stage::Stage;

use super::Provisioner;
use super::hold::Hold;
use super::in_use::refuse_mounted;

/// Something of an instance that was there and is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was the active instance.
    Marker,
    /// Context, cluster and user in the user's kubeconfig.
    Context,
    /// Machines, networks and whatever else the engine made.
    Machines,
    /// The host's trust in its authority.
    Trust,
    /// Its folder: certificates, isolated kubeconfig, logs.
    Folder,
    /// Its names on the host.
    Names,
    /// Its claim on name, subnet and CIDRs.
    Entry,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Marker => "active-context marker",
            Self::Context => "context, cluster and user in the kubeconfig",
            Self::Machines => "machines and networks",
            Self::Trust => "trust anchor",
            Self::Folder => "folder with certificates and kubeconfig",
            Self::Names => "names on this host",
            Self::Entry => "registry entry",
        })
    }
}

/// Steps that are taken whatever became of the ones before.
#[derive(Debug, Default)]
struct Steps {
    removed: Vec<Removed>,
    failures: Vec<StageError>,
}

impl Steps {
    /// Notes how a step went: whether there was something to remove, or why it could not be.
    fn note(&mut self, what: Removed, outcome: Result<bool, impl Into<StageError>>) {
        match outcome {
            Ok(true) => self.removed.push(what),
            Ok(false) => {}
            Err(error) => self.failures.push(error.into()),
        }
    }
}

impl Provisioner {
    /// Takes a cluster down, whatever is left of it, and says what was removed. Nothing being left is fine, so it may
    /// be repeated.
    ///
    /// Steps run in reverse order of creation, each on its own; the registry entry goes last and only when
    /// nothing is left.
    ///
    /// # Errors
    /// [`DestroyError`] with every step that failed. When the cluster that answers is another one than the one
    /// recorded, nothing is done. Where nobody answers, that is told ([`Event::IdentityUnchecked`]), and what carries this
    /// home's and the instance's own name and labels goes.
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
        // Of an instance that the registry does not know, there may be anything.
        let handling = instance.map_or(Handling::OPERATOR, |instance| instance.handling);
        steps.note(Removed::Marker, kubeconfig::clear_active(&self.home, name));
        if handling.kubeconfig {
            steps.note(Removed::Context, kubeconfig::unmerge(&self.home, name));
        }
        steps.note(Removed::Trust, self.refuse(name).await);
        steps.note(Removed::Machines, self.engines.destroy(&id, &folder, kind).await);
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

    /// Takes the home off the host's list with its last instance.
    fn forget_home(&self) -> Result<(), RegistryError> {
        self.homes.as_ref().map_or(Ok(()), |list| Neighbours::forget(list, &self.home))
    }

    /// Publishes and records that the instance is being destroyed, if it is in the registry and nothing forbids it.
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
            // A registry that cannot be written now fails the last step, which reports it.
            Err(ChangeError::Registry(_)) => Ok(Some((instance, None))),
        }
    }
}

/// Removes a folder with everything in it, unless somebody uses it; says whether it was there.
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
