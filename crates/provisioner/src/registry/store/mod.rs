//! Stores for a ledger: a file that all processes share, or memory.
//!
//! The trait is private to the registry, so it is no seam: [`super::Registry`] chooses the store when it is made. One
//! contract suite tests both stores (`tests/unit`, `registry/contract.rs`).

mod file;
mod memory;

use std::fmt::Debug;

use camino::Utf8Path;

use super::RegistryError;
use super::ledger::Ledger;

pub(super) use file::{FileStore, load};
pub(super) use memory::MemoryStore;

/// A change of a ledger. It runs while no other process can change the ledger.
pub(super) type Change<'a> = dyn FnMut(&mut Ledger) -> Verdict + 'a;

/// Whether a changed ledger is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The changed ledger is stored.
    Keep,
    /// The changed ledger is dropped, and the old one stays.
    Discard,
}

/// Stores one ledger, which several processes or threads may share.
pub(super) trait Store: Debug + Send + Sync {
    /// The name of the ledger in error messages: its path.
    fn path(&self) -> &Utf8Path;

    /// Whether no ledger was ever stored. A caller that only searches can stop then, so that no folder or lock is made.
    fn is_new(&self) -> bool;

    /// The ledger after the last change; an empty ledger before the first change. Takes no lock, creates no file.
    ///
    /// # Errors
    /// [`RegistryError`] when the ledger cannot be read or parsed; the file is unchanged.
    fn read(&self) -> Result<Ledger, RegistryError>;

    /// Runs `change` once under the lock and stores the result atomically: durable when this returns; after a crash the
    /// old or the new ledger, never a mix.
    ///
    /// # Errors
    /// [`RegistryError`] when the ledger cannot be read or written. The old ledger stays.
    fn change(&self, change: &mut Change<'_>) -> Result<(), RegistryError>;
}
