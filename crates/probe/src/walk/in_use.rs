//! The files that a process uses: those that it has open or has in its memory, and the file systems of all of them.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use probe::structure::Process;

/// Adds a file or folder that the process has open.
pub(super) fn open(process: &mut Process, file: &Metadata) {
    let kind = file.file_type();
    if kind.is_fifo() || kind.is_file() {
        add(&mut process.channels, (file.dev(), file.ino()));
    }
    if kind.is_fifo() || kind.is_file() || kind.is_dir() {
        add(&mut process.file_systems, device(rustix::fs::major(file.dev()), rustix::fs::minor(file.dev())));
    }
}

/// Adds the root and the working folder of a process, and the files that it shares in memory. What it may not read of a
/// process, such as of the kernel's own, it has no use of.
pub(super) fn other(folder: &Path, process: &mut Process) {
    for name in ["root", "cwd"] {
        if let Ok(found) = fs::metadata(folder.join(name)) {
            open(process, &found);
        }
    }
    let maps = fs::read_to_string(folder.join("maps")).unwrap_or_default();
    for (major, minor, inode) in maps.lines().filter_map(shared) {
        add(&mut process.channels, (rustix::fs::makedev(major, minor), inode));
        add(&mut process.file_systems, device(major, minor));
    }
}

/// The device and inode of a file in a line of `/proc/<pid>/maps`, if writes to that memory reach other processes.
fn shared(line: &str) -> Option<(u32, u32, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (rights, _, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (major, minor) = device.split_once(':')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let inode = inode.parse().ok().filter(|inode| *inode != 0)?;
    (rights.ends_with('s')).then_some((number(major)?, number(minor)?, inode))
}

fn device(major: u32, minor: u32) -> String {
    format!("{major}:{minor}")
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
        assert_eq!(shared("7f0000000000-7f0000001000 rw-s 00000000 00:00 0"), None);
        assert_eq!(shared(""), None);
    }

    #[test]
    fn open_files_folders_and_the_root_are_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new_in(&folder).unwrap();
        let mut process = Process::default();
        open(&mut process, &file.as_file().metadata().unwrap());
        open(&mut process, &fs::metadata(&folder).unwrap());
        open(&mut process, &fs::metadata("/dev/null").unwrap());
        let found = file.as_file().metadata().unwrap();
        assert_eq!(process.channels, [(found.dev(), found.ino())]);
        let own = device(rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        assert_eq!(process.file_systems, [own]);
        other(Path::new("/proc/self"), &mut process);
        let root = fs::metadata("/").unwrap().dev();
        assert!(process.file_systems.contains(&device(rustix::fs::major(root), rustix::fs::minor(root))));
    }
}
