//! The way back: destroy, release, reap, and the evidence that is kept before.

use camino::{Utf8Path, Utf8PathBuf};

use crate::engine::EngineError;
use crate::error::{DestroyError, StageError};
use crate::events::Event;
use crate::kubeconfig;
use crate::plan::{ClusterPlan, InstanceId};
use crate::registry::{Owner, RegistryError, State};

use super::Provisioner;

/// An instance that nobody needed any more, and how its end went.
#[derive(Debug)]
pub struct Reaped {
    /// Its name.
    pub instance: String,
    /// Why it was taken down.
    pub why: String,
    /// How that went.
    pub outcome: Result<(), DestroyError>,
}

/// Why it is unknown what to reap.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The host cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

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

impl ReleaseError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::There { instance, .. } => Some(format!("`homelab down {instance}` takes it down")),
            Self::Needed { pid, .. } => Some(format!("wait for process {pid}, or end it")),
            Self::Registry(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Destroy(error) => Some(format!("`homelab down {}` tries again", error.cluster)),
        }
    }
}

impl Provisioner {
    /// Gives back the claim of an instance whose machines are gone: takes away what else there is of it, its entry
    /// last. Says whether there was anything of that name.
    ///
    /// # Errors
    /// [`ReleaseError`], above all when the host has anything of it; nothing was done then.
    pub async fn release(&self, name: &str) -> Result<bool, ReleaseError> {
        let seen = self.engine.sightings().await?.into_iter().filter(|sighting| sighting.instance == name);
        let sightings: Vec<String> = seen.map(|sighting| sighting.to_string()).collect();
        if !sightings.is_empty() {
            return Err(ReleaseError::There { instance: name.to_owned(), sightings });
        }
        let instance = self.registry.find(name)?;
        if let Some(owner) = instance.and_then(|instance| instance.owner).filter(Owner::is_alive) {
            return Err(ReleaseError::Needed { instance: name.to_owned(), pid: owner.pid });
        }
        Ok(self.destroy(name).await?)
    }

    /// Takes a cluster down, whatever is left of it: says whether there was anything of that name.
    ///
    /// Steps run in reverse order of creation, each on its own; the registry entry goes last and only when
    /// nothing is left. May be repeated.
    ///
    /// # Errors
    /// [`DestroyError`] with every step that failed.
    pub async fn destroy(&self, name: &str) -> Result<bool, DestroyError> {
        let mut failures: Vec<StageError> = Vec::new();
        let known = match self.registry.find(name) {
            Ok(Some(_)) => self.registry.update(name, |instance| instance.state = State::Destroying).is_ok(),
            Ok(None) => false,
            Err(error) => {
                return Err(DestroyError { cluster: name.to_owned(), failures: vec![error.into()] });
            }
        };
        let id = InstanceId { home: self.home.id(), name: name.to_owned() };
        let folder = self.home.instance(name);
        let known = known || folder.exists();
        failures.extend(kubeconfig::clear_active(&self.home, name).err().map(StageError::from));
        failures.extend(kubeconfig::unmerge(&self.home, name).err().map(StageError::from));
        failures.extend(self.engine.destroy(&id, &folder).await.err().map(StageError::from));
        failures.extend(remove_folder(folder).await.err().map(StageError::from));
        if failures.is_empty() {
            failures.extend(self.registry.release(name).err().map(StageError::from));
        }
        if !failures.is_empty() {
            return Err(DestroyError { cluster: name.to_owned(), failures });
        }
        self.events.publish(Event::ClusterDown { instance: name.to_owned() });
        self.events.publish(Event::InstanceReleased { instance: name.to_owned() });
        Ok(known)
    }

    /// Destroys what has no living owner, and what the host has of instances that no entry explains. An
    /// operator's instance has no owner and is never touched.
    ///
    /// # Errors
    /// [`ReapError`] when it cannot be found out what there is; a destruction that fails is in the list.
    pub async fn reap(&self) -> Result<Vec<Reaped>, ReapError> {
        // The host first: what is made after this look has its entry before the next one.
        let sightings = self.engine.sightings().await?;
        let instances = self.registry.instances()?;
        let mut doomed: Vec<(String, String)> = Vec::new();
        for instance in &instances {
            if let Some(owner) = instance.owner.as_ref().filter(|_| instance.is_abandoned()) {
                doomed.push((instance.name.clone(), format!("its owner, process {}, is gone", owner.pid)));
            }
        }
        for sighting in sightings {
            let explained = instances.iter().any(|instance| instance.name == sighting.instance);
            if !explained && !doomed.iter().any(|(name, _)| *name == sighting.instance) {
                doomed.push((sighting.instance.clone(), format!("no instance explains {sighting}")));
            }
        }
        let mut reaped = Vec::new();
        for (instance, why) in doomed {
            let outcome = self.destroy(&instance).await.map(drop);
            reaped.push(Reaped { instance, why, outcome });
        }
        Ok(reaped)
    }

    /// Copies plan, node logs and whatever else explains a failure into a folder.
    ///
    /// # Errors
    /// [`EngineError`] when the folder cannot be written.
    pub async fn collect_evidence(&self, name: &str, into: &Utf8Path) -> Result<(), EngineError> {
        let Ok(Some(instance)) = self.registry.find(name) else { return Ok(()) };
        let plan = ClusterPlan::of(&instance, &self.home);
        let failed = |source| EngineError::File { attempt: "write", path: into.to_owned(), source };
        self.home.create_dir(into).map_err(failed)?;
        std::fs::write(into.join("plan.txt"), format!("{plan:#?}\n")).map_err(failed)?;
        self.engine.collect_logs(&plan, into).await?;
        self.home.adopt_all(into).map_err(failed)
    }
}

async fn remove_folder(folder: Utf8PathBuf) -> Result<(), EngineError> {
    let target = folder.clone();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&target)).await;
    match removed.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::File { attempt: "remove", path: folder, source })
        }
        _ => Ok(()),
    }
}
