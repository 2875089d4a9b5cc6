//! The instances of the other homes of this host. Their ledgers are read in place, so that no claim is recorded twice.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::home::{HeldList, Home, HomeError, LEDGER, Listed};

use super::claim::sound;
use super::store::load;
use super::{Instance, Registry, RegistryError};

/// An instance of another home of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The folder of its home.
    pub home: Utf8PathBuf,
    /// Its entry in that home's ledger.
    pub instance: Instance,
}

/// Guard: while it lives, this process holds the lock of the list of homes, and no other home of the host can claim.
#[derive(Debug)]
pub struct Neighbours<'a> {
    list: &'a Listed,
    held: HeldList<'a>,
}

impl<'a> Neighbours<'a> {
    /// Waits for the lock of the list of homes, and puts this home on the list, so that later claims of other homes
    /// read its ledger. It also removes homes from the list that have no folder or no instances.
    ///
    /// # Errors
    /// [`RegistryError`] when the list cannot be changed, or another home has the same id.
    pub fn enter(list: &'a Listed, home: &Home) -> Result<Self, RegistryError> {
        let failed = |attempt| failed(attempt, list.file(&home.id()));
        let held = list.hold().map_err(failed("lock the folder of"))?;
        held.sweep(|folder| folder != home.root() && is_empty(folder)).map_err(failed("tidy up beside"))?;
        home.create_dir(home.root()).map_err(failed("make the home listed in"))?;
        home.unsettled()?; // only a check: the first change of the ledger writes the id
        if let Some(other) =
            list.place(&home.id()).filter(|other| other.is_there() && !other.is_at(home.root()))
        {
            let (root, id) = (home.root().to_owned(), home.id());
            return Err(HomeError::Copy { root, id, original: other.path }.into());
        }
        held.enter(home).map_err(failed("write"))?;
        Ok(Self { list, held })
    }

    /// All instances of the other homes.
    ///
    /// # Errors
    /// [`RegistryError::Neighbour`] when a ledger cannot be read: a claim could then take a network of that home.
    pub fn instances(&self, home: &Home) -> Result<Vec<Neighbour>, RegistryError> {
        let mut all = Vec::new();
        for (id, place) in self.list.there().into_iter().filter(|(id, _)| *id != home.id()) {
            let unknown = |source| RegistryError::Neighbour {
                home: place.path.clone(),
                listed: self.list.file(&id),
                source: Box::new(source),
            };
            let instances = instances_in(&place.path).map_err(unknown)?;
            all.extend(
                instances.into_iter().map(|instance| Neighbour { home: place.path.clone(), instance }),
            );
        }
        Ok(all)
    }

    /// Removes the home from the list if it has no instances.
    ///
    /// # Errors
    /// [`RegistryError`] when its ledger cannot be read or the list cannot be changed.
    pub fn leave_if_empty(self, home: &Home) -> Result<(), RegistryError> {
        let file = self.list.file(&home.id());
        match Registry::in_home(home).list()?.is_empty() {
            true => self.held.leave(&home.id()).map_err(failed("remove", file)),
            false => Ok(()),
        }
    }

    /// Locks the list and removes the home from it if the home has no instances. Does nothing for a home that is not on
    /// the list.
    ///
    /// # Errors
    /// [`RegistryError`] when its ledger cannot be read or the list cannot be locked or changed.
    pub fn forget(list: &'a Listed, home: &Home) -> Result<(), RegistryError> {
        if list.place(&home.id()).is_none_or(|place| !place.is_at(home.root())) {
            return Ok(());
        }
        let held = list.hold().map_err(failed("lock the folder of", list.file(&home.id())))?;
        Self { list, held }.leave_if_empty(home)
    }
}

fn instances_in(folder: &Utf8Path) -> Result<Vec<Instance>, RegistryError> {
    let path = folder.join(LEDGER);
    sound(&path, load(&path)?.0.entries())
}

/// Whether a home has no instances; `false` if its ledger cannot be read.
fn is_empty(folder: &Utf8Path) -> bool {
    load(&folder.join(LEDGER)).is_ok_and(|(ledger, _)| ledger.entries().is_empty())
}

fn failed(attempt: &'static str, path: Utf8PathBuf) -> impl FnOnce(io::Error) -> RegistryError {
    let failed = crate::files::failed(attempt, &path);
    move |source| failed(source).into()
}
