//! A node's folder on the host: its `/var`, with the prepared container store linked into it.

use std::fs;
use std::io;
use std::path::Path;

use camino::Utf8Path;

use super::EngineError;

/// Makes a node's `/var` with the store in it; one that is there stays.
///
/// Importing images costs seconds and a gigabyte for each node. Hard links cost nothing and share the page cache
/// between all clusters: image layers are only ever lower layers of overlays, so nothing writes to them. The
/// databases are written to, and so are real copies.
pub(super) async fn prepare(folder: &Utf8Path, store: &Utf8Path) -> Result<(), EngineError> {
    let var = folder.join("var");
    let (target, source) = (var.join("lib/containerd"), store.to_owned());
    blocking("prepare", &var, move || {
        if target.exists() {
            return Ok(());
        }
        // Linked beside its place first: a folder that a crash left half-done is never taken for whole.
        let half = target.with_file_name("containerd.half");
        match fs::remove_dir_all(&half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&half)?;
        link_tree(source.as_std_path(), half.as_std_path())?;
        fs::rename(&half, &target)
    })
    .await
}

/// Removes a folder with all that is in it; none is fine.
pub(super) async fn remove(folder: &Utf8Path) -> Result<(), EngineError> {
    let target = folder.to_owned();
    blocking("remove", folder, move || match fs::remove_dir_all(&target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}

/// Copies the regular files below a folder; none is fine.
pub(super) async fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<(), EngineError> {
    let (source, target) = (from.to_owned(), to.to_owned());
    blocking("copy", from, move || {
        if !source.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&target)?;
        walk(source.as_std_path(), target.as_std_path(), &|from, to| fs::copy(from, to).map(drop))
    })
    .await
}

fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    walk(from, to, &|from, to| {
        if from.extension().is_some_and(|extension| extension == "db") {
            return fs::copy(from, to).map(drop);
        }
        match fs::hard_link(from, to) {
            // The cache is on another file system than the home: slower and larger, but no less right.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(from, to).map(drop),
            linked => linked,
        }
    })
}

/// Makes the folders and links of `from` again below `to`, and hands each regular file to `file`.
fn walk(from: &Path, to: &Path, file: &dyn Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
            walk(&source, &target, file)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            file(&source, &target)?;
        }
    }
    Ok(())
}

async fn blocking(
    attempt: &'static str,
    path: &Utf8Path,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), EngineError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    done.map_err(|source| EngineError::File { attempt, path: path.to_owned(), source })
}
