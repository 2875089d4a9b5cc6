//! Replaces a file of ours atomically: after a crash it has the old content or the new, never a mixture.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use camino::Utf8Path;
use tempfile::NamedTempFile;

use crate::home::Home;

use super::regular::regular;
use super::{FileError, failed};

/// Writes the contents to a new file and renames it over the old one. Contents and rename are on disk when this
/// returns.
///
/// An existing file keeps its permissions and its owner. A new file has mode 0600 and is owned by the home's user. The
/// folder must exist. A symbolic link is replaced, not followed: see [`Foreign`](super::Foreign) for files of others.
///
/// # Errors
/// [`FileError`]; the file is unchanged then, with one exception: when only the folder cannot be synced, the file has
/// the new contents, which a power cut may undo.
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

/// As [`replace`], for a file that all users may read. The new file has mode 0644 and is owned by this process's user;
/// the permissions of an existing file are not kept.
///
/// # Errors
/// As for [`replace`].
pub fn replace_public(path: &Utf8Path, contents: &[u8]) -> Result<(), FileError> {
    regular(path)?;
    let write = || {
        let new = filled(path, contents)?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        put(new, path)
    };
    write().map_err(failed("write", path))
}

/// Removes temporary files of writers that were killed while they replaced this file. The caller must hold the lock
/// that keeps other writers out, or else this would remove a file that is being written.
///
/// # Errors
/// [`FileError`] when the folder cannot be read or a temporary file cannot be removed. Some temporary files may be left
/// then.
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
    sweep().map_err(failed("remove temporary files of", path))
}

/// The folder of a file; `.` for a bare file name.
pub(super) fn folder_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

/// The beginning of the name of a temporary file with new contents. It is hidden, because neither dnsmasq nor
/// update-ca-certificates reads hidden files.
fn unfinished(path: &Utf8Path) -> String {
    format!(".{}.homelab-", path.file_name().unwrap_or_default())
}

/// A new temporary file beside `path`, mode 0600.
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

/// Renames a new file to `path`, with contents and rename on disk.
pub(super) fn put(new: NamedTempFile, path: &Utf8Path) -> io::Result<()> {
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder_of(path))?.sync_all()
}

fn take_over(new: &File, old: &Metadata) -> io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
        // Only root may change an owner, and only root finds another user's file in a home. So a refusal is ignored.
        match fchown(new, Some(old.uid()), Some(old.gid())) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}
