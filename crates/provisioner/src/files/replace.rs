//! Replaces a file of ours as a whole: after a crash there is the old content or the new one, never a mixture.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use camino::Utf8Path;
use tempfile::NamedTempFile;

use crate::home::Home;

use super::regular::regular;
use super::{FileError, failed};

/// Writes the contents beside the file, then renames them over it; both are on disk when this returns.
///
/// An existing file keeps its permissions and its owner. A new one is for its owner alone, and that is the
/// user to whom the home belongs. The folder must exist. A symbolic link is replaced, not followed: see
/// [`Foreign`](super::Foreign) for files of others.
///
/// # Errors
/// [`FileError`]; the file is as it was then.
pub fn replace(home: &Home, path: &Utf8Path, contents: &[u8]) -> Result<(), FileError> {
    let old = regular(path)?;
    let write = || {
        let new = filled(path, contents)?;
        match &old {
            Some(old) => take_over(new.as_file(), old)?,
            None => adopt(home, &new)?,
        }
        put(new, path)
    };
    write().map_err(failed("write", path))
}

/// The same for a file that everybody may read and that belongs to whoever runs this: an existing one is
/// replaced together with its permissions.
///
/// # Errors
/// As [`replace`].
pub fn replace_public(path: &Utf8Path, contents: &[u8]) -> Result<(), FileError> {
    regular(path)?;
    let write = || {
        let new = filled(path, contents)?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        put(new, path)
    };
    write().map_err(failed("write", path))
}

/// Removes what is left of writers that were killed while they replaced this file. Only for the holder of a lock
/// that keeps all other writers out: anybody else would take away what is being written.
///
/// # Errors
/// [`FileError`].
pub fn sweep(path: &Utf8Path) -> Result<(), FileError> {
    let sweep = || {
        let unfinished = unfinished(path);
        for entry in folder_of(path).read_dir_utf8()? {
            let entry = entry?;
            if entry.file_name().starts_with(&unfinished) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    sweep().map_err(failed("tidy up beside", path))
}

/// The folder of a file; that of a name alone is the present one.
pub(super) fn folder_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

/// How the names of new contents of a file begin, until they are complete. Nobody reads hidden files: neither
/// dnsmasq nor update-ca-certificates.
fn unfinished(path: &Utf8Path) -> String {
    format!(".{}.homelab-", path.file_name().unwrap_or_default())
}

/// A new file beside another one, for this process's user alone until it is told otherwise.
pub(super) fn beside(path: &Utf8Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(&unfinished(path)).tempfile_in(folder_of(path))
}

pub(super) fn filled(path: &Utf8Path, contents: &[u8]) -> io::Result<NamedTempFile> {
    let mut new = beside(path)?;
    new.write_all(contents)?;
    Ok(new)
}

pub(super) fn adopt(home: &Home, new: &NamedTempFile) -> io::Result<()> {
    Utf8Path::from_path(new.path()).map_or(Ok(()), |new| home.adopt(new))
}

/// Puts a new file in a path's place.
pub(super) fn put(new: NamedTempFile, path: &Utf8Path) -> io::Result<()> {
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder_of(path))?.sync_all()
}

fn take_over(new: &File, old: &Metadata) -> io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
        // Only root may give files away, and only root finds one of somebody else's in a home.
        match fchown(new, Some(old.uid()), Some(old.gid())) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}
