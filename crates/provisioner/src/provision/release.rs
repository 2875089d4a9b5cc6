//! Releases the claim of an instance whose nodes do not exist any more.

use super::DestroyError;
use crate::engine::EngineError;
use crate::error::Hint;
use crate::registry::{Need, RegistryError, UnknownLiveness};

use super::{Provisioner, Removed};

/// Why the claim of an instance was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The host has nodes, links or networks of the instance.
    #[error("{instance} still exists: this host has {}", .sightings.join(", "))]
    There {
        /// The instance's name.
        instance: String,
        /// The sightings in words, such as `container homelab-0f.acme.acme-main`.
        sightings: Vec<String>,
    },
    /// The process that needs the instance runs; it may be creating the nodes at this moment.
    #[error("process {pid} is running and needs {instance}")]
    Needed {
        /// The instance's name.
        instance: String,
        /// The pid of its owner.
        pid: u32,
    },
    /// It is not known whether the process that needs the instance still runs.
    #[error("it is unknown whether process {pid} still needs {instance}: {why}")]
    UnknownLiveness {
        /// The instance's name.
        instance: String,
        /// The pid of its owner.
        pid: u32,
        /// Why that cannot be found out here.
        why: UnknownLiveness,
    },
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The engine cannot be asked for sightings.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The other parts of the instance, such as its folder, could not be removed.
    #[error(transparent)]
    Destroy(#[from] DestroyError),
}

impl Hint for ReleaseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::There { instance, .. } => Some(format!(
                "`sudo homelab status {instance}` shows it; `sudo homelab down {instance}` removes it with its data"
            )),
            Self::UnknownLiveness { instance, .. } => {
                Some(format!("`sudo homelab down {instance}` takes it down anyway"))
            }
            Self::Needed { pid, .. } => Some(format!("wait for process {pid}, or end it")),
            Self::Registry(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Destroy(error) => error.hint(),
        }
    }
}

impl Provisioner {
    /// Releases the claim of an instance whose nodes do not exist any more: removes its folder, its context, its names
    /// and its trust anchor, and the registry entry last. Returns what it removed.
    ///
    /// # Errors
    /// [`ReleaseError`], mostly because the host still has something of the instance. Nothing was done then, except
    /// after [`ReleaseError::Destroy`], which lists what was removed.
    pub async fn release(&self, name: &str) -> Result<Vec<Removed>, ReleaseError> {
        let instance = self.registry.find(name)?;
        let seen = self.engines.sightings_of(instance.as_ref().map(|instance| instance.engine)).await?;
        let seen = seen.into_iter().filter(|sighting| sighting.instance == name);
        let sightings: Vec<String> = seen.map(|sighting| sighting.to_string()).collect();
        if !sightings.is_empty() {
            return Err(ReleaseError::There { instance: name.to_owned(), sightings });
        }
        let needed = name.to_owned();
        match instance.as_ref().map(|instance| instance.need(&self.home)) {
            Some(Need::Process(owner)) => {
                return Err(ReleaseError::Needed { instance: needed, pid: owner.pid });
            }
            Some(Need::Unknown(owner, why)) => {
                return Err(ReleaseError::UnknownLiveness { instance: needed, pid: owner.pid, why });
            }
            Some(Need::Operator | Need::Abandoned(_)) | None => {}
        }
        Ok(self.destroy(name).await?)
    }
}
