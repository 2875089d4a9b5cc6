//! Where a ledger is kept: in a file that all processes share, or in memory.
//!
//! A trait private to the registry, so no seam: the choice is made when a [`super::Registry`] is made, and nobody
//! else can make one. Both keepers are held to one contract suite (`tests/unit`, `registry/contract.rs`).

mod file;
mod memory;

use std::fmt::Debug;

use camino::Utf8Path;

use super::RegistryError;
use super::ledger::Ledger;

pub(super) use file::{FileStore, load};
pub(super) use memory::MemoryStore;

/// What is done to a ledger while no other process can change it.
pub(super) type Change<'a> = dyn FnMut(&mut Ledger) -> Verdict + 'a;

/// Whether a changed ledger is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Keep,
    /// It is not: the old one stays in force.
    Discard,
}

/// Keeps one ledger for everybody who knows of it.
pub(super) trait Store: Debug + Send + Sync {
    /// What error messages call it.
    fn path(&self) -> &Utf8Path;

    /// Whether nothing was ever kept: then there is nothing to find, and nothing has to be made for the search.
    fn is_new(&self) -> bool;

    /// The ledger as the last change left it, an empty one before the first. It waits for nobody and makes nothing.
    ///
    /// # Errors
    /// [`RegistryError`] when it cannot be read or understood; it stays as it is then.
    fn read(&self) -> Result<Ledger, RegistryError>;

    /// Calls `change` once, alone, with the present ledger, and keeps what that makes of it: all of it when this
    /// returns, all or nothing if the process ends before.
    ///
    /// # Errors
    /// [`RegistryError`] when the ledger cannot be read or written. The old one is in force then.
    fn change(&self, change: &mut Change<'_>) -> Result<(), RegistryError>;
}
