//! kubectl's lock on a kubeconfig: a file `<kubeconfig>.lock` that must not exist yet (client-go,
//! `tools/clientcmd/loader.go`, `lockFile`). Next in the flow: `document` edits what it guards.
//!
//! kubectl leaves the file behind when it is killed in the wrong moment. Ours is locked by the kernel as
//! well, from before anybody can see it, so that the next homelab tells a dead holder from a slow one.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::{KubeconfigError, failed};

/// How long somebody else may take: kubectl holds it for milliseconds.
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
        let path = Utf8PathBuf::from(format!("{kubeconfig}.lock"));
        let started = Instant::now();
        loop {
            if let Some(file) = take(&path).map_err(failed("lock", &path))? {
                return Ok(Self { path, _file: file });
            }
            if started.elapsed() > PATIENCE {
                return Err(KubeconfigError::Locked { lock: path, waited: PATIENCE });
            }
            if !sweep(&path).map_err(failed("lock", &path))? {
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

/// Removes a lock file of ours whose holder is dead. Returns whether it is worth trying again at once.
fn sweep(path: &Utf8Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        // kubectl's has no permissions at all.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(error),
    };
    if io::read_to_string(&file)? != OURS || file.try_lock().is_err() {
        return Ok(false);
    }
    // Whoever holds the kernel's lock on this file may remove it, if it still is the one at this path.
    let (mine, there) = (file.metadata()?, std::fs::metadata(path));
    if there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
        std::fs::remove_file(path)?;
    }
    Ok(true)
}
