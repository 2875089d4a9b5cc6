//! Removes artefacts from the cache that are in no recipe of this program and that nothing on the host uses.
//!
//! The decision is pure. `provision::prune` finds the users of artefacts, as texts that contain the digest of an
//! artefact in use: podman's record of a container, mounts, the backing file of a disk. An artefact is kept when one of
//! these texts contains its digest, and also when a text that could contain it cannot be read.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::cache::{Cache, failed};
use super::recipe::{Kind, Recipe};
use super::{Assets, AssetsError};

/// A thing on the host that may use artefacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `container homelab-1a2b3c.acme-cp-1`
    pub name: String,
    /// A text that contains the digest of each artefact that it uses.
    pub text: String,
}

/// A source of users that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadSource {
    /// The reason: `podman does not answer: …`
    pub why: String,
    /// The kinds of artefacts that its users could be using.
    pub kinds: Vec<Kind>,
}

/// All things on the host that may use artefacts, of all homes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// The users that were found.
    pub found: Vec<User>,
    /// The sources that could not be read, and so may have more users.
    pub unjudged: Vec<UnreadSource>,
}

/// Why an artefact stays or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It stays: a recipe of this program has it.
    Current,
    /// It stays: it is in no recipe, but is used by the things with these names.
    Used(Vec<String>),
    /// It stays: it is in no recipe, and it is unknown whether it is used, for this reason.
    UnreadSource(String),
    /// It goes: it is in no recipe and not used.
    Old,
}

/// A finished artefact in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Its kind.
    pub kind: Kind,
    /// The first 16 digits of its digest, which name its folder.
    pub digest: String,
    /// Its folder.
    pub path: Utf8PathBuf,
    /// Its size on disk, in bytes. A file that it shares with other artefacts counts in each of them.
    pub bytes: u64,
    /// Whether it stays, and why.
    pub fate: Decision,
}

/// The result of a prune, or of a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// All finished artefacts, including those that stay.
    pub artefacts: Vec<Artefact>,
    /// The disk space that the removal frees, in bytes. Files shared with an artefact that stays are not counted.
    pub freed: u64,
}

impl Assets {
    /// The result that [`Self::prune`] would have; changes nothing.
    ///
    /// # Errors
    /// [`AssetsError::File`] when the cache cannot be read.
    pub fn prunable(&self, users: &Users) -> Result<Pruned, AssetsError> {
        let mut artefacts = Vec::new();
        let mut weights = HashMap::new();
        for kind in Kind::ALL {
            for digest in self.cache.finished(kind)? {
                let path = self.folder().join(kind.as_str()).join(&digest);
                let fate = fate(kind, &digest, is_current(kind, &digest), users);
                let mut weight = DiskUse::default();
                weight.add(&path).map_err(failed("read", &path))?;
                let bytes = weight.files.values().map(|file| file.bytes).sum();
                artefacts.push(Artefact { kind, digest, path: path.clone(), bytes, fate });
                weights.insert(path, weight);
            }
        }
        let mut gone = DiskUse::default();
        for artefact in artefacts.iter().filter(|artefact| artefact.fate == Decision::Old) {
            gone.merge(weights.remove(&artefact.path).unwrap_or_default());
        }
        Ok(Pruned { artefacts, freed: gone.freed() })
    }

    /// Removes artefacts that are in no recipe of this program and not used, and leftovers of killed builds. `users` is
    /// awaited under the cache's exclusive lock, so that no use begins after it was read.
    ///
    /// # Errors
    /// [`AssetsError::Busy`] while a process builds in the cache or starts nodes from it; nothing is removed then.
    pub async fn prune(&self, users: impl Future<Output = Users>) -> Result<Pruned, AssetsError> {
        if !self.folder().exists() {
            return Ok(Pruned { artefacts: Vec::new(), freed: 0 });
        }
        let _alone = self.cache.have_alone()?;
        let pruned = self.prunable(&users.await)?;
        remove(self.cache.clone(), &pruned).await?;
        Ok(pruned)
    }
}

