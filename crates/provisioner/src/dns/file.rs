//! Changes a file of the host that is not ours alone: one homelab at a time, whole or not at all.
//!
//! The lock is on the folder itself, so nothing is left behind, it holds across homes, and it is still the same one
//! after the file was replaced by a rename.

use camino::Utf8Path;

use crate::files::{Foreign, Fresh, Lock, sweep};

use super::DnsError;

/// Waits until no other homelab changes anything in the folder, which is a matter of milliseconds.
pub(super) fn hold(folder: &Utf8Path) -> Result<Lock, DnsError> {
    Ok(Lock::of_folder(folder)?)
}

/// Changes a file's contents; nothing is written when nothing changes. Returns whether anything did.
///
/// The file is the host's, whoever called sudo: a new one belongs to this process and is for all to read.
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

/// Refuses a file that cannot be changed, or made; nothing is changed.
pub(super) fn check(link: &Utf8Path) -> Result<(), DnsError> {
    Ok(Foreign::read(link)?.demand_writable()?)
}

fn folder(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}
