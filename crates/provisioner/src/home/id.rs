//! The id of a home, kept in its folder together with the folder's device and inode.
//!
//! All names on the host contain the id, so two folders must never have the same id. A moved folder keeps its inode and
//! stays the same home. A copy has another inode and is refused: a `destroy` for the copy would destroy objects of the
//! original.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::{digest, digest_of};

use super::{HomeError, Listed};

/// Name of the file with the id in the home.
pub(super) const FILE: &str = "home-id";

/// A folder on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `st_dev` of the folder.
    pub device: u64,
    /// `st_ino` of the folder.
    pub inode: u64,
    /// Its canonical path.
    pub path: Utf8PathBuf,
}

impl Place {
    /// The place of a folder that exists.
    ///
    /// # Errors
    /// The error of `stat`.
    pub fn of(path: &Utf8Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino(), path: path.to_owned() })
    }

    /// Whether both are the same folder. A moved folder keeps device and inode. A folder that stays in its place can
    /// get another device number when its file system is mounted again. Pure.
    pub fn is(&self, other: &Self) -> bool {
        self.inode == other.inode && (self.device == other.device || self.path == other.path)
    }

    /// Whether the folder is still at its path.
    pub fn is_there(&self) -> bool {
        self.is_at(&self.path)
    }

    /// Whether `path` leads to this folder.
    pub fn is_at(&self, path: &Utf8Path) -> bool {
        Self::of(path).is_ok_and(|here| here.is(self))
    }

    /// Two lines, `<device> <inode>` and the path. Pure.
    pub(super) fn text(&self) -> String {
        format!("{} {}\n{}\n", self.device, self.inode, self.path)
    }

    /// Parses the output of [`Self::text`]; `None` for anything else. Pure.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (numbers, path) = text.split_once('\n')?;
        let (device, inode) = numbers.split_once(' ')?;
        let path = Utf8PathBuf::from(path.strip_suffix('\n')?);
        Some(Self { device: device.parse().ok()?, inode: inode.parse().ok()?, path })
    }
}

/// The contents of the id's file: the id on the first line, then the place of the folder for which it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdFile {
    pub(super) id: String,
    /// `None` where the user wrote the id alone: the id is then valid wherever the folder is.
    pub(super) place: Option<Place>,
}

