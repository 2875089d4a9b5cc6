//! One writer at a time: an advisory lock on a file beside the ledger, freed by the kernel when its holder
//! dies.
//!
//! The lock has a file of its own because the ledger is replaced by rename: a lock on the old file would
//! not keep anybody from the new one. Readers take none, since a rename shows them one ledger or the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;

use crate::home::Home;

/// Held as long as it lives. The file stays: removing it would let two holders in.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] File);

impl Lock {
    /// Waits until nobody else holds the lock, which is a matter of milliseconds.
    pub(super) fn exclusive(home: &Home, path: &Utf8Path) -> io::Result<Self> {
        let open = |options: &mut OpenOptions| options.read(true).write(true).mode(0o600).open(path);
        let file = match open(OpenOptions::new().create_new(true)) {
            Ok(file) => {
                home.adopt(path)?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(&mut OpenOptions::new())?,
            Err(error) => return Err(error),
        };
        file.lock()?;
        Ok(Self(file))
    }
}
