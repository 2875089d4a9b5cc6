//! Unpacks entries into unfinished folders of the cache, and compares them with the list.
//!
//! The parent of each entry must be an earlier folder of the same file, so no path and no link leads out of the
//! folders.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::assets::recipe::Part;

use super::entry::{ATTRIBUTE, Entry, Form, finished, parsed, unhex};
use super::{ArchiveError, HEADER, LIST, Stop, failed};

/// The character devices of a Debian root: null, zero, full, random, urandom; tty, console, ptmx.
const DEVICES: [(u32, u32); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// The state of unpacking one file.
pub(super) struct Unpacking<'a> {
    file: &'a str,
    folders: &'a [(Part, Option<Utf8PathBuf>)],
    stop: &'a Stop,
    /// The checksums of all entries so far, by path.
    checksums: HashMap<String, String>,
    /// Folders so far.
    made: HashSet<String>,
    /// Regular files so far.
    files: HashSet<String>,
    /// The folders so far, which get their owner, mode and time after their contents.
    later: Vec<(Utf8PathBuf, Entry)>,
    buffer: Vec<u8>,
}

impl<'a> Unpacking<'a> {
    /// Begins after the header, which has this checksum.
    pub(super) fn begin(
        file: &'a str,
        checksum: String,
        folders: &'a [(Part, Option<Utf8PathBuf>)],
        stop: &'a Stop,
    ) -> Self {
        Self {
            file,
            folders,
            stop,
            checksums: HashMap::from([(HEADER.to_owned(), checksum)]),
            made: HashSet::new(),
            files: HashSet::new(),
            later: Vec::new(),
            buffer: vec![0; 1 << 18],
        }
    }

    pub(super) fn entry<R: Read>(
        &mut self,
        from: &mut tar::Entry<'_, R>,
        path: String,
    ) -> Result<(), ArchiveError> {
        let entry = self.parse(from, path)?;
        let target = self.place(&entry)?;
        let contents = if entry.form == Form::File {
            let out = target.as_ref().map(|target| create(target)).transpose()?;
            self.contents(from, out, &entry.path)?
        } else {
            finished(Sha256::new())
        };
        if let Some(target) = target {
            self.make(&entry, target)?;
        }
        self.checksums.insert(entry.path.clone(), entry.checksum(&contents));
        match entry.form {
            Form::Folder => drop(self.made.insert(entry.path)),
            Form::File => drop(self.files.insert(entry.path)),
            _ => {}
        }
        Ok(())
    }

