//! The ledger on disk: read as a whole, changed under the lock, replaced atomically. A damaged ledger is an error and
//! is never repaired.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::files::{self, Lock, failed, replace, sweep};
use crate::home::Home;

use super::super::ledger::{Ledger, Unreadable, VERSION};
use super::{Change, RegistryError, Store, Verdict};

/// The file `instances.json` of a home.
#[derive(Debug)]
pub(in crate::registry) struct FileStore {
    home: Home,
    path: Utf8PathBuf,
}

impl FileStore {
    /// The ledger of a home. This touches no file.
    pub(in crate::registry) fn in_home(home: &Home) -> Self {
        Self { path: home.registry(), home: home.clone() }
    }

    /// Writes the home's id into the home, unless it is there: all names of the recorded instances contain the id. The
    /// caller holds the lock.
    fn settle(&self) -> Result<(), RegistryError> {
        let Some(text) = self.home.unsettled()? else { return Ok(()) };
        let path = self.home.id_file();
        sweep(&path)?;
        Ok(replace(&self.home, &path, text.as_bytes())?)
    }

    /// Keeps the file of an old format as `instances.json.v<format>`, unless that exists: a hard link, since the rename
    /// that follows replaces the first name only.
    fn keep(&self, format: u32) -> Result<(), RegistryError> {
        let kept = Utf8PathBuf::from(format!("{}.v{format}", self.path));
        match std::fs::hard_link(&self.path, &kept) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed("keep", &kept)(error).into())
            }
            _ => Ok(()),
        }
    }
}

impl Store for FileStore {
    fn path(&self) -> &Utf8Path {
        &self.path
    }

    fn is_new(&self) -> bool {
        // If that cannot be found out, `change` reports the error.
        matches!(self.path.try_exists(), Ok(false))
    }

    fn read(&self) -> Result<Ledger, RegistryError> {
        load(&self.path).map(|(ledger, _)| ledger)
    }

    fn change(&self, change: &mut Change<'_>) -> Result<(), RegistryError> {
        let root = self.home.root();
        self.home.create_dir(root).map_err(failed("make folder", root))?;
        let lock = Utf8PathBuf::from(format!("{}.lock", self.path));
        let _held = Lock::in_home(&self.home, &lock)?;
        sweep(&self.path)?;
        self.settle()?;
        let (mut ledger, format) = load(&self.path)?;
        if change(&mut ledger) == Verdict::Discard || !ledger.is_changed() {
            return Ok(());
        }
        if let Some(old) = format.filter(|format| *format < VERSION) {
            self.keep(old)?;
        }
        Ok(replace(&self.home, &self.path, ledger.text().as_bytes())?)
    }
}

/// Reads the ledger in a file, and the format of the file: an empty ledger and `None` if there is no file.
pub(in crate::registry) fn load(path: &Utf8Path) -> Result<(Ledger, Option<u32>), RegistryError> {
    let Some(text) = files::read(path)? else { return Ok((Ledger::default(), None)) };
    let path = path.to_owned();
    match Ledger::parse(&text) {
        Ok((ledger, format)) => Ok((ledger, Some(format))),
        Err(Unreadable::Damaged(source)) => Err(RegistryError::Damaged { path, source }),
        Err(Unreadable::Newer(version)) => Err(RegistryError::Newer { path, version }),
    }
}
