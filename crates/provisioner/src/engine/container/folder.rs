//! A node's folder on the host: the node's root, its `/var`, and its share of the prepared container store.
//!
//! A node's files outside of `/run` and `/tmp` are in this folder, on the disk, so that they outlive a reboot of the
//! host. With podman's own overlay over a root (`--rootfs DIR:O`) they would not: podman keeps its upper folder below
//! `/run`.
//!
//! Importing images costs seconds and a gigabyte for each node, so all nodes share the result of one import, the store.
//! Each node sees it through its own overlay at [`STORE`]. The page cache holds the store's files once for all
//! clusters. Files that a node's root writes there go to an upper folder of this node alone, and are removed with the
//! node. From within a node, no inode of the store or of another node can be written.

use std::fs;
use std::io;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::files::failed;

use super::EngineError;

/// The path of the prepared store on a node.
pub(super) const STORE: &str = "/opt/homelab/store";
/// The folders of containerd with entries that are large and never change: unpacked layers, which serve as lower layers
/// of overlays only, and blobs.
const SHARED: [&str; 2] =
    ["io.containerd.snapshotter.v1.overlayfs/snapshots", "io.containerd.content.v1.content/blobs/sha256"];

/// The folders of a node's root that are mount points in any case: kernel file systems, `/run`, `/tmp` and `/var`.
const MOUNTED: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "var"];

/// The folder of a node's root.
pub(super) fn root(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("root")
}

/// The upper folder and the work folder (overlayfs.rst) of a node's overlay over a folder of the node image, such as
/// `etc`.
pub(super) fn overlay(folder: &Utf8Path, name: &str) -> [Utf8PathBuf; 2] {
    ["upper", "work"].map(|part| folder.join("overlays").join(name).join(part))
}

/// Makes a node's root: a folder for each folder of the node image, and the image's symbolic links. The node sees the
/// image's folders through overlays, but for empty folders and mount points. Returns the names of these folders, such
/// as `etc`; their [`overlay`]s' own folders are made here as well.
pub(super) async fn prepare_root(folder: &Utf8Path, image: &Utf8Path) -> Result<Vec<String>, EngineError> {
    let (folder, image) = (folder.to_owned(), image.to_owned());
    blocking("prepare", &root(&folder), move || {
        let mut overlaid = Vec::new();
        for entry in image.read_dir_utf8()? {
            let entry = entry?;
            let (name, target) = (entry.file_name(), root(&folder).join(entry.file_name()));
            fs::create_dir_all(root(&folder))?;
            if entry.file_type()?.is_symlink() {
                // A start that was interrupted may have made the link already.
                if fs::symlink_metadata(&target).is_err() {
                    std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
                }
                continue;
            }
            let mut made = vec![target];
            if !MOUNTED.contains(&name) && entry.path().read_dir()?.next().is_some() {
                // An overlay has the mode of its upper folder.
                made.extend(overlay(&folder, name));
                overlaid.push(name.to_owned());
            }
            for made in made {
                fs::create_dir_all(&made)?;
                fs::set_permissions(&made, entry.metadata()?.permissions())?;
            }
        }
        overlaid.sort();
        Ok(overlaid)
    })
    .await
}

/// Makes a node's `/var` with containerd's folder in it, unless it exists.
///
/// containerd's folder is not on an overlay, because the upper layers of pods cannot be (overlayfs.rst). It has copies
/// of the databases, and symbolic links to the shared entries of the store. The kernel follows these links in the names
/// of lower layers; when containerd removes an image, only links are removed.
pub(super) async fn prepare(folder: &Utf8Path, store: &Utf8Path) -> Result<(), EngineError> {
    let var = folder.join("var");
    let (target, source) = (var.join("lib/containerd"), store.to_owned());
    blocking("prepare", &var, move || {
        if target.exists() {
            return Ok(());
        }
        // Made under another name first, so that a folder that a crash left half-done is never used.
        let half = target.with_file_name("containerd.half");
        match fs::remove_dir_all(&half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&half)?;
        copy_tree(source.as_std_path(), half.as_std_path(), &|from, to| {
            let name = from.strip_prefix(&source).unwrap_or(from);
            let shared = name.parent().is_some_and(|parent| SHARED.iter().any(|it| Path::new(it) == parent));
            if shared {
                std::os::unix::fs::symlink(Path::new(STORE).join(name), to)?;
            }
            Ok(shared)
        })?;
        fs::rename(&half, &target)
    })
    .await
}

/// Removes a folder with its contents, and returns whether it existed.
pub(super) async fn remove(folder: &Utf8Path) -> Result<bool, EngineError> {
    let target = folder.to_owned();
    blocking("remove", folder, move || match fs::remove_dir_all(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    })
    .await
}

/// Copies the folders, links and regular files below a folder. A folder that does not exist is no error.
pub(super) async fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<(), EngineError> {
    let (source, target) = (from.to_owned(), to.to_owned());
    blocking("copy", from, move || {
        if !source.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&target)?;
        copy_tree(source.as_std_path(), target.as_std_path(), &|_, _| Ok(false))
    })
    .await
}

