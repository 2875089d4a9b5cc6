//! The disks of VMs, as the host sees them: the regular files that a VM's hypervisor process has open for writing.
//!
//! A file that two such processes can write is a shared disk. The box that all VMs are made from is open for reading
//! only.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The programs that run a VM: QEMU under libvirt, and VirtualBox without a window.
const PROGRAMS: [&str; 2] = ["qemu-system-", "VBoxHeadless"];

/// A line `<device>:<inode> <VM>:<path>` for each disk of the VMs of these names. `None` when the process of a VM is
/// not found, or has no disk.
pub(super) fn of(machines: &[String]) -> Option<Vec<String>> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let processes: Vec<_> = processes
        .filter_map(|entry| {
            let words = fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<String> = words
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            Some((entry.path(), words))
        })
        .collect();
    let mut all = Vec::new();
    for machine in machines {
        let (process, _) = processes.iter().find(|(_, words)| runs(words, machine))?;
        let files = writable(process).ok()?;
        if files.is_empty() {
            return None;
        }
        all.extend(files.into_iter().map(|(key, path)| format!("{key} {machine}:{path}")));
    }
    Some(all)
}

/// Whether these words are the command line of the process that runs a VM: `-name guest=acme,debug-threads=on` or
/// `--comment acme`. Pure.
fn runs(words: &[String], machine: &str) -> bool {
    let is_one = words.first().is_some_and(|program| {
        let program = program.rsplit('/').next().unwrap_or_default();
        PROGRAMS.iter().any(|known| program.starts_with(known))
    });
    let names = |word: &String| {
        let name = word.strip_prefix("guest=").unwrap_or(word);
        name.split(',').next() == Some(machine)
    };
    is_one && words.iter().any(names)
}

/// The regular files that a process has open for writing, each once: `<device>:<inode>` and path.
fn writable(process: &Path) -> io::Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(process.join("fd"))? {
        let entry = entry?;
        // The process may have closed the file in the meantime.
        let Ok(meta) = fs::metadata(entry.path()) else { continue };
        let said = fs::read_to_string(process.join("fdinfo").join(entry.file_name())).unwrap_or_default();
        if meta.is_file() && can_write(&said) {
            let key = format!("{}:{}:{}", major(meta.dev()), minor(meta.dev()), meta.ino());
            let path = fs::read_link(entry.path()).unwrap_or_default();
            found.insert((key, path.to_string_lossy().into_owned()));
        }
    }
    Ok(found)
}

/// Whether a file is open for writing, by its fdinfo: O_WRONLY or O_RDWR in the octal flags (proc_pid_fdinfo(5)). Pure.
fn can_write(fdinfo: &str) -> bool {
    const ACCESS: u32 = 0o3; // O_ACCMODE
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & ACCESS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hypervisor_process_of_a_vm_is_found_by_the_name_of_the_vm() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let qemu =
            words("/usr/bin/qemu-system-x86_64 -name guest=homelab-0a.acme.acme-main,debug-threads=on -S");
        let vbox = words("/usr/lib/virtualbox/VBoxHeadless --comment homelab-0a.acme.acme-main --startvm 7");
        for process in [&qemu, &vbox] {
            assert!(runs(process, "homelab-0a.acme.acme-main"));
            assert!(!runs(process, "homelab-0a.acme.acme-mai"));
            assert!(!runs(process, "homelab-0a.acme-1.acme-main"));
        }
        assert!(!runs(&words("virsh domblklist homelab-0a.acme.acme-main"), "homelab-0a.acme.acme-main"));
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_found_and_one_for_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (written, read) = (folder.path().join("written"), folder.path().join("read"));
        fs::write(&read, "").unwrap();
        let held = (fs::File::create(&written).unwrap(), fs::File::open(&read).unwrap());
        let found = writable(Path::new("/proc/self")).unwrap();
        let has = |path: &Path| found.iter().any(|(_, found)| Path::new(found) == path);
        assert!(has(&written) && !has(&read));
        let meta = held.0.metadata().unwrap();
        let key = format!("{}:{}:{}", major(meta.dev()), minor(meta.dev()), meta.ino());
        assert!(found.iter().any(|(found, _)| *found == key));
        assert!(can_write("pos:\t0\nflags:\t0100002\n") && can_write("flags:\t01\n"));
        assert!(!can_write("flags:\t0100000\n") && !can_write(""));
    }
}
