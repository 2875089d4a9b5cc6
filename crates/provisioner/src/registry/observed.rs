//! Whether an instance is still as its entry says: whether its owner has ended, and whether the host was rebooted
//! since. The check takes microseconds and asks no engine and no cluster.

use std::sync::LazyLock;

use crate::home::Home;

use super::owner::boot_id;
use super::{Instance, State};

/// How an instance differs from its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedState {
    /// No difference was found.
    AsRecorded,
    /// The owner has ended: only `reap` or `down` will remove the instance.
    Abandoned,
    /// The nodes ran or were paused in an earlier boot of this host: they are off now, and their disks are kept.
    Off,
}

impl Instance {
    /// Compares the instance with its entry, as far as `/proc` and the home show.
    pub fn standing(&self, home: &Home) -> ObservedState {
        match this_boot() {
            _ if self.is_abandoned(home) => ObservedState::Abandoned,
            Some(boot) if self.ran_before(boot) => ObservedState::Off,
            _ => ObservedState::AsRecorded,
        }
    }

    /// Whether the nodes were last started in another boot of the host than `boot`. `false` for an entry of an older
    /// version, which does not record the boot. Pure.
    pub fn ran_before(&self, boot: &str) -> bool {
        matches!(self.state, State::Running | State::Paused)
            && self.boot_id.as_ref().is_some_and(|recorded| recorded != boot)
    }
}

/// The id of this host's present boot; `None` if `/proc` cannot be read.
pub(crate) fn this_boot() -> Option<&'static str> {
    static BOOT: LazyLock<Option<String>> = LazyLock::new(|| boot_id().ok());
    BOOT.as_deref()
}
