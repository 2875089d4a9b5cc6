//! Reads a file of others and changes nothing of it but its contents.
//!
//! A symbolic link stays, and its target is changed. New contents are renamed over the old file, with the same owner,
//! mode and attributes. Where a rename would lose something, the contents are written in place, as kubectl does. That
//! concerns a mount point (a container's `/etc/hosts`), a file with several names, and a file whose owner only root
//! could keep.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statvfs, statx};

use crate::home::Home;

use super::regular::{self, regular, regular_only, without_waiting};
use super::replace::{adopt, beside, filled, folder_of, put};
use super::{FileError, Unfit, failed, keep};

/// The space for additions that [`demand_room_for_files`] asks for beyond the file's length, in bytes.
const GROWTH: u64 = 64 << 10;

/// The longest chain of links that is followed, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;

/// A file as it was when it was read. A change applies to that file.
#[derive(Debug)]
pub struct Foreign {
    path: Utf8PathBuf,
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    file: File,
    about: Metadata,
    contents: Vec<u8>,
}

/// The owner and the mode of a new file.
#[derive(Debug, Clone, Copy)]
pub enum Fresh<'a> {
    /// Owned by the user of a home, mode 0600.
    Private(&'a Home),
    /// Owned by this process's user, mode 0644.
    Public,
}

impl Foreign {
    /// Reads a file. A missing file, also behind a link, is empty and can be made.
    ///
    /// # Errors
    /// [`FileError`], also for something other than a regular file.
    pub fn read(link: &Utf8Path) -> Result<Self, FileError> {
        let path = target(link)?;
        let before = match regular::open(&path)? {
            None => None,
            Some(mut file) => {
                let read = || {
                    let about = file.metadata()?;
                    let contents = regular::read_all(&mut file)?;
                    Ok(Before { about, contents, file })
                };
                Some(read().map_err(failed("read", &path))?)
            }
        };
        Ok(Self { path, before })
    }

    /// The path of the file, with links followed.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The contents as they were read; empty for a missing file.
    pub fn contents(&self) -> &[u8] {
        self.before.as_ref().map_or(&[], |before| &before.contents)
    }