async fn remove(cache: Cache, pruned: &Pruned) -> Result<(), AssetsError> {
    let old = pruned.artefacts.iter().filter(|artefact| artefact.fate == Decision::Old);
    let paths: Vec<Utf8PathBuf> = old.map(|artefact| artefact.path.clone()).collect();
    let folder = cache.folder().to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        paths.iter().try_for_each(|path| cache.remove(path))?;
        cache.sweep()
    });
    removed.await.unwrap_or_else(|panic| Err(failed("clear", &folder)(io::Error::other(panic))))
}

fn is_current(kind: Kind, digest: &str) -> bool {
    Recipe::all().iter().flat_map(Recipe::parts).any(|part| part.kind == kind && part.key() == digest)
}

/// Decides whether an artefact stays. Pure.
fn fate(kind: Kind, digest: &str, is_current: bool, users: &Users) -> Decision {
    if is_current {
        return Decision::Current;
    }
    let mut by: Vec<String> =
        users.found.iter().filter(|user| user.text.contains(digest)).map(|user| user.name.clone()).collect();
    by.dedup();
    if !by.is_empty() {
        return Decision::Used(by);
    }
    match users.unjudged.iter().find(|unjudged| unjudged.kinds.contains(&kind)) {
        Some(unjudged) => Decision::UnreadSource(unjudged.why.clone()),
        None => Decision::Old,
    }
}

/// The files of one or several artefacts, by device and inode.
#[derive(Debug, Default)]
struct DiskUse {
    files: HashMap<(u64, u64), FileWeight>,
}

#[derive(Debug)]
struct FileWeight {
    bytes: u64,
    /// The number of its names in these artefacts.
    names: u64,
    /// The number of all its names.
    links: u64,
}

impl DiskUse {
    fn add(&mut self, path: &Utf8Path) -> io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        // The link count of a folder counts its subfolders; the folder has one name.
        let links = if meta.is_dir() { 1 } else { meta.nlink() };
        let file = self.files.entry((meta.dev(), meta.ino()));
        file.or_insert(FileWeight { bytes: meta.blocks() * 512, names: 0, links }).names += 1;
        if meta.is_dir() {
            for entry in path.read_dir_utf8()? {
                self.add(entry?.path())?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (inode, file) in other.files {
            match self.files.get_mut(&inode) {
                Some(known) => known.names += file.names,
                None => drop(self.files.insert(inode, file)),
            }
        }
    }

    /// The disk space that the removal of these artefacts frees, in bytes.
    fn freed(&self) -> u64 {
        self.files.values().filter(|file| file.names >= file.links).map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hint;

    const OLD: &str = "00000000000000aa";

    fn user(name: &str, text: &str) -> User {
        User { name: name.to_owned(), text: text.to_owned() }
    }

    fn unjudged(kinds: &[Kind]) -> UnreadSource {
        UnreadSource { why: "podman does not answer".to_owned(), kinds: kinds.to_vec() }
    }

    #[test]
    fn current_used_and_unjudged_artefacts_are_kept_and_all_others_are_old() {
        let none = Users::default();
        let used = Users {
            found: vec![user("a", "x"), user("b", &format!("--rootfs=/c/root/{OLD}:O"))],
            unjudged: vec![unjudged(&[Kind::Root])],
        };
        let silent = Users { found: Vec::new(), unjudged: vec![unjudged(&[Kind::Root, Kind::Store])] };
        assert_eq!(fate(Kind::Root, OLD, true, &none), Decision::Current);
        assert_eq!(fate(Kind::Root, OLD, false, &none), Decision::Old);
        assert_eq!(fate(Kind::Root, OLD, false, &used), Decision::Used(vec!["b".to_owned()]));
        let why = Decision::UnreadSource("podman does not answer".to_owned());
        assert_eq!(fate(Kind::Store, OLD, false, &silent), why);
        assert_eq!(fate(Kind::Binaries, OLD, false, &silent), Decision::Old);
    }

    fn assets() -> (tempfile::TempDir, Assets) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, Assets::in_cache(path))
    }

