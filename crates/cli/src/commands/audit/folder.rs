//! The folder for reports: checked before the audit begins. Each file is replaced atomically.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::files;
use provisioner::home::Home;
use tempfile::NamedTempFile;

use super::ReportFormat;

/// A folder that can be written.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    home: &'a Home,
    path: Utf8PathBuf,
}

/// Why reports cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("write into {path}")]
pub(crate) struct FolderError {
    path: Utf8PathBuf,
    #[source]
    source: io::Error,
}

impl<'a> Folder<'a> {
    /// Makes the folder if it is missing, owned by the home's owner, and tries to write into it.
    ///
    /// # Errors
    /// [`FolderError`] with the path that is in the way. No existing file has changed then.
    pub(super) fn ready(home: &'a Home, path: &Utf8Path) -> Result<Self, FolderError> {
        let failed = |path: &Utf8Path, source| FolderError { path: path.to_owned(), source };
        let path = camino::absolute_utf8(path).map_err(|source| failed(path, source))?;
        // An existing file or folder keeps its content and its owner.
        if let Some(there) = path.ancestors().find(|there| there.exists() && !there.is_dir()) {
            return Err(failed(there, io::ErrorKind::NotADirectory.into()));
        }
        home.create_dir(&path).map_err(|source| failed(&path, source))?;
        for file in ReportFormat::FILES.map(|(_, file)| path.join(file)) {
            files::regular(&file).map_err(|error| failed(&file, error.source))?;
        }
        NamedTempFile::new_in(&path).map_err(|source| failed(&path, source))?;
        Ok(Self { home, path })
    }

    /// Writes a file with the mode 0644, and returns its path. The file appears only when it is complete.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<Utf8PathBuf, FolderError> {
        let path = self.path.join(name);
        let written = || -> io::Result<()> {
            let mut new = NamedTempFile::new_in(&self.path)?;
            new.write_all(text.as_bytes())?;
            new.as_file().set_permissions(Permissions::from_mode(0o644))?;
            if let Some(unfinished) = Utf8Path::from_path(new.path()) {
                self.home.adopt(unfinished)?;
            }
            new.as_file().sync_all()?;
            new.persist(&path).map_err(|error| error.error).map(drop)
        };
        written().map_err(|source| FolderError { path: path.clone(), source })?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// The names in a folder, in order.
    fn names(folder: &Utf8Path) -> Vec<String> {
        let entries = folder.read_dir_utf8().expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_report_folder_is_created_and_a_report_replaces_an_older_one_without_leftovers() {
        let place = tempfile::tempdir().expect("a folder");
        let place = Utf8Path::from_path(place.path()).expect("a path in UTF-8");
        let home = Home::at(place.join("lab"));
        let folder = Folder::ready(&home, &place.join("a/b")).expect("it can be made");
        assert_eq!(names(&place.join("a/b")), [""; 0], "trying leaves nothing");
        folder.write("audit.tap", "old").expect("it is written");
        let path = folder.write("audit.tap", "new").expect("it is written");
        assert_eq!(std::fs::read_to_string(&path).expect("a report"), "new");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o644);
        assert_eq!(names(&place.join("a/b")), ["audit.tap"]);
    }

    #[test]
    fn a_path_that_cannot_hold_the_reports_is_refused_and_left_unchanged() {
        let place = tempfile::tempdir().expect("a folder");
        let place = Utf8Path::from_path(place.path()).expect("a path in UTF-8");
        let home = Home::at(place.join("lab"));
        std::fs::write(place.join("file"), "mine").expect("a file");
        std::fs::create_dir_all(place.join("taken/audit.xml")).expect("a folder");
        std::fs::create_dir(place.join("odd")).expect("a folder");
        let _socket = UnixListener::bind(place.join("odd/audit.tap")).expect("a socket");
        let of = |path: &str| {
            Folder::ready(&home, &place.join(path)).map(drop).map_err(|error| {
                (error.path.strip_prefix(place).map(ToString::to_string), error.source.kind())
            })
        };
        let file = (Ok("file".to_owned()), io::ErrorKind::NotADirectory);
        assert_eq!(of("file"), Err(file.clone()));
        assert_eq!(of("file/below"), Err(file));
        assert_eq!(of("taken"), Err((Ok("taken/audit.xml".to_owned()), io::ErrorKind::IsADirectory)));
        assert_eq!(of("odd"), Err((Ok("odd/audit.tap".to_owned()), io::ErrorKind::InvalidInput)));
        assert_eq!(std::fs::read_to_string(place.join("file")).expect("it is there"), "mine");
    }
}
