//! The claim of an instance whose machines are gone is given back.

use super::DestroyError;
use crate::engine::EngineError;
use crate::error::Hint;
use crate::registry::{Need, RegistryError, Unjudged};

use super::{Provisioner, Removed};

/// Why the claim of an instance is not given back.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Something of it exists.
    #[error("{instance} is not gone: this host has {}", .sightings.join(", "))]
    There {
        /// The instance.
        instance: String,
        /// Everything that was seen.
        sightings: Vec<String>,
    },
    /// Somebody may be making it at this moment.
    #[error("{instance} is needed by process {pid}, which runs")]
    Needed {
        /// The instance.
        instance: String,
        /// Its owner.
        pid: u32,
    },
    /// Somebody may be making it at this moment, or nobody.
    #[error("whether process {pid} still needs {instance} is unknown: {why}")]
    Unjudged {
        /// The instance.
        instance: String,
        /// Its owner.
        pid: u32,
        /// Why nobody knows here.
        why: Unjudged,
    },
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The host cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What is left beside machines could not be removed.
    #[error(transparent)]
    Destroy(#[from] DestroyError),
}

impl Hint for ReleaseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::There { instance, .. } => Some(format!(
                "`homelab status {instance}` shows it; `homelab down {instance}` removes it with its data"
            )),
            Self::Unjudged { instance, .. } => {
                Some(format!("`homelab down {instance}` takes it down all the same"))
            }
            Self::Needed { pid, .. } => Some(format!("wait for process {pid}, or end it")),
            Self::Registry(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Destroy(error) => error.hint(),
        }
    }
}

impl Provisioner {
    /// Gives back the claim of an instance whose machines are gone: takes away what else there is of it, its entry
    /// last, and says what that was.
    ///
    /// # Errors
    /// [`ReleaseError`], above all when the host has anything of it; nothing was done then.
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
                return Err(ReleaseError::Unjudged { instance: needed, pid: owner.pid, why });
            }
            Some(Need::Operator | Need::Abandoned(_)) | None => {}
        }
        Ok(self.destroy(name).await?)
    }
}
