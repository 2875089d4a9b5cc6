//! kubectl's lock on a kubeconfig: the file `<kubeconfig>.lock`, which a process creates to lock and removes to unlock
//! (client-go, `tools/clientcmd/loader.go`, `lockFile`). Next in the flow: `document` edits the kubeconfig.
//!
//! A kubectl that is killed at the wrong moment leaves the file behind. Our lock file also has a kernel lock, taken
//! before the file appears, so that the next homelab can tell a dead holder from a slow one.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::files::{self, FileError, failed};

use super::KubeconfigError;
use super::error::Made;

/// The time-out for one holder: kubectl holds the lock for milliseconds. It starts again with each new holder's lock
/// file.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The polling interval.
const PAUSE: Duration = Duration::from_millis(5);

/// The contents of our lock files. kubectl's are empty.
const OURS: &str = "homelab\n";

/// Guard: holds the lock while it lives, and removes the lock file when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: Utf8PathBuf,
    _file: File,
}

impl Lock {
    /// Locks a kubeconfig. Waits for each other holder at most [`TIMEOUT`].
    pub(super) fn of(kubeconfig: &Utf8Path) -> Result<Self, KubeconfigError> {
        let path = beside(kubeconfig);
        let (mut holder, mut since) = (holder(&path), Instant::now());
        loop {
            if let Some(file) = take(&path).map_err(failed("lock", &path))? {
                return Ok(Self { path, _file: file });
            }
            let present = self::holder(&path);
            if present != holder {
                (holder, since) = (present, Instant::now());
            }
            if since.elapsed() > TIMEOUT {
                return Err(KubeconfigError::Locked { made: made(&path), lock: path, waited: TIMEOUT });
            }
            if !sweep(&path)? {
                // The lock is only the existence of a file, so its end can only be polled.
                std::thread::park_timeout(PAUSE);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If this fails, the next homelab removes the file: the kernel lock ends with the file handle.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Creates the lock file, with its kernel lock and contents before it appears. `None` when a lock file exists already.
fn take(path: &Utf8Path) -> io::Result<Option<File>> {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".homelab-").tempfile_in(folder)?;
    new.write_all(OURS.as_bytes())?;
    new.as_file().lock()?;
    match new.persist_noclobber(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error.error),
    }
}

/// The path of a kubeconfig's lock file. Symbolic links are not followed, as in kubectl.
pub(super) fn beside(kubeconfig: &Utf8Path) -> Utf8PathBuf {
    format!("{kubeconfig}.lock").into()
}

/// Inode and modification time, which differ between successive lock files at a path. `None` where no file exists.
fn holder(path: &Utf8Path) -> Option<(u64, i64, i64)> {
    let about = path.symlink_metadata().ok()?;
    Some((about.ino(), about.mtime(), about.mtime_nsec()))
}

/// The owner and the time of a lock file.
fn made(path: &Utf8Path) -> Option<Made> {
    let about = path.symlink_metadata().ok()?;
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(about.uid())).ok().flatten();
    let by = user.map_or_else(|| format!("user {}", about.uid()), |user| user.name);
    Some(Made { by, at: Timestamp::try_from(about.modified().ok()?).ok()? })
}

/// Removes a lock file of ours whose holder is dead. Returns whether the caller should try again at once.
fn sweep(path: &Utf8Path) -> Result<bool, FileError> {
    let file = match files::open(path) {
        Ok(Some(file)) => file,
        // A dangling link exists, and counts as a lock.
        Ok(None) => return Ok(!path.is_symlink()),
        // kubectl's lock file has no permissions at all. A folder or a pipe is not ours either.
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied || error.is_not_regular() => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let sweep = || -> io::Result<bool> {
        if io::read_to_string(io::Read::take(&file, 64))? != OURS || file.try_lock().is_err() {
            return Ok(false);
        }
        // With the kernel lock on this file we may remove it, if it is still the one at this path.
        let (mine, there) = (file.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
            std::fs::remove_file(path)?;
        }
        Ok(true)
    };
    match sweep() {
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false), // not UTF-8, so not ours
        outcome => outcome.map_err(failed("lock", path)),
    }
}
