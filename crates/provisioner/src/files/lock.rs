//! Advisory locks (flock(2)), exclusive or shared, on a folder or on a separate lock file.
//!
//! The kernel frees a lock when its holder dies. A file that is replaced by a rename cannot be locked itself, because
//! the lock stays on the old inode. So the lock is on the file's folder, which needs no extra file, or on a lock file.
//! A lock file is never removed: after a removal, two processes could each lock a file of that name. Readers need no
//! lock.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::home::Home;

use super::regular::{regular_only, without_waiting};
use super::{FileError, failed};

/// A lock, held while the value lives.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Waits for the lock of a folder, which must exist.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be opened or locked, for instance because it does not exist.
    pub fn of_folder(folder: &Utf8Path) -> Result<Self, FileError> {
        let lock = || {
            let folder = File::open(folder)?;
            folder.lock()?;
            Ok(Self(folder))
        };
        lock().map_err(failed("lock", folder))
    }

    /// Waits for the exclusive lock of a file. A missing file is made, owned by this process's user.
    ///
    /// # Errors
    /// [`FileError`] when the path leads to anything but a regular file, or when the file cannot be made, opened or
    /// locked. A file that was made stays.
    pub fn of_file(path: &Utf8Path) -> Result<Self, FileError> {
        Self::held(path, File::lock)
    }

    /// As [`Self::of_file`], with a shared lock.
    ///
    /// # Errors
    /// As for [`Self::of_file`].
    pub fn shared_of_file(path: &Utf8Path) -> Result<Self, FileError> {
        Self::held(path, File::lock_shared)
    }

    fn held(path: &Utf8Path, hold: fn(&File) -> io::Result<()>) -> Result<Self, FileError> {
        let lock = || {
            let (file, _) = opened(path)?;
            hold(&file)?;
            Ok(Self(file))
        };
        lock().map_err(failed("lock", path))
    }

    /// As [`Self::of_file`], with a new file owned by the home's user.
    ///
    /// # Errors
    /// As for [`Self::of_file`]; also when the new file cannot be given to the home's user.
    pub fn in_home(home: &Home, path: &Utf8Path) -> Result<Self, FileError> {
        let lock = || {
            let (file, made) = opened(path)?;
            if made {
                home.adopt(path)?;
            }
            file.lock()?;
            Ok(Self(file))
        };
        lock().map_err(failed("lock", path))
    }

    /// The exclusive lock of a file, or `None` when it is held already.
    ///
    /// # Errors
    /// As for [`Self::of_file`]. A lock that is held already is no error.
    pub fn try_of_file(path: &Utf8Path) -> Result<Option<Self>, FileError> {
        Self::tried(path, File::try_lock)
    }

    /// As [`Self::try_of_file`], with a shared lock.
    ///
    /// # Errors
    /// As for [`Self::try_of_file`].
    pub fn try_shared_of_file(path: &Utf8Path) -> Result<Option<Self>, FileError> {
        Self::tried(path, File::try_lock_shared)
    }

    fn tried(
        path: &Utf8Path,
        hold: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>, FileError> {
        let lock = || {
            let (file, _) = opened(path)?;
            match hold(&file) {
                Ok(()) => Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        lock().map_err(failed("lock", path))
    }

    /// Writes this process's id into the lock's file, so that others can tell users which process holds it.
    ///
    /// # Errors
    /// [`FileError`]; the lock is still held.
    pub fn sign(&mut self, path: &Utf8Path) -> Result<(), FileError> {
        let signed = self.0.set_len(0).and_then(|()| write!(self.0, "{}", std::process::id()));
        signed.map_err(failed("write", path))
    }

    /// The process id that the last holder wrote; `None` when the file does not hold a number.
    pub fn signature(path: &Utf8Path) -> Option<u32> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// Waits for a lock on a thread for blocking calls, because the wait has no limit.
    ///
    /// # Errors
    /// The error of `take`; a [`FileError`] also when `take` panics.
    pub async fn waited_for(
        path: Utf8PathBuf,
        take: fn(&Utf8Path) -> Result<Self, FileError>,
    ) -> Result<Self, FileError> {
        let wanted = path.clone();
        let taken = tokio::task::spawn_blocking(move || take(&wanted)).await;
        taken.unwrap_or_else(|panic| Err(failed("lock", &path)(io::Error::other(panic))))
    }
}

/// Opens a lock file; the flag says whether it was made just now.
fn opened(path: &Utf8Path) -> io::Result<(File, bool)> {
    let mut options = File::options();
    let options = without_waiting(options.read(true).write(true).mode(0o600));
    match options.clone().create_new(true).open(path) {
        Ok(file) => return Ok((file, true)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    regular_only(std::fs::metadata(path)?)?;
    Ok((options.open(path)?, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_locks_exclude_only_an_exclusive_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("a.lock");
        let one = Lock::shared_of_file(&path).unwrap();
        let other = Lock::try_shared_of_file(&path).unwrap();
        assert!(other.is_some());
        assert!(Lock::try_of_file(&path).unwrap().is_none());
        drop((one, other));
        let alone = Lock::try_of_file(&path).unwrap();
        assert!(alone.is_some());
        assert!(Lock::try_shared_of_file(&path).unwrap().is_none());
        drop(alone);
        assert!(Lock::try_shared_of_file(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_names_its_holder_and_a_file_with_other_contents_names_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("a.lock");
        assert_eq!(Lock::signature(&path), None);
        std::fs::write(&path, "a longer line than any number of a process\n").unwrap();
        assert_eq!(Lock::signature(&path), None);
        Lock::of_file(&path).unwrap().sign(&path).unwrap();
        assert_eq!(Lock::signature(&path), Some(std::process::id()));
    }
}
