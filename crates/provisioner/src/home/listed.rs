//! The homes of this host that have instances: a small file for each in one folder, by its id.
//!
//! Networks are a matter of the whole host, while each home has a ledger of its own. So whoever claims must find the
//! other ledgers. A home is listed before its first claim and taken off the list after its last release. Root alone
//! writes the list; it is kept across reboots, for a halted instance still has its networks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Home, Place};

/// Where the list of this host is.
const FOLDER: &str = "/var/lib/homelab/homes";

/// A list of homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    folder: Utf8PathBuf,
}

/// The list, which nobody else changes as long as this lives.
#[derive(Debug)]
pub(crate) struct HeldList<'a> {
    list: &'a Listed,
    _lock: File,
}

impl Listed {
    /// The list of this host.
    pub fn of_host() -> Self {
        Self { folder: FOLDER.into() }
    }

    /// A list in a folder, which may not exist yet; for tests.
    pub fn in_folder(folder: impl Into<Utf8PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file of the home with this id.
    pub(crate) fn file(&self, id: &str) -> Utf8PathBuf {
        self.folder.join(id)
    }

    /// Where the home with this id is or was, if it is listed.
    pub fn place(&self, id: &str) -> Option<Place> {
        Place::parse(&fs::read_to_string(self.file(id)).ok()?)
    }

    /// All homes whose folders are there, each with its id.
    pub fn there(&self) -> Vec<(String, Place)> {
        self.all().into_iter().filter_map(|(id, place)| Some((id, place.filter(Place::is_there)?))).collect()
    }

    /// All files of the list; those that are no places with nothing.
    fn all(&self) -> Vec<(String, Option<Place>)> {
        let entries = self.folder.read_dir_utf8().into_iter().flatten().flatten();
        let ids = entries.map(|entry| entry.file_name().to_owned()).filter(|name| !name.starts_with('.'));
        let mut all: Vec<_> = ids.map(|id| (id.clone(), self.place(&id))).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Waits until nobody else changes the list, and makes it if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn hold(&self) -> io::Result<HeldList<'_>> {
        loop {
            fs::create_dir_all(&self.folder)?;
            let lock = match File::open(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // removed by who held it
                opened => opened?,
            };
            lock.lock()?;
            let (held, there) = (lock.metadata()?, fs::metadata(&self.folder));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Ok(HeldList { list: self, _lock: lock });
            }
        }
    }
}

impl HeldList<'_> {
    /// Puts a home on the list, or its new place.
    pub(crate) fn enter(&self, home: &Home) -> io::Result<()> {
        let place = Place::of(home.root())?;
        if self.list.place(&home.id()).as_ref() == Some(&place) {
            return Ok(());
        }
        let mut new = tempfile::Builder::new().prefix(".new.").tempfile_in(&self.list.folder)?;
        new.write_all(place.text().as_bytes())?;
        new.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        new.as_file().sync_all()?;
        new.persist(self.list.file(&home.id())).map_err(|error| error.error)?;
        File::open(&self.list.folder)?.sync_all()
    }

    /// Takes a home off the list, and the list away when it is empty.
    pub(crate) fn leave(self, id: &str) -> io::Result<()> {
        remove(&self.list.file(id))?;
        // A folder that is not empty stays, and one that cannot be removed harms nobody.
        if fs::remove_dir(&self.list.folder).is_ok()
            && let Some(parent) = self.list.folder.parent().filter(|parent| parent.ends_with("homelab"))
        {
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }

    /// Takes off what is no home any more, its folder being gone, or has no instances, as `is_empty` says of a folder;
    /// and what writers have left that were killed.
    pub(crate) fn sweep(&self, is_empty: impl Fn(&Utf8Path) -> bool) -> io::Result<()> {
        for entry in
            self.list.folder.read_dir_utf8()?.flatten().filter(|entry| entry.file_name().starts_with('.'))
        {
            remove(entry.path())?;
        }
        for (id, place) in self.list.all() {
            if place.is_none_or(|place| !place.is_there() || is_empty(&place.path)) {
                remove(&self.list.file(&id))?;
            }
        }
        Ok(())
    }
}

fn remove(file: &Utf8Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
