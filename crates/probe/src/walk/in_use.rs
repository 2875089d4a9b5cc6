//! The files that a process uses: those that it has open or has in its memory, and the file systems of all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use probe::structure::Process;
use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, makedev, statx};

use super::{device, kernel_device};

/// The devices of what is no file, in [`Process::channels`].
pub(super) const PIPE: u64 = 0;
const EVENT: u64 = 1;
const MAP: u64 = 2;

/// Adds what a path in `/proc` leads to: of a descriptor, of a file in memory, the root or the working folder.
pub(super) fn path(process: &mut Process, path: &Path) {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
    let Ok(found) = statx(CWD, path, AtFlags::empty(), wanted) else { return };
    let (major, minor) = (found.stx_dev_major, found.stx_dev_minor);
    if matches!(FileType::from_raw_mode(found.stx_mode.into()), FileType::Fifo | FileType::RegularFile) {
        add(&mut process.channels, (makedev(major, minor), found.stx_ino));
    }
    add(&mut process.file_systems, device(major, minor));
    add(&mut process.mounts, found.stx_mnt_id);
}

/// Adds a descriptor that is no file, by the name and the fields of its fdinfo.
pub(super) fn nameless(process: &mut Process, name: &str, fields: &BTreeMap<String, String>) {
    let number = |field: &str| fields.get(field).and_then(|value| value.parse::<u64>().ok());
    let channel = match name {
        "[eventfd]" => number("eventfd-id").map(|id| (EVENT, id)),
        "bpf-map" => number("map_id").map(|id| (MAP, id)),
        _ => None,
    };
    channel.into_iter().for_each(|channel| add(&mut process.channels, channel));
    let pid = fields.get("Pid").and_then(|pid| pid.parse().ok());
    pid.into_iter().for_each(|pid| add(&mut process.pidfds, pid));
    // `inotify wd:1 ino:2a sdev:800001 mask:…`: the device of a folder that is watched.
    let watched = fields.get("inotify wd").and_then(|rest| rest.split("sdev:").nth(1)?.split(' ').next());
    let watched = watched.and_then(|number| u32::from_str_radix(number, 16).ok());
    watched.into_iter().for_each(|number| add(&mut process.file_systems, kernel_device(number)));
}

/// Adds the root and the working folder of a process, and the files that it shares in memory. What it may not read of a
/// process, such as of the kernel's own, it has no use of.
pub(super) fn other(folder: &Path, process: &mut Process) {
    for name in ["root", "cwd"] {
        path(process, &folder.join(name));
    }
    let maps = fs::read_to_string(folder.join("maps")).unwrap_or_default();
    for line in maps.lines() {
        let Some((major, minor, inode)) = shared(line) else { continue };
        add(&mut process.channels, (makedev(major, minor), inode));
        if let Some((range, _)) = line.split_once(' ') {
            path(process, &folder.join("map_files").join(range));
        }
    }
}

/// The device and inode of a file in a line of `/proc/<pid>/maps`, if writes to that memory reach other processes.
fn shared(line: &str) -> Option<(u32, u32, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (rights, _, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (major, minor) = device.split_once(':')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let inode = inode.parse().ok().filter(|inode| *inode != 0)?;
    // All objects of the kernel without a file, such as BPF maps, have one inode.
    let is_nameless = words.next().is_some_and(|path| path.starts_with("anon_inode:"));
    (rights.ends_with('s') && !is_nameless).then_some((number(major)?, number(minor)?, inode))
}

fn add<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_shared_memory_names_its_file() {
        let line = "7f0000000000-7f0000001000 rw-s 00000000 fd:0a 4711                     /dev/shm/mailbox";
        assert_eq!(shared(line), Some((0xfd, 0x0a, 4711)));
        assert_eq!(shared(&line.replace("rw-s", "rw-p")), None);
        assert_eq!(shared(&line.replace("/dev/shm/mailbox", "anon_inode:bpf-map")), None);
        assert_eq!(shared("7f0000000000-7f0000001000 rw-s 00000000 00:00 0"), None);
        assert_eq!(shared(""), None);
    }

    #[test]
    fn open_files_folders_and_the_root_are_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new_in(&folder).unwrap();
        let mut process = Process::default();
        path(&mut process, file.path());
        path(&mut process, folder.path());
        let found = rustix::fs::stat(file.path()).unwrap();
        assert_eq!(process.channels, [(found.st_dev, found.st_ino)]);
        let own = device(rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        assert_eq!((process.file_systems, process.mounts.len()), (vec![own], 1));
        let mut own = Process::default();
        other(Path::new("/proc/self"), &mut own);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut ids = crate::mountinfo::lines(&mounts).map(|line| line.id);
        assert!(ids.any(|id| own.mounts.contains(&id)), "{own:?}");
    }

    #[test]
    fn descriptors_without_a_file_are_known_by_their_numbers() {
        let mut process = Process::default();
        let fields = |fields: &[(&str, &str)]| {
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        nameless(&mut process, "[eventfd]", &fields(&[("eventfd-count", "0"), ("eventfd-id", "17")]));
        nameless(&mut process, "bpf-map", &fields(&[("map_type", "2"), ("map_id", "5")]));
        nameless(&mut process, "[pidfd]", &fields(&[("Pid", "4711")]));
        nameless(&mut process, "inotify", &fields(&[("inotify wd", "1 ino:2a sdev:800001 mask:fc6")]));
        nameless(&mut process, "[timerfd]", &fields(&[("clockid", "0")]));
        assert_eq!(process.channels, [(1, 17), (2, 5)]);
        assert_eq!((process.pidfds, process.file_systems), (vec![4711], vec!["8:1".to_owned()]));
    }
}