    fn put(assets: &Assets, path: &str, text: &str) -> Utf8PathBuf {
        let path = assets.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A cache with a current root, an old root that a container uses, and old artefacts that are not used.
    fn cache() -> (tempfile::TempDir, Assets) {
        let (folder, assets) = assets();
        let current = Recipe::all()[0].root.to_string();
        for path in
            [current.as_str(), "root/00000000000000aa", "root/00000000000000bb", "store/00000000000000cc"]
        {
            put(&assets, &format!("{path}/file"), &"x".repeat(20_000));
        }
        put(&assets, "tools/go/bin/go", "not ours to remove");
        put(&assets, "root/.00000000000000dd.x/file", "left by a killed build");
        (folder, assets)
    }

    fn container() -> Users {
        Users {
            found: vec![user("container c", "--rootfs /c/root/00000000000000aa:O")],
            unjudged: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_prune_removes_old_artefacts_and_leftovers_and_nothing_else() {
        let (_folder, assets) = cache();
        let dry = assets.prunable(&container()).unwrap();
        assert!(assets.folder().join("root/00000000000000bb").exists(), "a dry run removes nothing");
        let pruned = assets.prune(async { container() }).await.unwrap();
        assert_eq!(pruned, dry);
        let mut left: Vec<String> = Vec::new();
        for shelf in ["root", "store", "tools"] {
            let entries = assets.folder().join(shelf).read_dir_utf8().unwrap();
            left.extend(entries.map(|entry| format!("{shelf}/{}", entry.unwrap().file_name())));
        }
        left.sort();
        let mut expected = vec![
            Recipe::all()[0].root.to_string(),
            "root/00000000000000aa".to_owned(),
            "tools/go".to_owned(),
        ];
        expected.sort();
        assert_eq!(left, expected);
        assert!(pruned.freed >= 40_000, "{}", pruned.freed);
        let again = assets.prune(async { container() }).await.unwrap();
        assert_eq!(again.freed, 0);
    }

    #[tokio::test]
    async fn nothing_is_removed_during_a_build() {
        let (_folder, assets) = cache();
        let _builder = assets.hold().await.unwrap();
        let refused = assets.prune(async { Users::default() }).await.expect_err("the cache is held");
        assert!(matches!(refused, AssetsError::Busy { .. }), "{refused}");
        assert!(refused.hint().is_some());
        assert!(assets.folder().join("root/00000000000000bb").exists());
    }

    #[tokio::test]
    async fn a_missing_cache_has_nothing_to_prune_and_is_not_created() {
        let (_folder, assets) = assets();
        let assets = Assets::in_cache(assets.folder().join("nowhere"));
        let pruned = assets.prune(async { Users::default() }).await.unwrap();
        assert_eq!((pruned.artefacts.len(), pruned.freed, assets.folder().exists()), (0, 0, false));
    }

    #[test]
    fn files_shared_with_a_kept_artefact_do_not_count_as_freed() {
        let (_folder, assets) = assets();
        let old = put(&assets, "binaries/00000000000000aa/runc", &"x".repeat(40_000));
        let current = Recipe::all()[0].root.to_string();
        let kept = put(&assets, &format!("{current}/other"), "x");
        fs::hard_link(&old, kept.with_file_name("runc")).unwrap();
        let pruned = assets.prunable(&Users::default()).unwrap();
        assert!(pruned.freed < 40_000, "{}", pruned.freed);
        let other = put(&assets, "binaries/00000000000000bb/runc", &"x".repeat(40_000));
        fs::hard_link(&other, other.with_file_name("again")).unwrap();
        let pruned = assets.prunable(&Users::default()).unwrap();
        assert!((40_000..80_000).contains(&pruned.freed), "both names go, and count once: {}", pruned.freed);
    }
}
