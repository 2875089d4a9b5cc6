//! What nobody needs any more: instances without a living owner, and sightings that no entry explains.

use std::fmt;

use super::DestroyError;
use crate::dns::DnsError;
use crate::engine::{EngineError, Look};
use crate::error::Hint;
use crate::registry::{Need, RegistryError, Unjudged};
use crate::spec::EngineKind;
use crate::trust::TrustError;

use super::Provisioner;

/// What became of a search for what nobody needs any more.
#[derive(Debug)]
pub struct Reaping {
    /// What was found, and how its end went.
    pub reaped: Vec<Reaped>,
    /// What was left alone because it cannot be judged from here.
    pub spared: Vec<Spared>,
    /// The engines that could not be asked for leftovers: there may be more of theirs.
    pub blind: Vec<(EngineKind, EngineError)>,
}

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

/// An instance that was left alone although its owner may be dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// Its name.
    pub instance: String,
    /// The pid of its owner, in whatever namespace.
    pub pid: u32,
    /// Why nobody knows here.
    pub why: Unjudged,
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, pid, why } = self;
        write!(f, "{instance} is left alone: whether its owner, process {pid}, still runs is unknown ({why})")
    }
}

/// Why it is unknown what to reap.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its trust store cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its names cannot be read.
    #[error(transparent)]
    Dns(#[from] DnsError),
}

impl Hint for ReapError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Dns(error) => error.hint(),
        }
    }
}

impl Provisioner {
    /// Destroys instances that nothing needs ([`Need::Abandoned`]), and what the host has of instances that no entry
    /// explains. An operator's instance is left alone unless a process was killed while it created or destroyed it, and
    /// so is one of which it cannot be found out from here whether a process needs it.
    ///
    /// # Errors
    /// [`ReapError`] when it cannot be found out what there is; a destruction that fails is in the list, and so is an
    /// engine that cannot be asked.
    pub async fn reap(&self) -> Result<Reaping, ReapError> {
        // The host first: what is made after this look has its entry before the next one.
        let Look { sightings, blind } = self.engines.look().await;
        let anchors = self.trust.anchors(&self.home.id())?;
        let names = self.dns().list(&self.home)?;
        let instances = self.registry.instances()?;
        let mut doomed: Vec<(String, String)> = Vec::new();
        let mut spared = Vec::new();
        for instance in &instances {
            let name = instance.name.clone();
            match instance.need(&self.home) {
                Need::Operator | Need::Process(_) => {}
                Need::Abandoned(why) => doomed.push((name, why.to_string())),
                Need::Unknown(owner, why) => spared.push(Spared { instance: name, pid: owner.pid, why }),
            }
        }
        let sighted = sightings.iter().map(|sighting| (sighting.instance.as_str(), sighting.to_string()));
        let trusted =
            anchors.iter().map(|anchor| (anchor.name.as_str(), "trust in its authority".to_owned()));
        let named = names.iter().map(|one| (one.instance(), "its names on this host".to_owned()));
        for (name, what) in sighted.chain(trusted).chain(named) {
            let explained = instances.iter().any(|instance| instance.name == name);
            if !explained && !doomed.iter().any(|(doomed, _)| doomed == name) {
                doomed.push((name.to_owned(), format!("no instance explains {what}")));
            }
        }
        let mut reaped = Vec::new();
        for (instance, why) in doomed {
            let outcome = self.destroy(&instance).await.map(drop);
            reaped.push(Reaped { instance, why, outcome });
        }
        Ok(Reaping { reaped, spared, blind })
    }
}
