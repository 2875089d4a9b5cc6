//! Replaces a file as a whole: after a crash there is the old content or the new one, never a mixture.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use camino::Utf8Path;
use tempfile::NamedTempFile;

use crate::home::Home;

/// Writes the contents beside the file, then renames them over it; both are on disk when this returns.
///
/// An existing file keeps its permissions and its owner. A new one is for its owner alone, and that is the
/// user to whom the home belongs. The folder must exist; the path must not be a symbolic link that
/// is meant to stay one.
pub(crate) fn replace(home: &Home, path: &Utf8Path, contents: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut new = tempfile::Builder::new().prefix(&unfinished(path)).tempfile_in(folder)?;
    new.write_all(contents)?;
    match std::fs::metadata(path) {
        Ok(old) => take_over(new.as_file(), &old)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(new) = Utf8Path::from_path(new.path()) {
                home.adopt(new)?;
            }
        }
        Err(error) => return Err(error),
    }
    persist(new, path, folder)
}

/// The same for a file that everybody may read and that belongs to whoever runs this: an existing one is
/// replaced together with its permissions.
pub(crate) fn replace_public(path: &Utf8Path, contents: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut new = tempfile::Builder::new().prefix(&unfinished(path)).tempfile_in(folder)?;
    new.write_all(contents)?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    persist(new, path, folder)
}

fn folder_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}

/// Removes what is left of writers that were killed while they replaced this file. Only for whoever keeps all
/// other writers of it out: anybody else would take away what is being written.
pub(crate) fn sweep(path: &Utf8Path) -> io::Result<()> {
    let unfinished = unfinished(path);
    for entry in folder_of(path).read_dir_utf8()? {
        let entry = entry?;
        if entry.file_name().starts_with(&unfinished) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How the names of new contents of a file begin, until they are complete.
fn unfinished(path: &Utf8Path) -> String {
    format!(".{}.homelab-", path.file_name().unwrap_or_default())
}

fn persist(new: NamedTempFile, path: &Utf8Path, folder: &Utf8Path) -> io::Result<()> {
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn take_over(new: &File, old: &Metadata) -> io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
        // Only root may give files away, and only root finds one of somebody else's that it can replace.
        match fchown(new, Some(old.uid()), Some(old.gid())) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}
