//! Files that have a name outside of their node's folder, and device nodes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use probe::structure::{Backed, DeviceNode, LinkedFile, Place};
use rustix::fs::{major, minor};

use super::{device, is_gone};

/// The most files in all roots together.
const FILES: usize = 2_000_000;

/// What a walk through folders finds.
#[derive(Default)]
pub(super) struct Files {
    pub(super) linked: Vec<LinkedFile>,
    pub(super) devices: Vec<DeviceNode>,
}

/// Walks through all roots. Mounts in them are left out: those are in the mount tables.
pub(super) fn walk(roots: &BTreeMap<String, String>, unread: &mut Vec<String>) -> Files {
    let (mut files, mut left) = (Files::default(), FILES);
    let mut linked: BTreeMap<(u64, u64), LinkedFile> = BTreeMap::new();
    for (name, root) in roots {
        let walked = one(name, Path::new(root), &mut left, &mut linked, &mut files.devices);
        if let Err(error) = walked {
            unread.push(format!("walk through {root}: {error}"));
        }
    }
    let within_one = |file: &LinkedFile| {
        let first = file.found.first().map(|(root, _)| root);
        file.found.len() as u64 == file.names && file.found.iter().all(|(root, _)| Some(root) == first)
    };
    files.linked = linked.into_values().filter(|file| !within_one(file)).collect();
    files
}

fn one(
    name: &str,
    root: &Path,
    left: &mut usize,
    linked: &mut BTreeMap<(u64, u64), LinkedFile>,
    devices: &mut Vec<DeviceNode>,
) -> io::Result<()> {
    let device = fs::symlink_metadata(root)?.dev();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Some(entries) = there(fs::read_dir(&folder))? else { continue };
        for entry in entries {
            let Some(entry) = there(entry)? else { continue };
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("too many files"))?;
            let Some(kind) = there(entry.file_type())? else { continue };
            if kind.is_symlink() {
                continue;
            }
            let Some(meta) = there(entry.metadata())? else { continue };
            let path = entry.path();
            let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                if meta.dev() == device {
                    folders.push(path);
                }
            } else if kind.is_block_device() || kind.is_char_device() {
                // 0:0 marks a deleted file in an overlay's upper layer.
                if meta.rdev() != 0 {
                    devices.push(node(Place::Root(name.to_owned()), below, &meta));
                }
            } else if meta.nlink() > 1 {
                let file = linked.entry((meta.dev(), meta.ino())).or_insert_with(|| LinkedFile {
                    device: number(meta.dev()),
                    inode: meta.ino(),
                    names: meta.nlink(),
                    found: Vec::new(),
                });
                file.found.push((name.to_owned(), below));
            }
        }
    }
    Ok(())
}

/// The device nodes in `/dev` of each mount namespace.
pub(super) fn devices(roots: &BTreeMap<u64, PathBuf>, unread: &mut Vec<String>) -> Vec<DeviceNode> {
    let mut all = Vec::new();
    for (inode, root) in roots {
        let dev = root.join("dev");
        let mut folders = vec![dev.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match there(fs::read_dir(&folder)) {
                Ok(Some(entries)) => entries,
                Ok(None) => continue,
                Err(error) => {
                    unread.push(format!("list {}: {error}", folder.display()));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                if kind.is_dir() {
                    // Terminals, shared memory and message queues: no devices of the host.
                    let name = entry.file_name();
                    if !["pts", "shm", "mqueue", "hugepages"].iter().any(|it| name == *it) {
                        folders.push(path);
                    }
                } else if kind.is_block_device() || kind.is_char_device() {
                    let Ok(meta) = entry.metadata() else { continue };
                    let below = path.strip_prefix(root).unwrap_or(&path);
                    all.push(node(Place::Mounts(*inode), format!("/{}", below.display()), &meta));
                }
            }
        }
    }
    all
}

fn node(place: Place, path: String, meta: &fs::Metadata) -> DeviceNode {
    let block = meta.file_type().is_block_device();
    DeviceNode { place, path, block, major: major(meta.rdev()), minor: minor(meta.rdev()) }
}

fn number(of: u64) -> String {
    device(major(of), minor(of))
}

/// Loop devices with their files, and devices that are made of others (device mapper, RAID).
pub(super) fn backed(unread: &mut Vec<String>) -> Vec<Backed> {
    let entries = match there(fs::read_dir("/sys/block")) {
        Ok(entries) => entries.into_iter().flatten().flatten(),
        Err(error) => {
            unread.push(format!("list /sys/block: {error}"));
            return Vec::new();
        }
    };
    let of = |entry: fs::DirEntry| {
        let folder = entry.path();
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
        let slaves = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
        let mut by: Vec<String> = slaves.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        by.extend(read("loop/backing_file"));
        let name = entry.file_name().to_string_lossy().into_owned();
        (!by.is_empty()).then(|| Backed { device: read("dev").unwrap_or_default(), name, by })
    };
    entries.filter_map(of).collect()
}

/// A file that vanished meanwhile is none.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if is_gone(&error) => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_name_in_another_root_or_outside_is_told_and_one_with_two_names_in_its_own_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["a/etc", "b", "outside"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for file in ["a/own", "a/etc/shared", "b/leaves", "a/alone"] {
            fs::write(at(file), "").unwrap();
        }
        for (from, to) in
            [("a/own", "a/etc/again"), ("a/etc/shared", "b/taken"), ("b/leaves", "outside/kept")]
        {
            fs::hard_link(at(from), at(to)).unwrap();
        }
        let roots = ["a", "b"].map(|name| (name.to_owned(), at(name).to_str().unwrap().to_owned()));
        let mut unread = Vec::new();
        let files = walk(&BTreeMap::from(roots), &mut unread);
        let mut found: Vec<(u64, Vec<(String, String)>)> =
            files.linked.into_iter().map(|file| (file.names, file.found)).collect();
        found.sort_by_key(|(_, found)| found.len());
        let pair = |root: &str, path: &str| (root.to_owned(), path.to_owned());
        let expected =
            [(2, vec![pair("b", "leaves")]), (2, vec![pair("a", "etc/shared"), pair("b", "taken")])];
        assert_eq!(found, expected);
        assert_eq!(unread, Vec::<String>::new());
    }

    #[test]
    fn a_root_that_cannot_be_walked_is_told() {
        let mut unread = Vec::new();
        walk(&BTreeMap::from([("a".to_owned(), "/nowhere/at/all".to_owned())]), &mut unread);
        assert_eq!(unread.len(), 1, "{unread:?}");
    }

    #[test]
    fn the_devices_of_this_mount_namespace_are_found() {
        let mut unread = Vec::new();
        let all = devices(&BTreeMap::from([(1, "/proc/self/root".into())]), &mut unread);
        let null = all.iter().find(|device| device.path == "/dev/null").unwrap();
        assert_eq!((null.block, null.major, null.minor), (false, 1, 3));
    }
}
