//! Nothing is taken away that somebody else needs: an owner who lives, or whatever has a folder of ours mounted.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::engine;
use crate::error::Hint;
use crate::plan::InstanceId;
use crate::registry::{Instance, Liveness, State};

use super::{Provisioner, StageError};

/// How often it is looked whether an instance in the making is still there.
const PERIOD: Duration = Duration::from_secs(1);

/// Somebody else needs what would be taken away, or has taken away what is needed.
#[derive(Debug, thiserror::Error)]
pub enum InUseError {
    /// Its owner lives.
    #[error("{instance} is needed by process {pid}, which runs; nothing was done")]
    Owner {
        /// The instance.
        instance: String,
        /// Its owner.
        pid: u32,
    },
    /// Something uses a folder that would be removed.
    #[error("{folder} is used by {}; it is left as it is", .users.join(", "))]
    Folder {
        /// The folder.
        folder: Utf8PathBuf,
        /// Containers by their names, or processes.
        users: Vec<String>,
    },
    /// Another process took the instance away while this one made it.
    #[error("another process has taken {instance} down meanwhile")]
    TakenDown {
        /// The instance.
        instance: String,
    },
}

impl Hint for InUseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Owner { pid, .. } => Some(format!(
                "wait for process {pid}; or end it, and it takes the instance down itself or `homelab reap` does"
            )),
            Self::Folder { .. } => Some(
                "end what uses it; a container `homelab-<id>.…` belongs to the home with that id: take it down there, or \
                 `podman rm --force NAME`"
                    .to_owned(),
            ),
            Self::TakenDown { .. } => Some("`homelab events` says what happened to it".to_owned()),
        }
    }
}

impl Provisioner {
    /// Refuses to destroy an instance that the run of another process keeps.
    pub(super) fn refuse_owned(&self, instance: &Instance) -> Result<(), InUseError> {
        let others = instance.keeper.run().filter(|owner| !owner.is_this_process());
        match others.filter(|owner| owner.liveness(&self.home) == Liveness::Alive) {
            Some(owner) => Err(InUseError::Owner { instance: instance.name.clone(), pid: owner.pid }),
            None => Ok(()),
        }
    }

    /// Refuses to remove a folder that nodes of other instances or homes have.
    pub(super) async fn refuse_shared(&self, id: &InstanceId, folder: &Utf8Path) -> Result<(), InUseError> {
        let users = self.engines.strangers(id, folder).await;
        refuse(folder, users)
    }

    /// Ends when the instance that this process makes is not its own any more.
    pub(super) async fn taken_down(&self, made: &Instance) -> StageError {
        loop {
            tokio::time::sleep(PERIOD).await;
            // What cannot be read now may be read later.
            let Ok(found) = self.registry.find(&made.name) else { continue };
            let is_ours = |found: &Instance| {
                found.created_at == made.created_at
                    && found.operation == made.operation
                    && found.state != State::Destroying
            };
            if !found.as_ref().is_some_and(is_ours) {
                return InUseError::TakenDown { instance: made.name.clone() }.into();
            }
        }
    }
}

/// Refuses to remove a folder that a process of another mount namespace has.
pub(super) async fn refuse_mounted(folder: &Utf8Path) -> Result<(), InUseError> {
    refuse(folder, engine::users_of(folder).await)
}

fn refuse(folder: &Utf8Path, users: Vec<String>) -> Result<(), InUseError> {
    match users.is_empty() {
        true => Ok(()),
        false => Err(InUseError::Folder { folder: folder.to_owned(), users }),
    }
}
