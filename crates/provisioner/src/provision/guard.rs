//! Inspects and restores the host guard for the CLI and for the watch. The rules are in `fabric::guard`.

use crate::events::Event;
use crate::fabric::{self, FabricError, Inspection, Restoration};

use super::{HostKind, Provisioner};

/// The most deviations that an event lists. A table that was rewritten as a whole has more than a reader needs.
const LISTED: usize = 20;

impl Provisioner {
    /// Compares the host guard with what was built, and changes nothing. `None` if the host has no link of ours, so
    /// that no guard is needed. Without root the rules are not read.
    ///
    /// # Errors
    /// [`FabricError`] when the host cannot be asked.
    pub async fn look_at_guard(&self) -> Result<Option<Inspection>, FabricError> {
        match self.host {
            #[cfg(feature = "simulated")]
            HostKind::None => Ok(None),
            HostKind::Real => {
                fabric::look_at_guard(&self.settings.pools.ranges(), self.runner.as_ref()).await
            }
        }
    }

    /// Restores the host guard if it differs from what was built, and publishes an event then. Needs root.
    ///
    /// # Errors
    /// [`FabricError`] when the guard cannot be read or restored.
    pub async fn keep_guard(&self) -> Result<Restoration, FabricError> {
        let kept = self.put_guard_back().await?;
        if let Restoration::Restored { deviations } = &kept {
            let differed = deviations.iter().map(ToString::to_string).collect();
            self.events.publish(self.guard_restored(differed, 1));
        }
        Ok(kept)
    }

    /// Restores the guard like [`keep_guard`](Self::keep_guard), without an event.
    pub(crate) async fn put_guard_back(&self) -> Result<Restoration, FabricError> {
        match self.host {
            #[cfg(feature = "simulated")]
            HostKind::None => Ok(Restoration::NotNeeded),
            HostKind::Real => fabric::keep_guard(&self.settings.pools.ranges(), self.runner.as_ref()).await,
        }
    }

    /// The event of a restored guard. It names every instance of this home, since all have the same guard.
    pub(crate) fn guard_restored(&self, mut deviations: Vec<String>, times: u64) -> Event {
        let entries = self.registry.list().unwrap_or_default();
        let instances = entries.iter().filter_map(|entry| entry.name().map(str::to_owned)).collect();
        if let Some(more) = deviations.len().checked_sub(LISTED).filter(|more| *more > 0) {
            deviations.truncate(LISTED);
            deviations.push(format!("and {more} more"));
        }
        Event::GuardRestored { instances, deviations, times }
    }
}