    /// Parses an entry of the tar. Refuses an entry that an export never contains.
    fn parse<R: Read>(&self, from: &mut tar::Entry<'_, R>, path: String) -> Result<Entry, ArchiveError> {
        let tar = from.header().clone();
        let refused = |why| self.refused(&path, why);
        let number = |field: io::Result<u64>| {
            field.map_err(|source| ArchiveError::Damaged {
                file: self.file.to_owned(),
                entry: path.clone(),
                source,
            })
        };
        let link = || {
            let name = from.link_name_bytes().unwrap_or_default().into_owned();
            String::from_utf8(name).map_err(|_| refused("is a link whose target is not UTF-8"))
        };
        let form = match tar.entry_type() {
            EntryType::Directory => Form::Folder,
            EntryType::Regular => Form::File,
            EntryType::Link => Form::Twin(link()?),
            EntryType::Symlink => Form::Link(link()?),
            EntryType::Char => {
                let numbers = (tar.device_major().ok().flatten(), tar.device_minor().ok().flatten());
                let (Some(major), Some(minor)) = numbers else {
                    return Err(refused("is a device without major and minor number"));
                };
                Form::Device(major, minor)
            }
            _ => return Err(refused("is of a kind that is never exported")),
        };
        let mode = tar.mode().map(u64::from);
        let (mode, uid, gid) = (number(mode)?, number(tar.uid())?, number(tar.gid())?);
        let modified = number(tar.mtime())?;
        let mut attributes = Vec::new();
        let records = from.pax_extensions();
        let records = records.map_err(|source| ArchiveError::Damaged {
            file: self.file.to_owned(),
            entry: path.clone(),
            source,
        })?;
        for record in records.into_iter().flatten() {
            let record =
                record.ok().and_then(|it| Some((it.key().ok()?.to_owned(), it.value().ok()?.to_owned())));
            let Some((key, value)) = record else { return Err(refused("has attributes that are not UTF-8")) };
            if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                attributes.push((name.to_owned(), value));
            }
        }
        let mode = u32::try_from(mode & 0o7777).unwrap_or_default();
        Ok(Entry { path, form, mode, uid, gid, modified, attributes })
    }

    /// The path to which an entry is unpacked; `None` if its artefact is in the cache already. Refuses an entry that
    /// could lead out of its folder.
    fn place(&self, entry: &Entry) -> Result<Option<Utf8PathBuf>, ArchiveError> {
        let path = &entry.path;
        let refused = |why| Err(self.refused(path, why));
        if path.split('/').any(|name| ["", ".", ".."].contains(&name)) || path.contains('\0') {
            return refused("leads out of its folder");
        }
        let (kind, below) = path.split_once('/').unwrap_or((path, ""));
        let Some((_, folder)) = self.folders.iter().find(|(part, _)| part.kind.as_str() == kind) else {
            return Err(ArchiveError::Extra { file: self.file.to_owned(), entry: path.clone() });
        };
        if self.checksums.contains_key(path) {
            return refused("occurs twice");
        }
        if below.is_empty() && entry.form != Form::Folder {
            return refused("is an artefact but not a folder");
        }
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if parent.is_some_and(|parent| !self.made.contains(parent)) {
            return refused("is in a folder that the file does not contain");
        }
        match &entry.form {
            Form::Twin(of) if !self.files.contains(of) || of.split('/').next() != Some(kind) => {
                return refused("is a hard link to a file that does not precede it");
            }
            Form::Device(major, minor) if !DEVICES.contains(&(*major, *minor)) => {
                return refused("is a device that no node has");
            }
            _ => {}
        }
        Ok(folder.as_ref().map(|folder| if below.is_empty() { folder.clone() } else { folder.join(below) }))
    }

    fn refused(&self, entry: &str, why: &'static str) -> ArchiveError {
        ArchiveError::Unsafe { file: self.file.to_owned(), entry: entry.to_owned(), why }
    }

    /// Copies the contents of a regular file; returns their checksum.
    fn contents<R: Read>(
        &mut self,
        from: &mut tar::Entry<'_, R>,
        mut out: Option<(File, &Utf8Path)>,
        path: &str,
    ) -> Result<String, ArchiveError> {
        let damaged =
            |source| ArchiveError::Damaged { file: self.file.to_owned(), entry: path.to_owned(), source };
        let (mut hash, mut left) = (Sha256::new(), from.size());
        loop {
            self.stop.check()?;
            let length = from.read(&mut self.buffer).map_err(damaged)?;
            if length == 0 {
                break;
            }
            left = left.saturating_sub(length as u64);
            hash.update(&self.buffer[..length]);
            if let Some((file, target)) = &mut out {
                file.write_all(&self.buffer[..length]).map_err(failed("write", target))?;
            }
        }
        if left > 0 {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(finished(hash))
    }

    /// Makes anything but a regular file. Sets owner, mode, attributes and time, except of hard links, which have those
    /// of their file, and of folders, for which [`Self::settle`] does it.
    fn make(&mut self, entry: &Entry, target: Utf8PathBuf) -> Result<(), ArchiveError> {
        match &entry.form {
            Form::Folder => {
                if entry.path.contains('/') {
                    fs::create_dir(&target).map_err(failed("make", &target))?;
                }
                self.later.push((target, entry.clone()));
                return Ok(());
            }
            Form::Twin(of) => {
                let (_, below) = of.split_once('/').unwrap_or_default();
                let depth = entry.path.matches('/').count();
                let base = target.ancestors().nth(depth).unwrap_or(&target);
                return fs::hard_link(base.join(below), &target).map_err(failed("make", &target));
            }
            Form::Link(to) => std::os::unix::fs::symlink(to, &target).map_err(failed("make", &target))?,
            Form::Device(major, minor) => {
                let device = rustix::fs::makedev(*major, *minor);
                let mode = Mode::from_raw_mode(0o600);
                let made =
                    rustix::fs::mknodat(CWD, target.as_std_path(), FileType::CharacterDevice, mode, device);
                made.map_err(|error| failed("make", &target)(error.into()))?;
            }
            Form::File => {}
        }
        apply(entry, &target)
    }

    /// Compares the entries with the list.
    pub(super) fn compare(&mut self, list: &str) -> Result<(), ArchiveError> {
        let file = || self.file.to_owned();
        let mut listed = HashSet::new();
        for line in list.lines() {
            let Some((checksum, path)) = parsed(line) else {
                return Err(ArchiveError::Changed { file: file(), entry: LIST.to_owned() });
            };
            match self.checksums.get(path) {
                None => return Err(ArchiveError::Missing { file: file(), entry: path.to_owned() }),
                Some(found) if found != checksum => {
                    return Err(ArchiveError::Changed { file: file(), entry: path.to_owned() });
                }
                Some(_) => drop(listed.insert(path)),
            }
        }
        let mut extra: Vec<&String> =
            self.checksums.keys().filter(|path| !listed.contains(path.as_str())).collect();
        extra.sort();
        match extra.first() {
            Some(path) => Err(ArchiveError::Extra { file: file(), entry: (*path).clone() }),
            None => Ok(()),
        }
    }

    /// Sets owner, mode, attributes and time of all folders, the innermost first.
    pub(super) fn settle(&mut self) -> Result<(), ArchiveError> {
        for (target, entry) in self.later.drain(..).rev() {
            apply(&entry, &target)?;
        }
        Ok(())
    }
}

/// A new file, mode 0600 until it has its final owner and mode.
fn create(target: &Utf8Path) -> Result<(File, &Utf8Path), ArchiveError> {
    let made = File::options().write(true).create_new(true).mode(0o600).open(target);
    Ok((made.map_err(failed("make", target))?, target))
}

/// Sets owner, mode, attributes and time. The owner is first, because a change of owner clears file capabilities and
/// the set-user-ID bit.
fn apply(entry: &Entry, target: &Utf8Path) -> Result<(), ArchiveError> {
    let number = |id: u64| u32::try_from(id).ok();
    lchown(target, number(entry.uid), number(entry.gid)).map_err(failed("change the owner of", target))?;
    let is_link = matches!(entry.form, Form::Link(_));
    if !is_link {
        let mode = fs::Permissions::from_mode(entry.mode);
        fs::set_permissions(target, mode).map_err(failed("set the mode of", target))?;
    }
    for (name, value) in &entry.attributes {
        let value = unhex(value).unwrap_or_default();
        let set = rustix::fs::lsetxattr(target.as_std_path(), name.as_str(), &value, XattrFlags::empty());
        set.map_err(|error| failed("set the attributes of", target)(error.into()))?;
    }
    let time = Timespec { tv_sec: i64::try_from(entry.modified).unwrap_or_default(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    let set = rustix::fs::utimensat(CWD, target.as_std_path(), &times, AtFlags::SYMLINK_NOFOLLOW);
    set.map_err(|error| failed("set the time of", target)(error.into()))
}
