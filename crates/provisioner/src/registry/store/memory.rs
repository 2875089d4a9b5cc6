//! The ledger in memory: for tests, and for programs whose instances end with them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;

use super::super::ledger::Ledger;
use super::{Change, RegistryError, Store, Verdict};

/// A ledger that nobody else knows of.
#[derive(Debug, Default)]
pub(in crate::registry) struct MemoryStore {
    /// Held by whoever changes the ledger; readers take only the other one, for a moment.
    writer: Mutex<()>,
    ledger: Mutex<Ledger>,
}

impl MemoryStore {
    /// Nothing is half-done when a change panics: it works on a copy.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn path(&self) -> &Utf8Path {
        Utf8Path::new("the registry in memory")
    }

    fn is_new(&self) -> bool {
        false // looking into it makes nothing
    }

    fn read(&self) -> Result<Ledger, RegistryError> {
        Ok(self.ledger().clone())
    }

    fn change(&self, change: &mut Change<'_>) -> Result<(), RegistryError> {
        let _held = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = self.read()?;
        if change(&mut ledger) == Verdict::Keep {
            *self.ledger() = ledger;
        }
        Ok(())
    }
}
