//! Names on the workstation: recorded with an instance, compared with the registry, removed with it.
//!
//! Only an operator's instances have any. A fixture's are reached by address, and many of them may run at once.

use std::fmt;

use crate::dns::{Dns, DnsError, Effect, Recorded, Records};
use crate::error::Hint;
use crate::plan::ClusterPlan;
use crate::registry::{Entry, Instance, RegistryError, State};
use crate::settings::Settings;

use super::Provisioner;

/// Why names cannot be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The records.
    #[error(transparent)]
    Dns(#[from] DnsError),
}

impl Hint for NamesError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Dns(error) => error.hint(),
        }
    }
}

/// The names of one instance, as they should be and as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The instance's name.
    pub instance: String,
    /// What should be recorded, if the registry knows the instance as one that has names.
    pub wanted: Option<Records>,
    /// What is recorded.
    pub recorded: Option<Recorded>,
}

/// How the names of an instance are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesState {
    /// As they should be.
    Recorded,
    /// Not there.
    Missing,
    /// There, with other addresses or another suffix.
    Outdated,
    /// There, but no instance explains them.
    Stale,
    /// Not as homelab left them.
    Damaged,
}

impl fmt::Display for NamesState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Recorded => "recorded",
            Self::Missing => "missing",
            Self::Outdated => "outdated",
            Self::Stale => "stale",
            Self::Damaged => "damaged",
        })
    }
}

impl Names {
    /// How they are.
    pub fn state(&self) -> NamesState {
        match (&self.recorded, &self.wanted) {
            (Some(Recorded::Damaged { .. }), _) => NamesState::Damaged,
            (Some(Recorded::Sound { .. }), None) => NamesState::Stale,
            (Some(Recorded::Sound { records, .. }), Some(wanted)) if records == wanted => {
                NamesState::Recorded
            }
            (Some(Recorded::Sound { .. }), Some(_)) => NamesState::Outdated,
            (None, _) => NamesState::Missing,
        }
    }
}

/// What was done about an instance's names.
#[derive(Debug)]
pub struct NamesChange {
    /// The instance's name.
    pub instance: String,
    /// What was done, or why it could not be.
    pub outcome: Result<Change, DnsError>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its names are recorded now.
    Recorded,
    /// They were before.
    Unchanged,
    /// Its names are gone: no instance explains them.
    Removed,
}

/// What a sync did.
#[derive(Debug)]
pub struct Synced {
    /// Instance by instance, stale ones first.
    pub changes: Vec<NamesChange>,
    /// When the changes take effect; nothing where nothing changed.
    pub effect: Option<Result<Effect, DnsError>>,
}

impl Provisioner {
    /// Records names elsewhere.
    #[must_use]
    pub fn with_dns(self, dns: Dns) -> Self {
        Self { settings: Settings { dns, ..self.settings }, ..self }
    }

    /// Where names are recorded.
    pub fn dns(&self) -> &Dns {
        &self.settings.dns
    }

    /// Every instance that has names or should have some: first what the registry knows, then what it does not.
    ///
    /// # Errors
    /// [`NamesError`] when the registry or the records cannot be read.
    pub fn dns_list(&self) -> Result<Vec<Names>, NamesError> {
        let mut recorded = self.dns().list(&self.home)?;
        let mut all = Vec::new();
        for instance in self.named()? {
            let place = recorded.iter().position(|one| one.instance() == instance.name);
            let recorded = place.map(|place| recorded.remove(place));
            all.push(Names { wanted: Some(self.records(&instance)), instance: instance.name, recorded });
        }
        let others = recorded.into_iter().map(|one| Names {
            instance: one.instance().to_owned(),
            wanted: None,
            recorded: Some(one),
        });
        all.extend(others);
        Ok(all)
    }

    /// Records the names of every instance that has some, and removes those that no instance explains.
    ///
    /// # Errors
    /// [`NamesError`] when the registry or the records cannot be read; what fails for one instance is in the list.
    pub async fn dns_sync(&self) -> Result<Synced, NamesError> {
        // The records first: what is recorded after this look has its entry before the next one.
        let recorded = self.dns().list(&self.home)?;
        let entries = self.registry.list()?;
        let named = self.named()?;
        // A broken entry may be an instance that needs its names, and so may one whose very name is illegible.
        let spared = |name: &str| {
            let broken = |entry: &Entry| matches!(entry, Entry::Broken { name: theirs, .. } if theirs.as_deref().is_none_or(|it| it == name));
            named.iter().any(|instance| instance.name == name) || entries.iter().any(broken)
        };
        let mut changes = Vec::new();
        for one in recorded.iter().filter(|one| !spared(one.instance())) {
            let instance = one.instance().to_owned();
            if changes.iter().any(|change: &NamesChange| change.instance == instance) {
                continue;
            }
            let removed = self.dns().remove(&self.home, &instance);
            changes.push(NamesChange { outcome: removed.map(|_| Change::Removed), instance });
        }
        for instance in named {
            let added = self.dns().add(&self.records(&instance));
            let outcome = added.map(|changed| if changed { Change::Recorded } else { Change::Unchanged });
            changes.push(NamesChange { instance: instance.name, outcome });
        }
        let changed = |change: &NamesChange| matches!(change.outcome, Ok(Change::Recorded | Change::Removed));
        let effect = match changes.iter().any(changed) {
            true => Some(self.dns().settle(self.runner.as_ref()).await),
            false => None,
        };
        Ok(Synced { changes, effect })
    }

    /// Removes the names of one instance, whether or not it still exists. Returns when that takes effect, or nothing
    /// if there were none.
    ///
    /// # Errors
    /// [`DnsError`] when they cannot be removed, or dnsmasq cannot be told.
    pub async fn dns_remove(&self, name: &str) -> Result<Option<Effect>, DnsError> {
        match self.dns().remove(&self.home, name)? {
            true => self.dns().settle(self.runner.as_ref()).await.map(Some),
            false => Ok(None),
        }
    }

    /// Records the names of an instance that is being made.
    pub(super) async fn record_names(&self, plan: &ClusterPlan) -> Result<(), DnsError> {
        if self.dns().add(&Records::of(plan))? {
            self.dns().settle(self.runner.as_ref()).await?;
        }
        Ok(())
    }

    /// Whether names are recorded for this instance.
    pub(super) fn has_names(&self, instance: &Instance) -> bool {
        instance.handling.host_names && *self.dns() != Dns::None
    }

    /// The instances whose names shall be recorded, in the order in which they were claimed. One that is being taken
    /// down has none any more.
    fn named(&self) -> Result<Vec<Instance>, RegistryError> {
        let sound = self.registry.list()?.into_iter().filter_map(|entry| match entry {
            Entry::Sound(instance) => Some(instance),
            Entry::Broken { .. } => None,
        });
        let stays = |instance: &Instance| instance.state != State::Destroying && self.has_names(instance);
        Ok(sound.filter(stays).collect())
    }

    fn records(&self, instance: &Instance) -> Records {
        Records::of(&ClusterPlan::of(instance, &self.home))
    }
}
