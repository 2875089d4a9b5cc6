//! The host guard, looked after by whoever works with instances.

use crate::events::Event;
use crate::fabric::{self, FabricError, Kept, Look};

use super::{Host, Provisioner};

/// How many deviations an event lists; a table that somebody rewrote has more than anybody reads.
const LISTED: usize = 20;

impl Provisioner {
    /// Compares the host guard with what was built, and changes nothing. None where no link of ours is on the host: then
    /// none is needed. Without root its rules are not read.
    ///
    /// # Errors
    /// [`FabricError`] when the host cannot be asked.
    pub async fn look_at_guard(&self) -> Result<Option<Look>, FabricError> {
        match self.host {
            #[cfg(feature = "simulated")]
            Host::None => Ok(None),
            Host::Real => fabric::look_at_guard(&self.settings.pools.ranges(), self.runner.as_ref()).await,
        }
    }

    /// Puts the host guard back where it does not stand as it was built, and publishes that. Needs root.
    ///
    /// # Errors
    /// [`FabricError`] when it cannot be looked at or put back.
    pub async fn keep_guard(&self) -> Result<Kept, FabricError> {
        let kept = self.put_guard_back().await?;
        if let Kept::Restored { deviations } = &kept {
            let differed = deviations.iter().map(ToString::to_string).collect();
            self.events.publish(self.guard_restored(differed, 1));
        }
        Ok(kept)
    }

    /// The same without an event.
    pub(crate) async fn put_guard_back(&self) -> Result<Kept, FabricError> {
        match self.host {
            #[cfg(feature = "simulated")]
            Host::None => Ok(Kept::NotNeeded),
            Host::Real => fabric::keep_guard(&self.settings.pools.ranges(), self.runner.as_ref()).await,
        }
    }

    /// The event that says so. It is about every instance of this home: the guard is one for all.
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
