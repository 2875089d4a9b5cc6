//! Changes a file of the host that is not ours alone: one homelab at a time, whole or not at all.
//!
//! The lock is on the folder itself (flock(2) takes any file), so nothing is left behind, it holds across homes,
//! and it is still the same one after the file was replaced by a rename.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::home::Home;
use crate::registry::replace;

use super::DnsError;

/// Keeps all other homelabs out of a folder for as long as it lives.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "closing it is what unlocks")] File);

/// Waits until no other homelab changes anything in the folder, which is a matter of milliseconds.
pub(super) fn hold(folder: &Utf8Path) -> Result<Held, DnsError> {
    let open = || {
        let folder = File::open(folder)?;
        folder.lock()?;
        Ok(Held(folder))
    };
    open().map_err(failed("lock", folder))
}

/// Changes a file's contents; nothing is written when nothing changes. Returns whether anything did.
pub(super) fn edit(
    home: &Home,
    link: &Utf8Path,
    change: impl FnOnce(&[u8], &Utf8Path) -> Result<Vec<u8>, DnsError>,
) -> Result<bool, DnsError> {
    let path = target(link).map_err(failed("read", link))?;
    let _held = hold(folder(&path))?;
    let before = read(&path)?;
    let after = change(&before, &path)?;
    if after == before {
        return Ok(false);
    }
    write(home, &path, &after).map_err(failed("write", &path))?;
    Ok(true)
}

/// A file's contents; one that is not there is empty.
pub(super) fn read(path: &Utf8Path) -> Result<Vec<u8>, DnsError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome.map_err(failed("read", path)),
    }
}

/// Where a path really leads: some distributions keep /etc/hosts elsewhere.
fn target(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    match path.canonicalize_utf8() {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => Ok(path.to_owned()),
        outcome => outcome,
    }
}

fn folder(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

/// Writes a file that is the host's, whoever called sudo: a new one belongs to this process and is for all to read.
pub(super) fn write(home: &Home, path: &Utf8Path, contents: &[u8]) -> io::Result<()> {
    if !path.exists() {
        // dnsmasq does not read what begins with a dot.
        let mut new = tempfile::Builder::new().prefix(".homelab-").tempfile_in(folder(path))?;
        new.write_all(contents)?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.as_file().sync_all()?;
        return new.persist(path).map(drop).map_err(|error| error.error);
    }
    match replace(home, path, contents) {
        // A container's /etc/hosts is a mount point, and nothing can be renamed over one (rename(2)).
        Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => {
            in_place(path, contents)
        }
        outcome => outcome,
    }
}

/// The second best way: a crash in the middle leaves a mixture.
fn in_place(path: &Utf8Path, contents: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.write_all(contents)?;
    file.set_len(contents.len() as u64)?;
    file.sync_all()
}

/// Context for an error of the file system.
pub(super) fn failed(attempt: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> DnsError {
    let path = path.to_owned();
    move |source| DnsError::File { attempt, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_renamed_over_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("hosts")).unwrap();
        for (before, after) in [("short", "something longer"), ("something longer", "short")] {
            std::fs::write(&path, before).unwrap();
            in_place(&path, after.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}
