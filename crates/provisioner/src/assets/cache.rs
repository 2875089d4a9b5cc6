//! The cache: a folder of finished artefacts, each under the digest of its inputs.
//!
//! There are two kinds of locks, which the kernel frees when their holder dies. A process that makes an artefact holds
//! that artefact's lock. A process that makes or uses any artefact holds the cache's lock, shared, so that `prune`
//! removes nothing that is about to be used. This module does not know what is in an artefact.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::files::{self, Lock};

use super::AssetsError;
use super::recipe::{Kind, Part};

/// The cache's folder: `<kind>/<digest>` is finished, `<kind>/.<digest>.<suffix>` is being made or removed.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: Utf8PathBuf,
}

impl Cache {
    pub(super) fn in_folder(folder: Utf8PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// The path of an artefact when it is finished.
    pub(super) fn path(&self, part: &Part) -> Utf8PathBuf {
        self.folder.join(part.to_string())
    }

    fn lock_file(&self, kind: &str, key: &str) -> Utf8PathBuf {
        self.folder.join(format!("{kind}-{key}.lock"))
    }

    /// Takes the cache's shared lock: nothing is pruned while the value lives. Waits for a running prune.
    pub(super) async fn hold(&self) -> Result<Held, AssetsError> {
        fs::create_dir_all(&self.folder).map_err(failed("make", &self.folder))?;
        Ok(Held { _lock: Lock::waited_for(self.folder.join(HOLD), Lock::shared_of_file).await? })
    }

    /// Takes the cache's exclusive lock, or returns [`AssetsError::Busy`]. Artefacts' locks are checked as well: an
    /// older version of homelab makes artefacts without the cache's lock, but never without the artefact's.
    pub(super) fn have_alone(&self) -> Result<Held, AssetsError> {
        let try_lock = |path: &Utf8Path| {
            Lock::try_of_file(path)?.ok_or_else(|| AssetsError::Busy { path: path.to_owned() })
        };
        let alone = try_lock(&self.folder.join(HOLD))?;
        let names = || self.folder.read_dir_utf8()?.map(|entry| Ok(entry?.into_path())).collect();
        let names: io::Result<Vec<Utf8PathBuf>> = names();
        let names = names.map_err(failed("read", &self.folder))?;
        for artefact in names.iter().filter(|path| is_of_artefact(path)) {
            try_lock(artefact)?;
        }
        Ok(Held { _lock: alone })
    }

    /// The names of all finished artefacts of a kind, sorted.
    pub(super) fn finished(&self, kind: Kind) -> Result<Vec<String>, AssetsError> {
        let shelf = self.folder.join(kind.as_str());
        let entries = match shelf.read_dir_utf8() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &shelf))?,
        };
        let is_key = |name: &str| name.len() == 16 && name.chars().all(|digit| digit.is_ascii_hexdigit());
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read", &shelf))?;
            if is_key(entry.file_name()) {
                keys.push(entry.file_name().to_owned());
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// Removes a finished artefact. It is renamed first, so that a partly removed artefact is never taken for a
    /// finished one.
    pub(super) fn remove(&self, path: &Utf8Path) -> Result<(), AssetsError> {
        let doomed = path.with_file_name(format!(".{}.pruned", path.file_name().unwrap_or_default()));
        let removed = fs::rename(path, &doomed).and_then(|()| fs::remove_dir_all(&doomed));
        removed.map_err(failed("remove", path))
    }

    /// Removes the unfinished artefacts of killed builders: those whose lock is free, whatever their digests.
    pub(super) fn sweep(&self) -> Result<(), AssetsError> {
        let entries = |folder: &Utf8Path| folder.read_dir_utf8().map_err(failed("read", folder));
        for shelf in entries(&self.folder)?.flatten().filter(|entry| entry.path().is_dir()) {
            for part in entries(shelf.path())?.flatten() {
                let Some((key, _)) = part.file_name().strip_prefix('.').and_then(|name| name.split_once('.'))
                else {
                    continue;
                };
                if let Some(_lock) = Lock::try_of_file(&self.lock_file(shelf.file_name(), key))? {
                    fs::remove_dir_all(part.path()).map_err(failed("remove", part.path()))?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a disk with less free space than this.
    pub(super) fn demand_space(&self, bytes: u64) -> Result<(), AssetsError> {
        fs::create_dir_all(&self.folder).map_err(failed("make", &self.folder))?;
        let disk = rustix::fs::statvfs(self.folder.as_std_path());
        let disk = disk.map_err(|error| failed("find the free disk space of", &self.folder)(error.into()))?;
        let has = disk.f_bavail * disk.f_frsize;
        if has < bytes {
            let (has, needs) = (has >> 20, bytes >> 20);
            return Err(AssetsError::Disk { path: self.folder.clone(), has, needs });
        }
        Ok(())
    }

    /// An artefact's folder, and whether it was in the cache. A missing artefact is made by `make`.
    ///
    /// `make` fills a temporary folder, which gets its final name when it is complete. One builder at a time holds an
    /// artefact's lock; the next one finds the artefact finished. Leftovers of a killed builder are removed first.
    pub(super) async fn artefact(
        &self,
        part: &Part,
        make: impl AsyncFnOnce(&Utf8Path) -> Result<(), AssetsError>,
    ) -> Result<(Utf8PathBuf, bool), AssetsError> {
        let Some(unfinished) = self.begin(part).await? else {
            return Ok((self.path(part), true));
        };
        make(unfinished.path()).await?;
        Ok((unfinished.finish()?, false))
    }

    /// Begins to make an artefact; `None` if it is finished. Waits while another process makes it.
    pub(super) async fn begin(&self, part: &Part) -> Result<Option<Unfinished>, AssetsError> {
        let finished = self.path(part);
        if finished.exists() {
            return Ok(None);
        }
        let shelf = self.folder.join(part.kind.as_str());
        fs::create_dir_all(&shelf).map_err(failed("make", &shelf))?;
        let file = self.lock_file(part.kind.as_str(), part.key());
        let lock = Lock::waited_for(file, Lock::of_file).await?;
        if finished.exists() {
            return Ok(None);
        }
        let prefix = format!(".{}.", part.key());
        remove_leftovers(&shelf, &prefix).map_err(failed("clear", &shelf))?;
        let folder =
            tempfile::Builder::new().prefix(&prefix).tempdir_in(&shelf).map_err(failed("make in", &shelf))?;
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap_or_default();
        Ok(Some(Unfinished { path, finished, _folder: folder, _lock: lock }))
    }
}

/// Name of the file with the cache's lock.
const HOLD: &str = "cache.lock";

/// Whether this path is the lock file of an artefact.
fn is_of_artefact(path: &Utf8Path) -> bool {
    path.extension() == Some("lock") && path.file_name() != Some(HOLD)
}

/// A lock on the cache, held while this value lives.
#[derive(Debug)]
pub struct Held {
    _lock: Lock,
}

/// An artefact that is being made. Dropping the value removes it, unless it was finished.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: Utf8PathBuf,
    finished: Utf8PathBuf,
    _folder: tempfile::TempDir,
    _lock: Lock,
}

impl Unfinished {
    /// The folder in which it is made.
    pub(super) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Gives it its final name.
    pub(super) fn finish(self) -> Result<Utf8PathBuf, AssetsError> {
        // A node's root must be accessible to all users in the node.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&self.path, open).map_err(failed("open", &self.path))?;
        fs::rename(&self.path, &self.finished).map_err(failed("rename", &self.path))?;
        Ok(self.finished.clone())
    }
}

fn remove_leftovers(shelf: &Utf8Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(shelf)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes an [`AssetsError`] of a file system's error, for `map_err`.
pub(super) fn failed(attempt: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> AssetsError {
    let failed = files::failed(attempt, path);
    move |source| failed(source).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, Cache::in_folder(path))
    }

    fn part() -> Part {
        Part { kind: Kind::Root, digest: "0123456789abcdef0123".to_owned() }
    }

    #[tokio::test]
    async fn an_artefact_is_built_once_even_by_two_builders_at_once() {
        let (_folder, cache) = cache();
        let (made, part) = (std::sync::atomic::AtomicU32::new(0), part());
        let build = || {
            cache.artefact(&part, async |part: &Utf8Path| {
                made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                fs::write(part.join("file"), "x").map_err(failed("write", part))
            })
        };
        let (first, second) = tokio::try_join!(build(), build()).unwrap();
        assert_eq!(made.into_inner(), 1);
        assert_eq!(first.0, second.0);
        assert!(first.0.join("file").exists());
    }

    #[tokio::test]
    async fn leftovers_of_a_killed_build_never_count_as_finished_and_are_removed() {
        let (_folder, cache) = cache();
        let left = cache.folder().join(format!("root/.{}.dead", part().key()));
        fs::create_dir_all(&left).unwrap();
        assert!(!cache.path(&part()).exists());
        cache.artefact(&part(), async |_: &Utf8Path| Ok(())).await.unwrap();
        assert!(!left.exists());
        assert!(cache.path(&part()).exists());
    }

    #[tokio::test]
    async fn a_sweep_spares_artefacts_that_are_finished_or_being_built() {
        let (_folder, cache) = cache();
        let shelf = cache.folder().join("root");
        for name in [".dead.x", ".alive.x", "finished"] {
            fs::create_dir_all(shelf.join(name)).unwrap();
        }
        let _builder = Lock::of_file(&cache.lock_file("root", "alive")).unwrap();
        cache.sweep().unwrap();
        let left = ["dead", "alive"].map(|key| shelf.join(format!(".{key}.x")).exists());
        assert_eq!((left, shelf.join("finished").exists()), ([false, true], true));
    }

    #[tokio::test]
    async fn a_failed_build_leaves_nothing_and_the_next_one_succeeds() {
        let (_folder, cache) = cache();
        let broken = cache.artefact(&part(), async |_: &Utf8Path| Err(AssetsError::Tools(Vec::new()))).await;
        assert!(broken.is_err());
        assert_eq!(fs::read_dir(cache.folder().join("root")).unwrap().count(), 0);
        let (_, cached) = cache.artefact(&part(), async |_: &Utf8Path| Ok(())).await.unwrap();
        assert!(!cached);
    }

    #[tokio::test]
    async fn a_cache_in_use_cannot_be_locked_exclusively() {
        let (_folder, cache) = cache();
        let holder = cache.hold().await.unwrap();
        let busy = cache.have_alone().expect_err("it is held");
        assert!(matches!(&busy, AssetsError::Busy { path } if path.ends_with("cache.lock")), "{busy}");
        drop(holder);
        drop(cache.have_alone().unwrap());
        // An older version makes artefacts without the cache's lock.
        let builder = cache.begin(&part()).await.unwrap().unwrap();
        let busy = cache.have_alone().expect_err("something is being built");
        assert!(matches!(&busy, AssetsError::Busy { path } if path.as_str().contains("root-")), "{busy}");
        drop(builder);
        cache.have_alone().unwrap();
    }

    #[test]
    fn only_folders_named_by_a_digest_count_as_artefacts() {
        let (_folder, cache) = cache();
        for name in ["0123456789abcdef", ".0123456789abcdef.x", "notes", "0123456789abcdefff"] {
            fs::create_dir_all(cache.folder().join("store").join(name)).unwrap();
        }
        assert_eq!(cache.finished(Kind::Store).unwrap(), ["0123456789abcdef"]);
        assert_eq!(cache.finished(Kind::Boxes).unwrap(), Vec::<String>::new());
    }
}