/// Copies the folders, links and regular files below `from` to `to`. Entries for which `instead` returns true are
/// skipped: `instead` has made something else in their place.
fn copy_tree(from: &Path, to: &Path, instead: &dyn Fn(&Path, &Path) -> io::Result<bool>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if instead(&source, &target)? {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
            copy_tree(&source, &target, instead)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    path: &Utf8Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    Ok(done.map_err(failed(attempt, path))?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    /// A store in containerd's layout, with a layer, a blob and other files.
    fn store(path: &Utf8Path) {
        for (file, text) in [
            ("io.containerd.metadata.v1.bolt/meta.db", "images"),
            ("io.containerd.snapshotter.v1.overlayfs/metadata.db", "snapshots"),
            ("io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/bin/pause", "program"),
            ("io.containerd.content.v1.content/blobs/sha256/0a1b", "blob"),
            ("io.containerd.some.v1.other/note", "note"),
        ] {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::create_dir_all(path.join("io.containerd.content.v1.content/ingest")).unwrap();
    }

    /// Device and inode of every regular file below a folder.
    fn inodes(path: &Utf8Path) -> BTreeSet<(u64, u64)> {
        let mut found = BTreeSet::new();
        for entry in path.read_dir_utf8().unwrap().map(Result::unwrap) {
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            match meta.file_type() {
                kind if kind.is_dir() => found.extend(inodes(entry.path())),
                kind if kind.is_file() => found.extend([(meta.dev(), meta.ino())]),
                _ => {}
            }
        }
        found
    }

    #[tokio::test]
    async fn a_node_shares_no_file_with_the_store_or_with_another_node() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = Utf8Path::from_path(scratch.path()).unwrap();
        let places = ["store", "acme-cp-1", "globex-cp-1"].map(|name| scratch.join(name));
        store(&places[0]);
        for node in &places[1..] {
            prepare(node, &places[0]).await.unwrap();
        }
        let found = places.each_ref().map(|place| inodes(place));
        assert_eq!(found[0].len(), 5);
        assert!(found[1].len() >= 2, "a node has no databases: {found:?}");
        for (here, there) in [(0, 1), (0, 2), (1, 2)] {
            let shared: Vec<_> = found[here].intersection(&found[there]).collect();
            assert!(shared.is_empty(), "{} and {} share {shared:?}", places[here], places[there]);
        }
    }

    #[tokio::test]
    async fn a_root_has_the_image_s_folders_and_links_and_overlays_where_the_image_has_files() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = Utf8Path::from_path(scratch.path()).unwrap();
        let (image, folder) = (scratch.join("image"), scratch.join("acme-cp-1"));
        for file in ["etc/hosts", "usr/bin/sh", "var/lib/dpkg/status", "run/utmp"] {
            fs::create_dir_all(image.join(file).parent().unwrap()).unwrap();
            fs::write(image.join(file), "").unwrap();
        }
        for (empty, mode) in [("srv", 0o755), ("root", 0o700), ("tmp", 0o1777)] {
            fs::create_dir(image.join(empty)).unwrap();
            fs::set_permissions(image.join(empty), Permissions::from_mode(mode)).unwrap();
        }
        fs::write(image.join("root/.profile"), "").unwrap();
        std::os::unix::fs::symlink("usr/bin", image.join("bin")).unwrap();
        // Twice, because the first run may have been interrupted.
        for _ in 0..2 {
            assert_eq!(prepare_root(&folder, &image).await.unwrap(), ["etc", "root", "usr"]);
        }
        let root = root(&folder);
        assert_eq!(fs::read_link(root.join("bin")).unwrap(), Path::new("usr/bin"));
        for name in ["etc", "root", "run", "srv", "tmp", "usr", "var"] {
            assert_eq!(fs::read_dir(root.join(name)).unwrap().count(), 0, "{name}");
        }
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&root.join("root")), mode(&root.join("tmp"))), (0o700, 0o1777));
        let [upper, _] = overlay(&folder, "root");
        assert_eq!(mode(&upper), 0o700);
    }

    #[tokio::test]
    async fn snapshots_and_blobs_are_links_to_where_the_node_sees_the_store() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = Utf8Path::from_path(scratch.path()).unwrap();
        store(&scratch.join("store"));
        prepare(&scratch.join("acme-cp-1"), &scratch.join("store")).await.unwrap();
        for name in [
            "io.containerd.snapshotter.v1.overlayfs/snapshots/1",
            "io.containerd.content.v1.content/blobs/sha256/0a1b",
        ] {
            let target = scratch.join("acme-cp-1/var/lib/containerd").join(name).read_link_utf8().unwrap();
            let in_store = target.strip_prefix(STORE).unwrap();
            assert!(scratch.join("store").join(in_store).exists(), "{target} is not in the store");
        }
    }
}
