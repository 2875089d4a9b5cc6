//! kubectl's lock on a kubeconfig: a file `<kubeconfig>.lock` that must not exist yet (client-go,
//! `tools/clientcmd/loader.go`, `lockFile`). Next in the flow: `document` edits what it guards.
//!
//! kubectl leaves the file behind when it is killed in the wrong moment. Ours is locked by the kernel as
//! well, from before anybody can see it, so that the next homelab tells a dead holder from a slow one.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::files::{self, FileError, failed};

use super::KubeconfigError;
use super::error::Made;

/// How long one holder may take: kubectl holds the lock for milliseconds. Several holders, one after the other, may take
/// longer: their lock files differ.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// What our lock files hold; kubectl's are empty.
const OURS: &str = "homelab\n";

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    path: Utf8PathBuf,
    _file: File,
}

impl Lock {
    /// Waits for the lock of a kubeconfig, but not for ever.
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
            if since.elapsed() > PATIENCE {
                return Err(KubeconfigError::Locked { made: made(&path), lock: path, waited: PATIENCE });
            }
            if !sweep(&path)? {
                // A lock that is a file's mere existence tells nobody when it goes.
                std::thread::park_timeout(PAUSE);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If this fails, the next homelab sweeps it: the kernel's lock goes with the file handle.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the lock file, locked and filled before it appears; nothing when there is one already.
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

/// The lock file of a kubeconfig, by the name that the user has for it: kubectl follows no links either.
pub(super) fn beside(kubeconfig: &Utf8Path) -> Utf8PathBuf {
    format!("{kubeconfig}.lock").into()
}

/// What tells a lock file from the next one at its path; none where there is no file.
fn holder(path: &Utf8Path) -> Option<(u64, i64, i64)> {
    let about = path.symlink_metadata().ok()?;
    Some((about.ino(), about.mtime(), about.mtime_nsec()))
}

/// Who made a lock file, and when.
fn made(path: &Utf8Path) -> Option<Made> {
    let about = path.symlink_metadata().ok()?;
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(about.uid())).ok().flatten();
    let by = user.map_or_else(|| format!("user {}", about.uid()), |user| user.name);
    Some(Made { by, at: Timestamp::try_from(about.modified().ok()?).ok()? })
}

/// Removes a lock file of ours whose holder is dead. Returns whether it is worth trying again at once.
fn sweep(path: &Utf8Path) -> Result<bool, FileError> {
    let file = match files::open(path) {
        Ok(Some(file)) => file,
        // A dangling link is there, and in the way.
        Ok(None) => return Ok(!path.is_symlink()),
        // kubectl's has no permissions at all, and a folder or a pipe is not ours either.
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied || error.is_not_regular() => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let sweep = || -> io::Result<bool> {
        if io::read_to_string(io::Read::take(&file, 64))? != OURS || file.try_lock().is_err() {
            return Ok(false);
        }
        // Whoever holds the kernel's lock on this file may remove it, if it still is the one at this path.
        let (mine, there) = (file.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
            std::fs::remove_file(path)?;
        }
        Ok(true)
    };
    match sweep() {
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false), // no text, so not ours
        outcome => outcome.map_err(failed("lock", path)),
    }
}
