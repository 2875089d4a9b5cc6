//! Socket files that process 1 can open. A process that reaches the file can talk to the service that listens
//! (unix(7)).
//!
//! If two nodes share a socket, the socket or a folder above it was mounted into one of them. So the walk goes through
//! every mount, one at a time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::of_first;
use super::tables::{Mount, abstract_sockets};
use crate::mountinfo::escaped;

/// File systems that cannot contain sockets of services.
const WITHOUT: [&str; 15] = [
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "fusectl",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];
/// Prefix of the folders where containerd unpacks images. No program listens on a socket in there.
const LAYERS: &str = "io.containerd.snapshotter.";
/// The most files that are walked: more cannot be walked within the time of a batch.
const FILES: usize = 1_000_000;

/// `8:1 40 /run/a.sock /run`: device, inode, path and mount point of each socket file; also the abstract sockets, which
/// belong to the prober's network namespace.
///
/// # Errors
///
/// If there are more files than [`FILES`], or a folder cannot be read.
pub(super) fn all(mounts: &[Mount]) -> io::Result<Vec<String>> {
    let mut lines = abstract_sockets(&fs::read_to_string("/proc/net/unix")?);
    let points: BTreeSet<PathBuf> = mounts.iter().map(|mount| of_first(&mount.path())).collect();
    let mut left = FILES;
    for mount in mounts.iter().filter(|mount| is_walked(mount)) {
        let start = of_first(&mount.path());
        let found = walk(&start, &points, &mut left)?;
        lines.extend(found.into_iter().filter_map(|(path, meta)| {
            let path = Path::new("/").join(path.strip_prefix(of_first("/")).ok()?);
            let (device, path) = (meta.dev(), escaped(path.to_str()?));
            let (major, minor) = (major(device), minor(device));
            Some(format!("{major}:{minor} {} {path} {}", meta.ino(), mount.point))
        }));
    }
    Ok(lines)
}

/// Skips overlays, which are containers' file systems, and the root, which is the system itself: services have no
/// sockets there, and a path that is mounted from there into another node is a mount there.
fn is_walked(mount: &Mount) -> bool {
    let is_system = mount.kind == "overlay" || mount.point == "/";
    !is_system && !WITHOUT.contains(&mount.kind.as_str())
}

/// The sockets at and below a path, without those below other mount points. Entries that vanish meanwhile are skipped.
fn walk(
    start: &Path,
    points: &BTreeSet<PathBuf>,
    left: &mut usize,
) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    let Some(meta) = there(fs::symlink_metadata(start))? else { return Ok(found) };
    if meta.file_type().is_socket() {
        found.push((start.to_owned(), meta));
        return Ok(found);
    }
    let mut folders = if meta.is_dir() { vec![start.to_owned()] } else { Vec::new() };
    while let Some(folder) = folders.pop() {
        let Some(entries) = there(fs::read_dir(&folder))? else { continue };
        for entry in entries {
            let Some(entry) = there(entry)? else { continue };
            *left = left
                .checked_sub(1)
                .ok_or_else(|| io::Error::other("too many files to search for sockets"))?;
            let Some(kind) = there(entry.file_type())? else { continue };
            let path = entry.path();
            if kind.is_socket() {
                found.extend(there(fs::symlink_metadata(&path))?.map(|meta| (path, meta)));
            } else if kind.is_dir() && !points.contains(&path) && !is_layers(&path) {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn is_layers(folder: &Path) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(LAYERS))
}

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_found_below_a_mount_but_not_below_the_next_one_nor_in_images() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let layers = "io.containerd.snapshotter.v1.overlayfs";
        for path in ["deep/down", "next", layers] {
            fs::create_dir_all(at(path)).unwrap();
        }
        let own = [at("a"), at("deep/down/b")];
        let others = [at("next/c"), at(layers).join("d")];
        let listening: Vec<_> =
            own.iter().chain(&others).map(|path| UnixListener::bind(path).unwrap()).collect();
        fs::write(at("file"), "").unwrap();
        let points = BTreeSet::from([at("next")]);
        let walked = |start: &Path, mut left| {
            walk(start, &points, &mut left)
                .map(|found| found.into_iter().map(|(path, _)| path).collect::<BTreeSet<_>>())
        };
        assert_eq!(walked(folder.path(), 100).unwrap(), BTreeSet::from(own.clone()));
        assert_eq!(
            walked(&own[0], 100).unwrap(),
            BTreeSet::from([own[0].clone()]),
            "a socket that is itself a mount point"
        );
        assert_eq!(walked(&at("gone"), 100).unwrap(), BTreeSet::new());
        assert!(walked(folder.path(), 3).is_err(), "an incomplete walk is an error");
        drop(listening);
    }
}
