//! The ledger in memory, for tests and for programs whose instances end with the program.

use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;

use super::super::ledger::Ledger;
use super::{Change, RegistryError, Store, Verdict};

/// A ledger that only this process can read.
#[derive(Debug, Default)]
pub(in crate::registry) struct MemoryStore {
    /// A writer holds this lock for its whole change. Readers and writers hold `ledger` only for a copy.
    writer: Mutex<()>,
    ledger: Mutex<Ledger>,
}

impl MemoryStore {
    /// A poisoned lock is fine: a change works on a copy, so a panic leaves the old ledger.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn path(&self) -> &Utf8Path {
        Utf8Path::new("the registry in memory")
    }

    fn is_new(&self) -> bool {
        false // reading it creates nothing
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
