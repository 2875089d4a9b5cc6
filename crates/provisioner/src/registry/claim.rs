//! The operations of the registry: list, find, claim, update, release. They change a `ledger`, which a `store` keeps.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use camino::Utf8Path;

use crate::home::Home;

use super::ledger::{Entry, Ledger};
use super::store::{FileStore, MemoryStore, Store, Verdict};
use super::{ChangeError, Instance, RegistryError};

/// The instances of one home. The value holds no lock and caches nothing, and clones share one ledger.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
}

impl Registry {
    /// The registry of a home, shared by all processes. This touches no file.
    pub fn in_home(home: &Home) -> Self {
        Self { store: Arc::new(FileStore::in_home(home)) }
    }

    /// An empty registry in memory, shared by this value and its clones. It keeps the same promises as one in a home,
    /// except that its entries end with the process.
    pub fn in_memory() -> Self {
        Self { store: Arc::new(MemoryStore::default()) }
    }

    /// All entries in the order in which they were claimed, broken ones with the reason.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a ledger as a whole.
    pub fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        Ok(self.store.read()?.entries())
    }

    /// All instances, for callers that must know *all* claimed names and networks.
    ///
    /// # Errors
    /// When the file cannot be read, or has a broken entry.
    pub fn instances(&self) -> Result<Vec<Instance>, RegistryError> {
        sound(self.store.path(), self.list()?)
    }

    /// The instance of this name.
    ///
    /// # Errors
    /// When the file cannot be read, or the entry of this name is broken. Other broken entries are no error.
    pub fn find(&self, name: &str) -> Result<Option<Instance>, RegistryError> {
        Ok(self.place(&self.store.read()?, name)?.map(|(_, instance)| instance))
    }

    /// Records the new instance that `decide` returns. `decide` gets all instances, and runs under the lock: it must be
    /// quick and pure.
    ///
    /// # Errors
    /// The error of `decide`; or the ledger cannot be changed, or has broken entries. Nothing is recorded then.
    pub fn claim<E: Error + 'static>(
        &self,
        decide: impl FnOnce(&[Instance]) -> Result<Instance, E>,
    ) -> Result<Instance, ChangeError<E>> {
        self.change(|ledger| {
            let taken = sound(self.store.path(), ledger.entries())?;
            let instance = decide(&taken).map_err(ChangeError::Refused)?;
            if taken.iter().any(|other| other.name == instance.name) {
                return Err(RegistryError::Taken { name: instance.name }.into());
            }
            ledger.push(&instance);
            Ok(instance)
        })
    }

    /// Changes one instance and returns the changed one.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when the registry has no such instance; or the ledger cannot be changed.
    pub fn update(&self, name: &str, change: impl FnOnce(&mut Instance)) -> Result<Instance, RegistryError> {
        let changed = self.revise(name, |before| {
            let mut after = before.clone();
            change(&mut after);
            Ok::<_, Infallible>(after)
        });
        changed.map_err(|error| match error {
            ChangeError::Registry(error) => error,
            ChangeError::Refused(never) => match never {},
        })
    }

    /// Records the changed instance that `decide` returns, and returns it. Like in [`claim`](Self::claim), `decide`
    /// runs under the lock.
    ///
    /// # Errors
    /// The error of `decide`, or the errors of [`update`](Self::update). Nothing is recorded then.
    pub fn revise<E: Error + 'static>(
        &self,
        name: &str,
        decide: impl FnOnce(&Instance) -> Result<Instance, E>,
    ) -> Result<Instance, ChangeError<E>> {
        self.change(|ledger| {
            let unknown = || RegistryError::Unknown { name: name.to_owned() };
            let (place, before) = self.place(ledger, name)?.ok_or_else(unknown)?;
            let after = decide(&before).map_err(ChangeError::Refused)?;
            ledger.change(place, &before, &after);
            Ok(after)
        })
    }

    /// Removes the entry of one instance and returns it; `None` if there was none.
    ///
    /// # Errors
    /// When the ledger cannot be changed, or the entry is broken, so that it is unknown what exists of the instance.
    pub fn release(&self, name: &str) -> Result<Option<Instance>, RegistryError> {
        if self.store.is_new() {
            return Ok(None);
        }
        self.change(|ledger| {
            Ok::<_, RegistryError>(self.place(ledger, name)?.map(|(place, instance)| {
                ledger.remove(place);
                instance
            }))
        })
    }

    /// Runs `change` on the ledger, and returns its result after the store has kept the changed ledger. If `change`
    /// fails, the changed ledger is discarded.
    fn change<T, E: From<RegistryError>>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<T, E>,
    ) -> Result<T, E> {
        let (mut change, mut result) = (Some(change), None);
        self.store.change(&mut |ledger| {
            let change = change.take().expect("a store calls a change once");
            let decided = result.insert(change(ledger));
            if decided.is_ok() { Verdict::Keep } else { Verdict::Discard }
        })?;
        result.expect("a store that succeeds has called the change")
    }

    fn place(&self, ledger: &Ledger, name: &str) -> Result<Option<(usize, Instance)>, RegistryError> {
        let (places, entries): (Vec<usize>, Vec<Entry>) = ledger.named(name).into_iter().unzip();
        let sound = sound(self.store.path(), entries)?;
        Ok(places.into_iter().zip(sound).next())
    }
}

/// The instances in all entries of a file, or an error that names the broken entries.
pub(super) fn sound(path: &Utf8Path, entries: Vec<Entry>) -> Result<Vec<Instance>, RegistryError> {
    let (mut sound, mut broken) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Sound(instance) => sound.push(instance),
            Entry::Broken { name: Some(name), error } => broken.push(format!("'{name}': {error}")),
            Entry::Broken { name: None, error } => broken.push(format!("one without a name: {error}")),
        }
    }
    if broken.is_empty() {
        Ok(sound)
    } else {
        Err(RegistryError::Broken { path: path.to_owned(), entries: broken })
    }
}
