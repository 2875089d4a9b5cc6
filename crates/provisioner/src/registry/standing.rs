//! What has become of an instance that its entry cannot say: found out in microseconds, without asking anybody.

use std::sync::LazyLock;

use crate::home::Home;

use super::owner::boot_id;
use super::{Instance, State};

/// What an entry does not say of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against what is recorded.
    AsRecorded,
    /// Its owner died: nobody will finish it or take it down, except `reap`.
    Abandoned,
    /// Its nodes ran, or were paused, in an earlier boot of this host: they are off, with their disks.
    Off,
}

impl Instance {
    /// What has become of it since it was recorded.
    pub fn standing(&self, home: &Home) -> Standing {
        match this_boot() {
            _ if self.is_abandoned(home) => Standing::Abandoned,
            Some(boot) if self.ran_before(boot) => Standing::Off,
            _ => Standing::AsRecorded,
        }
    }

    /// Whether its nodes were last started in another boot of the host than this one. An entry of an older version does
    /// not say when that was, and is taken at its word. Pure.
    pub fn ran_before(&self, boot: &str) -> bool {
        matches!(self.state, State::Running | State::Paused)
            && self.boot_id.as_ref().is_some_and(|recorded| recorded != boot)
    }
}

/// The present boot of this host, if `/proc` says so.
pub(crate) fn this_boot() -> Option<&'static str> {
    static BOOT: LazyLock<Option<String>> = LazyLock::new(|| boot_id().ok());
    BOOT.as_deref()
}
