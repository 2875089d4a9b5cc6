//! The list of this host's homes with instances: a folder with one small file per home, named by the home's id.
//!
//! Networks must be unique on the host, but each home has its own ledger. So a claim must find the ledgers of the other
//! homes. A home is added to the list before its first claim and removed after its last release. Only root writes the
//! list. It survives reboots, because a halted instance keeps its networks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Home, Place};

/// The folder of this host's list.
const FOLDER: &str = "/var/lib/homelab/homes";

/// A list of homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    folder: Utf8PathBuf,
}

/// The locked list: no other process changes it while this value lives.
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

    /// A list in another folder, which need not exist yet; for tests.
    pub fn in_folder(folder: impl Into<Utf8PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file of the home with this id.
    pub(crate) fn file(&self, id: &str) -> Utf8PathBuf {
        self.folder.join(id)
    }

    /// The recorded place of the home with this id; `None` when it is not listed.
    pub fn place(&self, id: &str) -> Option<Place> {
        Place::parse(&fs::read_to_string(self.file(id)).ok()?)
    }

    /// The listed homes whose folders still exist, with their ids.
    pub fn there(&self) -> Vec<(String, Place)> {
        self.all().into_iter().filter_map(|(id, place)| Some((id, place.filter(Place::is_there)?))).collect()
    }

    /// All files of the list by id, with `None` for a file that is not a place.
    fn all(&self) -> Vec<(String, Option<Place>)> {
        let entries = self.folder.read_dir_utf8().into_iter().flatten().flatten();
        let ids = entries.map(|entry| entry.file_name().to_owned()).filter(|name| !name.starts_with('.'));
        let mut all: Vec<_> = ids.map(|id| (id.clone(), self.place(&id))).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Waits for the list's lock. Makes the list's folder if it is missing.
    ///
    /// # Errors
    /// The file system's error.
    pub(crate) fn hold(&self) -> io::Result<HeldList<'_>> {
        loop {
            fs::create_dir_all(&self.folder)?;
            let lock = match File::open(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // removed by the last holder
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
    /// Adds a home to the list, or records its new place.
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

    /// Removes a home from the list, and the list's folder when it is empty.
    pub(crate) fn leave(self, id: &str) -> io::Result<()> {
        remove(&self.list.file(id))?;
        // Removal fails for a folder that is not empty; a folder that stays does no harm.
        if fs::remove_dir(&self.list.folder).is_ok()
            && let Some(parent) = self.list.folder.parent().filter(|parent| parent.ends_with("homelab"))
        {
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    }

    /// Removes homes whose folder is gone, or for whose folder `is_empty` returns true (no instances). Also removes
    /// temporary files of writers that were killed.
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
