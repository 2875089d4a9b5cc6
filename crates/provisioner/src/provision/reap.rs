//! Destroys abandoned instances, whose owner has ended, and sightings without a registry entry.

use std::fmt;

use super::DestroyError;
use crate::dns::DnsError;
use crate::engine::{EngineError, Survey};
use crate::error::Hint;
use crate::registry::{Need, RegistryError, UnknownLiveness};
use crate::request::EngineKind;
use crate::trust::TrustError;

use super::Provisioner;

/// The result of a reap.
#[derive(Debug)]
pub struct Reaping {
    /// The abandoned instances and leftovers, each with the result of its destruction.
    pub reaped: Vec<Reaped>,
    /// The instances that were left alone because it is unknown whether their owner runs.
    pub spared: Vec<Spared>,
    /// The engines that could not be asked for sightings: they may have more leftovers.
    pub blind: Vec<(EngineKind, EngineError)>,
}

/// An abandoned instance or a leftover, and the result of its destruction.
#[derive(Debug)]
pub struct Reaped {
    /// The instance's name.
    pub instance: String,
    /// Why it was destroyed.
    pub why: String,
    /// Whether it was destroyed.
    pub outcome: Result<(), DestroyError>,
}

/// An instance that was left alone although its owner may have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// The instance's name.
    pub instance: String,
    /// The pid of its owner, in the owner's own PID namespace.
    pub pid: u32,
    /// Why it is unknown whether the owner runs.
    pub why: UnknownLiveness,
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, pid, why } = self;
        write!(
            f,
            "{instance} is left alone: it is unknown whether its owner, process {pid}, still runs ({why})"
        )
    }
}

/// Why nothing was reaped.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The host's trust store cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host's names cannot be read.
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
    /// Destroys abandoned instances ([`Need::Abandoned`]), and sightings, names and trust anchors of instances that
    /// have no registry entry. It leaves alone an operator's instance, unless a process was killed while it created or
    /// destroyed the instance. It also leaves alone an instance whose owner may still run.
    ///
    /// # Errors
    /// [`ReapError`] when the registry, the trust store or the names cannot be read; nothing was destroyed then. A
    /// failed destruction and an engine that cannot be asked are in the result.
    pub async fn reap(&self) -> Result<Reaping, ReapError> {
        // The host first, then the registry: an instance has its entry before anything of it is on the host, so nothing
        // that a process creates in between is taken for a leftover.
        let Survey { sightings, blind } = self.engines.look().await;
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
