//! The names of instances on the host: recorded, compared with the registry, and removed with the instance.
//!
//! Only an operator's instances have names. Tests reach a fixture's instances by address, and many may run at once.

use std::fmt;

use crate::dns::{Dns, DnsError, Effect, Recorded, Records};
use crate::error::Hint;
use crate::plan::ClusterPlan;
use crate::registry::{Entry, Instance, RegistryError, State};
use crate::settings::Settings;

use super::Provisioner;

/// Why names cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The records on the host cannot be read.
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
    /// The records that the host should have; `None` if the registry has no such instance, or it has no names.
    pub wanted: Option<Records>,
    /// The records that the host has.
    pub recorded: Option<Recorded>,
}

/// How the recorded names of an instance differ from the wanted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesState {
    /// The names are recorded as they should be.
    Recorded,
    /// No names are recorded.
    Missing,
    /// Names are recorded with other addresses or another suffix.
    Outdated,
    /// Names are recorded, but the registry has no instance for them.
    Stale,
    /// The records were changed by another program or a person, and cannot be parsed.
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
    /// Compares the recorded names with the wanted ones.
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

/// The result of a sync for one instance.
#[derive(Debug)]
pub struct NamesChange {
    /// The instance's name.
    pub instance: String,
    /// The change, or why it failed.
    pub outcome: Result<Change, DnsError>,
}

/// A change of an instance's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Missing or outdated names were recorded.
    Recorded,
    /// The names were recorded already.
    Unchanged,
    /// The names were removed: the registry has no instance for them.
    Removed,
}

/// The result of a sync.
#[derive(Debug)]
pub struct Synced {
    /// One change for each instance, stale names first.
    pub changes: Vec<NamesChange>,
    /// When the changes take effect; `None` where nothing changed.
    pub effect: Option<Result<Effect, DnsError>>,
}

impl Provisioner {
    /// Replaces the place where names are recorded.
    #[must_use]
    pub fn with_dns(self, dns: Dns) -> Self {
        Self { settings: Settings { dns, ..self.settings }, ..self }
    }

    /// Where names are recorded.
    pub fn dns(&self) -> &Dns {
        &self.settings.dns
    }

    /// The names of all instances that have some or should have some: first those in the registry, then stale ones.
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

    /// Records the names of every instance that should have some, and removes stale names.
    ///
    /// # Errors
    /// [`NamesError`] when the registry or the records cannot be read. A failure for one instance is in the result.
    pub async fn dns_sync(&self) -> Result<Synced, NamesError> {
        // The records first, then the registry: an instance has its entry before its names are recorded, so names that
        // are recorded in between are not taken for stale ones.
        let recorded = self.dns().list(&self.home)?;
        let entries = self.registry.list()?;
        let named = self.named()?;
        // A broken entry may be an instance that needs its names. If it has no legible name, these may be any names.
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

    /// Removes the names of one instance, also of one that the registry does not know. Returns when the change takes
    /// effect; `None` if no names were recorded.
    ///
    /// # Errors
    /// [`DnsError`] when the names cannot be removed, or dnsmasq cannot be restarted.
    pub async fn dns_remove(&self, name: &str) -> Result<Option<Effect>, DnsError> {
        match self.dns().remove(&self.home, name)? {
            true => self.dns().settle(self.runner.as_ref()).await.map(Some),
            false => Ok(None),
        }
    }

    /// Records the names of an instance, as its plan has them.
    pub(super) async fn record_names(&self, plan: &ClusterPlan) -> Result<(), DnsError> {
        if self.dns().add(&Records::of(plan))? {
            self.dns().settle(self.runner.as_ref()).await?;
        }
        Ok(())
    }

    /// Whether this instance should have names on the host.
    pub(super) fn has_names(&self, instance: &Instance) -> bool {
        instance.handling.host_names && *self.dns() != Dns::None
    }

    /// The instances that should have names, in the order in which they were claimed. An instance that is being
    /// destroyed should have none.
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