impl IdFile {
    /// Reads the file of a home; `None` when it does not exist.
    pub(super) fn read(root: &Utf8Path) -> Result<Option<Self>, HomeError> {
        let path = root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map(Some).ok_or(HomeError::Damaged { path }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => Err(HomeError::Damaged { path }),
            Err(source) => Err(HomeError::File { attempt: "read", path, source }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.split_once('\n').unwrap_or((text, ""));
        let is_id = id.len() == 6 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let place = if rest.trim().is_empty() { None } else { Some(Place::parse(rest)?) };
        is_id.then(|| Self { id: id.to_owned(), place })
    }

    /// The format that [`Self::read`] reads. Pure.
    pub(super) fn text(&self) -> String {
        let place = self.place.as_ref().map(Place::text).unwrap_or_default();
        format!("{}\n{place}", self.id)
    }
}

/// The id of the home in a folder, which may not exist yet. `spelled` is the path as the environment spells it.
pub(super) fn find(
    root: &Utf8Path,
    spelled: &str,
    listed: &Listed,
    traces: impl FnOnce() -> String,
) -> Result<String, HomeError> {
    match IdFile::read(root)? {
        Some(file) => {
            refuse_copy(root, &file)?;
            Ok(file.id)
        }
        None if has_instances(root) => {
            let id = of_earlier_version(root, spelled, traces);
            // If the listed folder with this id still exists elsewhere, this folder is a copy of it.
            match listed.place(&id).filter(|place| place.is_there() && !place.is_at(root)) {
                Some(original) => Err(HomeError::Copy { root: root.to_owned(), id, original: original.path }),
                None => Ok(id),
            }
        }
        None => {
            Ok(fresh(root, |id| listed.place(id).is_none_or(|place| place.path == root || !place.is_there())))
        }
    }
}

/// Refuses a folder whose id was made for another folder.
fn refuse_copy(root: &Utf8Path, file: &IdFile) -> Result<(), HomeError> {
    match &file.place {
        Some(place) if !place.is_at(root) => {
            let (root, original) = (root.to_owned(), place.path.clone());
            Err(HomeError::Copy { root, id: file.id.clone(), original })
        }
        _ => Ok(()),
    }
}

/// A new id for a folder without one, made from the path, so that processes that begin at the same time make the same
/// id. `is_free` is true for an id that no other home of this host has. The first choice can be taken by a home that
/// was at this path and was moved away. Pure apart from `is_free`.
fn fresh(root: &Utf8Path, is_free: impl Fn(&str) -> bool) -> String {
    let first = short(&digest(root.as_str()));
    let others = (1..).map(|number: u32| short(&digest_of([root.as_str(), &number.to_string()])));
    std::iter::once(first).chain(others).find(|id| is_free(id)).unwrap_or_default() // `others` has no end
}

/// The id before ids were kept in the folder: the digest of the home's path as the environment spelled it. Objects on
/// the host have that id in their names. So the first spelling whose id the traces contain is taken, else the present
/// spelling.
fn of_earlier_version(root: &Utf8Path, spelled: &str, traces: impl FnOnce() -> String) -> String {
    let spellings = [spelled.to_owned(), root.to_string(), format!("{root}/")];
    let ids = spellings.map(|spelling| short(&digest(&spelling)));
    if ids[0] == ids[1] {
        return ids[0].clone();
    }
    let traces = traces();
    let found = ids.iter().find(|id| traces.contains(&format!("homelab-{id}.")));
    found.unwrap_or(&ids[0]).clone()
}

fn short(digest: &str) -> String {
    digest[..6].to_owned()
}

/// Whether the folder has a ledger with an entry, or one that cannot be parsed.
fn has_instances(root: &Utf8Path) -> bool {
    let Ok(text) = fs::read(root.join(super::LEDGER)) else { return false };
    let ledger: Result<serde_json::Value, _> = serde_json::from_slice(&text);
    ledger.map_or(true, |ledger| ledger["instances"].as_array().is_none_or(|entries| !entries.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(device: u64, inode: u64, path: &str) -> Place {
        Place { device, inode, path: path.into() }
    }

    #[test]
    fn a_moved_or_remounted_folder_is_the_same_home_and_a_copy_is_not() {
        let home = place(7, 12, "/home/ada/.homelab");
        assert!(home.is(&place(7, 12, "/data/lab")), "moved");
        assert!(home.is(&place(8, 12, "/home/ada/.homelab")), "mounted again");
        assert!(!home.is(&place(7, 13, "/home/ada/copy")), "copied");
        assert!(!home.is(&place(7, 13, "/home/ada/.homelab")), "restored from a backup");
        assert!(!home.is(&place(8, 12, "/snapshot/.homelab")), "a snapshot of the whole file system");
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_anything_else_is_damaged() {
        let place = place(7, 12, "/home/ada/.homelab");
        let whole = IdFile { id: "0a1b2c".to_owned(), place: Some(place.clone()) };
        assert_eq!(IdFile::parse(&format!("0a1b2c\n{}", place.text())), Some(whole));
        let alone = IdFile { id: "0a1b2c".to_owned(), place: None };
        assert_eq!(IdFile::parse("0a1b2c\n"), Some(alone.clone()));
        assert_eq!(IdFile::parse("0a1b2c"), Some(alone));
        for damaged in
            ["", "\n", "0a1b2", "0a1b2c3", "0A1B2C\n", "0a1b2g\n", "0a1b2c\n7 12\n", "0a1b2c\n7\n/x\n"]
        {
            assert_eq!(IdFile::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn the_id_of_an_earlier_version_is_that_of_the_spelling_with_objects_on_the_host() {
        let root = Utf8Path::new("/data/lab");
        let [linked, real, slash] =
            ["/home/ada/lab", "/data/lab", "/data/lab/"].map(|path| short(&digest(path)));
        let id = |spelled: &str, traces: &str| of_earlier_version(root, spelled, || traces.to_owned());
        assert_eq!(id("/data/lab", &format!("homelab-{slash}.acme")), real, "nothing is unclear");
        assert_eq!(id("/home/ada/lab", &format!("scope: homelab-{real}.acme")), real);
        assert_eq!(id("/home/ada/lab", &format!("# BEGIN homelab-{slash}.acme")), slash);
        assert_eq!(id("/home/ada/lab", ""), linked);
    }

    #[test]
    fn a_new_home_never_gets_the_id_of_another() {
        let root = Utf8Path::new("/home/ada/.homelab");
        let first = fresh(root, |_| true);
        assert_eq!(first, short(&digest(root.as_str())));
        let second = fresh(root, |id| id != first);
        assert_ne!(second, first);
        assert_eq!(second.len(), 6);
    }
}
