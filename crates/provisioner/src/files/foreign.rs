//! A file that is not ours: read, and changed in such a way that its owner finds nothing changed but the contents.
//!
//! A symbolic link stays one, and what it leads to is changed. The contents are replaced by a rename, with owner, mode
//! and attributes kept. Where a rename would lose something, they are written in place, as kubectl does: a file that is
//! a mount point (a container's `/etc/hosts`), one with several names, or one whose owner only root could keep.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statvfs, statx};

use crate::home::Home;

use super::regular::{self, regular, regular_only, without_waiting};
use super::replace::{adopt, beside, filled, folder_of, put};
use super::{FileError, Unfit, failed, keep};

/// How much a file may grow by what we add to it, in bytes.
const GROWTH: u64 = 64 << 10;

/// How many links are followed one after the other, as the kernel does (path_resolution(7)).
const LINKS: usize = 40;

/// A file as it was when it was read; changes are made to that one.
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

/// To whom a file belongs that has to be made.
#[derive(Debug, Clone, Copy)]
pub enum Fresh<'a> {
    /// To the user of a home, who alone may read it.
    Private(&'a Home),
    /// To this process's user; everybody may read it.
    Public,
}

impl Foreign {
    /// Reads a file. One that is not there, also behind a link, is empty and can be made.
    ///
    /// # Errors
    /// [`FileError`], also for what is no regular file.
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

    /// Where it really is, links followed.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Its contents.
    pub fn contents(&self) -> &[u8] {
        self.before.as_ref().map_or(&[], |before| &before.contents)
    }

    /// Whether nobody has changed it since it was read.
    pub fn is_still_so(&self) -> bool {
        let about =
            |about: &Metadata| (about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        match (&self.before, std::fs::metadata(&self.path)) {
            (Some(before), Ok(now)) => about(&before.about) == about(&now),
            (None, Err(error)) => error.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Changes its contents, or makes it; nothing is written when nothing changes. Returns whether anything did.
    ///
    /// # Errors
    /// [`FileError`]; it is as it was then.
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

    /// Refuses a file that [`write`](Self::write) could not change. Nothing is changed, and what is made to find that
    /// out is removed again.
    ///
    /// # Errors
    /// [`FileError`] with what stands in the way.
    pub fn demand_writable(&self) -> Result<(), FileError> {
        let look = || {
            let Some(before) = &self.before else { return Ok(()) };
            changeable(&before.file)?;
            accessat(CWD, self.path.as_std_path(), Access::WRITE_OK, AtFlags::EACCESS)?;
            Ok(())
        };
        look().map_err(failed("write", &self.path))?;
        match &self.before {
            Some(before) if is_mount_point(&before.file) => Ok(()), // it is written in place
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
            // A mount point that an old kernel does not tell (rename(2)).
            Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => {
                self.write_in_place(before, contents)
            }
            outcome => outcome,
        }
    }

    /// A crash in the middle leaves a mixture; whatever else fails, the old contents are put back.
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

/// Refuses a path in whose folder no file can be made, or for which there is no room. The folder may be missing
/// itself: then it is the nearest one that exists.
///
/// # Errors
/// [`FileError`] with what stands in the way.
pub fn demand_room_for_files(path: &Utf8Path, length: u64) -> Result<(), FileError> {
    let folders =
        folder_of(path).ancestors().map(|it| if it.as_str().is_empty() { "." } else { it.as_str() });
    let folder = folders.map(Utf8Path::new).find(|folder| folder.exists()).unwrap_or(Utf8Path::new("/"));
    let look = || {
        // There is no better proof: permissions, quotas, security modules, file systems that only look like one.
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

/// Where a path really leads: people keep their kubeconfig as a link into their dotfiles, and some distributions
/// `/etc/hosts` elsewhere.
fn target(link: &Utf8Path) -> Result<Utf8PathBuf, FileError> {
    let there = regular(link)?;
    let path = followed(link).map_err(failed("read", link))?;
    let unfit = |unfit: Unfit| failed("read", link)(unfit.into());
    match there {
        // The descriptors below /proc look like links, but what they name need not be there.
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
            // EINVAL: it is no link (readlink(2)).
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// The system says no more than that it is not permitted.
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

/// What the kernel knows of a file beyond stat(2); a kernel that knows nothing says so when the file is written.
fn attributes(file: &File) -> StatxAttributes {
    let known = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    known.map_or(StatxAttributes::empty(), |known| known.stx_attributes)
}
