//! The ledger on disk: read whole, changed under the lock, replaced atomically, never repaired by guessing.

use std::io;

use camino::Utf8PathBuf;

use crate::home::Home;
use crate::plan::{Holder, PlanError};

use super::ledger::{Entry, Header, Ledger, VERSION};
use super::lock::Lock;
use super::{Instance, RegistryError, replace};

/// The instances of one home. A value of this type holds no lock and caches nothing; a clone is as good.
#[derive(Debug, Clone)]
pub struct Registry {
    home: Home,
    path: Utf8PathBuf,
}

impl Registry {
    /// The registry of a home. Nothing is read or made yet.
    pub fn in_home(home: &Home) -> Self {
        Self { path: home.registry(), home: home.clone() }
    }

    /// All entries in the order in which they were claimed, broken ones with what is wrong with them.
    ///
    /// # Errors
    /// When the file cannot be read or understood as a whole.
    pub fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        Ok(self.read()?.entries())
    }

    /// All instances, for whoever must know *everything* that is taken.
    ///
    /// # Errors
    /// When the file cannot be read, or an entry of it is broken.
    pub fn instances(&self) -> Result<Vec<Instance>, RegistryError> {
        self.sound(self.list()?)
    }

    /// One instance.
    ///
    /// # Errors
    /// When the file cannot be read, or the entry of this name is broken; other broken entries do no harm.
    pub fn find(&self, name: &str) -> Result<Option<Instance>, RegistryError> {
        Ok(self.place(&self.read()?, name)?.map(|(_, instance)| instance))
    }

    /// Records what `decide` makes of all instances there are. The lock is held for that decision: it must
    /// be quick, and pure.
    ///
    /// # Errors
    /// What `decide` says; or the ledger cannot be changed, or has broken entries. Nothing is recorded then.
    pub fn claim(
        &self,
        decide: impl FnOnce(&[Instance]) -> Result<Instance, PlanError>,
    ) -> Result<Instance, RegistryError> {
        self.change(|ledger| {
            let taken = self.sound(ledger.entries())?;
            let instance = decide(&taken)?;
            if let Some(other) = taken.iter().find(|other| other.name == instance.name) {
                let holder = Holder::Instance(other.name.clone());
                return Err(PlanError::InUse { what: "name", value: instance.name, holder }.into());
            }
            ledger.push(&instance);
            Ok(instance)
        })
    }

    /// Changes one instance and returns what it is now.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when there is none; or the ledger cannot be changed.
    pub fn update(&self, name: &str, change: impl FnOnce(&mut Instance)) -> Result<Instance, RegistryError> {
        self.change(|ledger| {
            let unknown = || RegistryError::Unknown { name: name.to_owned() };
            let (place, before) = self.place(ledger, name)?.ok_or_else(unknown)?;
            let mut after = before.clone();
            change(&mut after);
            ledger.change(place, &before, &after);
            Ok(after)
        })
    }

    /// Forgets one instance and returns what it was, if it was there.
    ///
    /// # Errors
    /// When the ledger cannot be changed, or the entry is broken: nobody knows what it stands for.
    pub fn release(&self, name: &str) -> Result<Option<Instance>, RegistryError> {
        if self.find(name)?.is_none() {
            return Ok(None); // and make no folder for it
        }
        self.change(|ledger| {
            Ok(self.place(ledger, name)?.map(|(place, instance)| {
                ledger.remove(place);
                instance
            }))
        })
    }

    fn read(&self) -> Result<Ledger, RegistryError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(source) => return Err(self.failed("read", &self.path)(source)),
        };
        let damaged = |source| RegistryError::Damaged { path: self.path.clone(), source };
        // The version first: a newer file may differ in everything else.
        let Header { version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version > VERSION {
            return Err(RegistryError::Newer { path: self.path.clone(), version });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let root = self.home.root();
        self.home.create_dir(root).map_err(self.failed("make folder", root))?;
        let lock = Utf8PathBuf::from(format!("{}.lock", self.path));
        let _held = Lock::exclusive(&self.home, &lock).map_err(self.failed("lock", &lock))?;
        let mut ledger = self.read()?;
        let before = ledger.clone();
        let result = change(&mut ledger)?;
        if ledger != before {
            let text = ledger.text();
            replace(&self.home, &self.path, text.as_bytes()).map_err(self.failed("write", &self.path))?;
        }
        Ok(result)
    }

    fn place(&self, ledger: &Ledger, name: &str) -> Result<Option<(usize, Instance)>, RegistryError> {
        let named: Vec<_> = ledger
            .entries()
            .into_iter()
            .enumerate()
            .filter(|(_, entry)| entry.name() == Some(name))
            .collect();
        let sound = self.sound(named.iter().map(|(_, entry)| entry.clone()).collect())?;
        Ok(named.first().map(|(place, _)| *place).zip(sound.into_iter().next()))
    }

    /// The entries' instances, or an error that names those that are none.
    fn sound(&self, entries: Vec<Entry>) -> Result<Vec<Instance>, RegistryError> {
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
            Err(RegistryError::Broken { path: self.path.clone(), entries: broken })
        }
    }

    fn failed(
        &self,
        attempt: &'static str,
        path: &camino::Utf8Path,
    ) -> impl FnOnce(io::Error) -> RegistryError {
        let path = path.to_owned();
        move |source| RegistryError::File { attempt, path, source }
    }
}