    /// Whether the file has the inode, length and modification time with which it was read, or is still missing.
    pub fn is_still_so(&self) -> bool {
        let about =
            |about: &Metadata| (about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        match (&self.before, std::fs::metadata(&self.path)) {
            (Some(before), Ok(now)) => about(&before.about) == about(&now),
            (None, Err(error)) => error.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Replaces the contents, or makes the file. Writes nothing when the contents are the same, and returns `false`
    /// then.
    ///
    /// # Errors
    /// [`FileError`]; the file is unchanged then.
    pub fn write(&self, contents: &[u8], fresh: Fresh<'_>) -> Result<bool, FileError> {
        if contents == self.contents() {
            return Ok(false);
        }
        let written = match &self.before {
            None => self.make(contents, fresh),
            Some(before) => self.change(before, contents),
        };
        written.map(|()| true).map_err(failed("write", &self.path))
    }

    /// Refuses a file that [`write`](Self::write) could not change. The file is not changed; a test file is made beside
    /// it and removed again.
    ///
    /// # Errors
    /// [`FileError`] with the obstacle.
    pub fn demand_writable(&self) -> Result<(), FileError> {
        let look = || {
            let Some(before) = &self.before else { return Ok(()) };
            changeable(&before.file)?;
            accessat(CWD, self.path.as_std_path(), Access::WRITE_OK, AtFlags::EACCESS)?;
            Ok(())
        };
        look().map_err(failed("write", &self.path))?;
        match &self.before {
            Some(before) if is_mount_point(&before.file) => Ok(()), // is written in place
            _ => demand_room_for_files(&self.path, self.contents().len() as u64),
        }
    }

    fn make(&self, contents: &[u8], fresh: Fresh<'_>) -> io::Result<()> {
        let new = filled(&self.path, contents)?;
        match fresh {
            Fresh::Private(home) => adopt(home, &new)?,
            Fresh::Public => new.as_file().set_permissions(PermissionsExt::from_mode(0o644))?,
        }
        put(new, &self.path)
    }

    fn change(&self, before: &Before, contents: &[u8]) -> io::Result<()> {
        changeable(&before.file)?;
        if before.about.nlink() > 1 || is_mount_point(&before.file) {
            return self.write_in_place(before, contents);
        }
        let new = filled(&self.path, contents)?;
        if keep::all(&before.file, &before.about, new.as_file()).is_err() {
            return self.write_in_place(before, contents);
        }
        match put(new, &self.path) {
            // A mount point that an old kernel does not report as one (rename(2)).
            Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => {
                self.write_in_place(before, contents)
            }
            outcome => outcome,
        }
    }

    /// Overwrites the file. After an error, the old contents are written back; a crash in the middle leaves a mixture.
    fn write_in_place(&self, before: &Before, contents: &[u8]) -> io::Result<()> {
        let mut file = without_waiting(File::options().read(true).write(true)).open(&self.path)?;
        regular_only(file.metadata()?)?;
        let written = overwrite(&mut file, contents);
        if written.is_err() {
            let _ = overwrite(&mut file, &before.contents);
        }
        written
    }
}

/// Refuses a path in whose folder no file can be made, or whose disk has too little space for `length` bytes. If the
/// folder is missing, its nearest existing ancestor is checked.
///
/// # Errors
/// [`FileError`] with the obstacle.
pub fn demand_room_for_files(path: &Utf8Path, length: u64) -> Result<(), FileError> {
    let folders =
        folder_of(path).ancestors().map(|it| if it.as_str().is_empty() { "." } else { it.as_str() });
    let folder = folders.map(Utf8Path::new).find(|folder| folder.exists()).unwrap_or(Utf8Path::new("/"));
    let look = || {
        // Only making a file proves that one can be made: permissions, quotas, security modules and the file system
        // itself can all refuse it.
        beside(&folder.join(path.file_name().unwrap_or_default()))?.close()?;
        let disk = statvfs(folder.as_std_path())?;
        let free = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
        if disk.f_blocks > 0 && free.saturating_mul(disk.f_frsize) < length + GROWTH {
            return Err(io::Error::from(ErrorKind::StorageFull));
        }
        Ok(())
    };
    look().map_err(failed("make files in", folder))
}

fn overwrite(file: &mut File, contents: &[u8]) -> io::Result<()> {
    use std::io::Seek;
    file.rewind()?;
    file.write_all(contents)?;
    file.set_len(contents.len() as u64)?;
    file.sync_all()
}

/// The file to which a path leads. Users keep their kubeconfig as a link into their dotfiles, and some distributions
/// link `/etc/hosts`.
fn target(link: &Utf8Path) -> Result<Utf8PathBuf, FileError> {
    let there = regular(link)?;
    let path = followed(link).map_err(failed("read", link))?;
    let unfit = |unfit: Unfit| failed("read", link)(unfit.into());
    match there {
        // A descriptor below /proc reads as a link, but its target need not exist.
        Some(_) if path != link && regular(&path)?.is_none() => Err(unfit(Unfit::Nameless)),
        Some(_) => Ok(path),
        None if path != link && !folder_of(&path).is_dir() => Err(unfit(Unfit::Dangling(path))),
        None => Ok(path),
    }
}

fn followed(link: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let mut path = link.to_owned();
    for _ in 0..LINKS {
        match path.read_link_utf8() {
            Ok(next) => path = folder_of(&path).join(next),
            // EINVAL: not a link (readlink(2)).
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Refuses a file with the attribute `i` or `a`. The system's own error says only "Operation not permitted".
fn changeable(file: &File) -> io::Result<()> {
    let has = |attribute| attributes(file).contains(attribute);
    match () {
        () if has(StatxAttributes::IMMUTABLE) => Err(Unfit::Immutable.into()),
        () if has(StatxAttributes::APPEND) => Err(Unfit::AppendOnly.into()),
        () => Ok(()),
    }
}

fn is_mount_point(file: &File) -> bool {
    attributes(file).contains(StatxAttributes::MOUNT_ROOT)
}

/// Attributes of a file beyond stat(2). None on a kernel that does not report them; the write fails there instead.
fn attributes(file: &File) -> StatxAttributes {
    let known = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    known.map_or(StatxAttributes::empty(), |known| known.stx_attributes)
}
