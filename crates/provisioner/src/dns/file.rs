//! Changes a file of the host that other programs also use: under a lock, and atomically.
//!
//! The lock is on the folder itself. So it leaves no lock file, all homes use the same lock, and it stays the same
//! after the file was replaced by a rename.

use camino::Utf8Path;

use crate::files::{Foreign, Fresh, Lock, sweep};

use super::DnsError;

/// Locks the folder. Another homelab holds the lock only for milliseconds.
pub(super) fn hold(folder: &Utf8Path) -> Result<Lock, DnsError> {
    Ok(Lock::of_folder(folder)?)
}

/// Changes a file's contents. Writes only if they change, and returns whether they did.
///
/// The file belongs to the host, not to the user who called sudo: a new file belongs to this process's user, and all
/// users may read it.
pub(super) fn edit(
    link: &Utf8Path,
    change: impl Fn(&[u8], &Utf8Path) -> Result<Vec<u8>, DnsError>,
) -> Result<bool, DnsError> {
    let _held = hold(folder(Foreign::read(link)?.path()))?;
    let file = Foreign::read(link)?;
    let after = change(file.contents(), file.path())?;
    if after == file.contents() {
        return Ok(false);
    }
    sweep(file.path())?;
    Ok(file.write(&after, Fresh::Public)?)
}

/// Checks that a file can be changed, or made if it does not exist. Changes nothing.
pub(super) fn check(link: &Utf8Path) -> Result<(), DnsError> {
    Ok(Foreign::read(link)?.demand_writable()?)
}

fn folder(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}
