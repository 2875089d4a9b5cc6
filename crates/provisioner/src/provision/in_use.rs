//! Refuses to remove things that are in use: an instance whose owner runs in another process, or a folder that another
//! process or node has mounted.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::engine;
use crate::error::Hint;
use crate::plan::InstanceId;
use crate::registry::{Instance, Liveness, State};

use super::{Provisioner, StageError};

/// The time between two checks whether the registry still has the instance that this process creates.
const PERIOD: Duration = Duration::from_secs(1);

/// Another process or node uses a thing that would be removed, or has removed the instance that this process creates.
#[derive(Debug, thiserror::Error)]
pub enum InUseError {
    /// The owner of the instance runs.
    #[error("process {pid} is running and needs {instance}; nothing was done")]
    Owner {
        /// The instance's name.
        instance: String,
        /// The pid of its owner.
        pid: u32,
    },
    /// A folder that would be removed is in use.
    #[error("{folder} is used by {}; it was not removed", .users.join(", "))]
    Folder {
        /// The folder.
        folder: Utf8PathBuf,
        /// The users in words, such as `container homelab-0f.acme.acme-main` or a process.
        users: Vec<String>,
    },
    /// Another process took the instance down while this process created it.
    #[error("another process took {instance} down during its creation")]
    TakenDown {
        /// The instance's name.
        instance: String,
    },
}

impl Hint for InUseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Owner { pid, .. } => Some(format!(
                "wait for process {pid}; or end it: it takes the instance down, or `sudo homelab reap` does"
            )),
            Self::Folder { .. } => Some(
                "stop the users of the folder; a container `homelab-<id>.…` belongs to the home with that id: take its \
                 instance down there, or `podman rm --force NAME`"
                    .to_owned(),
            ),
            Self::TakenDown { .. } => Some("`homelab events` shows what happened to the instance".to_owned()),
        }
    }
}

impl Provisioner {
    /// Refuses to destroy an instance whose owner is another process that runs.
    pub(super) fn refuse_owned(&self, instance: &Instance) -> Result<(), InUseError> {
        let others = instance.keeper.run().filter(|owner| !owner.is_this_process());
        match others.filter(|owner| owner.liveness(&self.home) == Liveness::Alive) {
            Some(owner) => Err(InUseError::Owner { instance: instance.name.clone(), pid: owner.pid }),
            None => Ok(()),
        }
    }

    /// Refuses to remove a folder that nodes of other instances or homes use.
    pub(super) async fn refuse_shared(&self, id: &InstanceId, folder: &Utf8Path) -> Result<(), InUseError> {
        let users = self.engines.strangers(id, folder).await;
        refuse(folder, users)
    }

    /// Polls the registry, and returns when the instance that this process creates is gone, is being destroyed, or was
    /// claimed by another process.
    pub(super) async fn taken_down(&self, made: &Instance) -> StageError {
        loop {
            tokio::time::sleep(PERIOD).await;
            // A registry that cannot be read now may be readable at the next poll.
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

/// Refuses to remove a folder that is mounted in another mount namespace or has a VM's disk in use.
pub(super) async fn refuse_mounted(folder: &Utf8Path) -> Result<(), InUseError> {
    refuse(folder, engine::users_of(folder).await)
}

fn refuse(folder: &Utf8Path, users: Vec<String>) -> Result<(), InUseError> {
    match users.is_empty() {
        true => Ok(()),
        false => Err(InUseError::Folder { folder: folder.to_owned(), users }),
    }
}
