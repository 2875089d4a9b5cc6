//! A folder of finished artefacts, each under the digest of its inputs.

use std::fs::{self, File};
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::AssetsError;

/// The cache's folder: `<kind>/<digest>` is finished, `<kind>/.<digest>.<random>` is being made.
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

    /// Where an artefact is when it is finished.
    pub(super) fn path(&self, kind: &str, digest: &str) -> Utf8PathBuf {
        self.folder.join(kind).join(&digest[..16])
    }

    fn lock_file(&self, kind: &str, key: &str) -> Utf8PathBuf {
        self.folder.join(format!("{kind}-{key}.lock"))
    }

    /// Removes what killed builders left of artefacts that nobody is making, whatever their inputs were.
    pub(super) fn sweep(&self) -> Result<(), AssetsError> {
        self.sweep_unlocked().map_err(failed("clear", &self.folder))
    }

    fn sweep_unlocked(&self) -> io::Result<()> {
        for shelf in self.folder.read_dir_utf8()?.flatten().filter(|entry| entry.path().is_dir()) {
            for part in shelf.path().read_dir_utf8()?.flatten() {
                let Some((key, _)) = part.file_name().strip_prefix('.').and_then(|name| name.split_once('.'))
                else {
                    continue;
                };
                let lock = open(&self.lock_file(shelf.file_name(), key))?;
                if lock.try_lock().is_ok() {
                    fs::remove_dir_all(part.path())?;
                }
            }
        }
        Ok(())
    }

    /// Refuses to begin on a disk that is too full.
    pub(super) fn demand_space(&self, bytes: u64) -> Result<(), AssetsError> {
        fs::create_dir_all(&self.folder).map_err(failed("make", &self.folder))?;
        let disk = rustix::fs::statvfs(self.folder.as_std_path());
        let disk = disk.map_err(|error| failed("look at the disk of", &self.folder)(error.into()))?;
        let has = disk.f_bavail * disk.f_frsize;
        if has < bytes {
            return Err(AssetsError::Disk { path: self.folder.clone(), has: has >> 20 });
        }
        Ok(())
    }

    /// An artefact's folder, made by `make` if it is not there; says whether it was.
    ///
    /// `make` fills a folder of its own, which takes its final name when it is complete. One builder at a time
    /// has an artefact's lock; the next one finds it finished. What a killed builder left goes first.
    pub(super) async fn artefact(
        &self,
        kind: &str,
        digest: &str,
        make: impl AsyncFnOnce(&Utf8Path) -> Result<(), AssetsError>,
    ) -> Result<(Utf8PathBuf, bool), AssetsError> {
        let finished = self.path(kind, digest);
        if finished.exists() {
            return Ok((finished, true));
        }
        let shelf = self.folder.join(kind);
        fs::create_dir_all(&shelf).map_err(failed("make", &shelf))?;
        let _lock = lock(self.lock_file(kind, &digest[..16])).await?;
        if finished.exists() {
            return Ok((finished, true));
        }
        let prefix = format!(".{}.", &digest[..16]);
        remove_leftovers(&shelf, &prefix).map_err(failed("clear", &shelf))?;
        let part =
            tempfile::Builder::new().prefix(&prefix).tempdir_in(&shelf).map_err(failed("make in", &shelf))?;
        let path = Utf8PathBuf::from_path_buf(part.path().to_owned()).unwrap_or_default();
        make(&path).await?;
        // A node's root is entered by whoever runs in it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, open).map_err(failed("open", &path))?;
        fs::rename(&path, &finished).map_err(failed("rename", &path))?;
        Ok((finished, false))
    }
}

async fn lock(path: Utf8PathBuf) -> Result<File, AssetsError> {
    let file = path.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let file = open(&file)?;
        file.lock()?;
        Ok(file)
    });
    taken.await.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(failed("lock", &path))
}

fn open(lock: &Utf8Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(lock)
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

/// Context for an error of the file system.
pub(super) fn failed(attempt: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> AssetsError {
    let path = path.to_owned();
    move |source| AssetsError::File { attempt, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, Cache::in_folder(path))
    }

    const DIGEST: &str = "0123456789abcdef0123";

    #[tokio::test]
    async fn an_artefact_is_made_once_even_by_two_builders_at_once() {
        let (_folder, cache) = cache();
        let made = std::sync::atomic::AtomicU32::new(0);
        let build = || {
            cache.artefact("kind", DIGEST, async |part: &Utf8Path| {
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
    async fn what_a_killed_builder_left_is_never_taken_for_finished_and_goes() {
        let (_folder, cache) = cache();
        let left = cache.folder().join(format!("kind/.{}.dead", &DIGEST[..16]));
        fs::create_dir_all(&left).unwrap();
        assert!(!cache.path("kind", DIGEST).exists());
        cache.artefact("kind", DIGEST, async |_: &Utf8Path| Ok(())).await.unwrap();
        assert!(!left.exists());
        assert!(cache.path("kind", DIGEST).exists());
    }

    #[tokio::test]
    async fn a_sweep_spares_what_is_finished_or_being_made() {
        let (_folder, cache) = cache();
        let shelf = cache.folder().join("kind");
        for name in [".dead.x", ".alive.x", "finished"] {
            fs::create_dir_all(shelf.join(name)).unwrap();
        }
        let _builder = lock(cache.lock_file("kind", "alive")).await.unwrap();
        cache.sweep().unwrap();
        let left = ["dead", "alive"].map(|key| shelf.join(format!(".{key}.x")).exists());
        assert_eq!((left, shelf.join("finished").exists()), ([false, true], true));
    }

    #[tokio::test]
    async fn a_failed_build_leaves_nothing_and_the_next_one_succeeds() {
        let (_folder, cache) = cache();
        let broken =
            cache.artefact("kind", DIGEST, async |_: &Utf8Path| Err(AssetsError::Tools(Vec::new()))).await;
        assert!(broken.is_err());
        assert_eq!(fs::read_dir(cache.folder().join("kind")).unwrap().count(), 0);
        let (_, cached) = cache.artefact("kind", DIGEST, async |_: &Utf8Path| Ok(())).await.unwrap();
        assert!(!cached);
    }
}
