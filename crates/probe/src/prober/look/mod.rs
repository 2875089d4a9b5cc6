//! Inspects the prober's surroundings: evidence of what two nodes or pods share.
//!
//! Mounts, processes and sockets are those of process 1, not those of the prober. In a container that shares the PID
//! namespace of its node, process 1 is the node's; otherwise it is the container's (pid_namespaces(7)). This module
//! reads the files; `tables` parses them and is pure.

mod tables;
mod sockets;
mod ends;
mod devices;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use probe::{ProbeOutcome, Sight};

use super::attempt::Attempt;
use crate::links;

/// The most lines of an answer. A node has fewer by an order of magnitude. A longer answer is an error: a part of it would
/// prove nothing.
const LINES: usize = 20_000;

/// Inspects on a thread outside the runtime, because reading from a dead network file system can block for ever.
pub(super) async fn look(attempt: &Attempt, at: Sight) -> io::Result<ProbeOutcome> {
    attempt.sent(1);
    let mut lines = tokio::task::spawn_blocking(move || see(at)).await.map_err(io::Error::other)??;
    lines.sort();
    lines.dedup();
    whole(lines).map(|lines| ProbeOutcome::Seen { boot: boot_id(), lines })
}

fn whole(lines: Vec<String>) -> io::Result<Vec<String>> {
    match lines.len() {
        0..=LINES => Ok(lines),
        more => Err(io::Error::other(format!("the inspection found {more} lines, more than {LINES}"))),
    }
}

/// The boot ID of process 1's kernel, unique per boot (random(4)). `None` if it cannot be read.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string(of_first("/proc/sys/kernel/random/boot_id")).ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

fn see(at: Sight) -> io::Result<Vec<String>> {
    match at {
        Sight::Mounts => mounts(),
        Sight::Links => seen_links(),
        Sight::Routes => {
            let mut lines = tables::routes(&fs::read_to_string("/proc/net/route")?);
            // The file is missing where IPv6 is off.
            lines.extend(tables::routes6(&fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default()));
            Ok(lines)
        }
        Sight::Processes => processes(),
        Sight::Sockets => {
            let mut lines = sockets::all(&mounted()?)?;
            lines.extend(devices::to_a_hypervisor());
            Ok(lines)
        }
        Sight::Identity => Ok(identity()),
    }
}

/// The mounts of process 1.
fn mounted() -> io::Result<Vec<tables::Mount>> {
    Ok(tables::mounts(&fs::read_to_string("/proc/1/mountinfo")?))
}

/// The path at which the prober finds a path of process 1 (proc_pid_root(5)).
fn of_first(path: &str) -> PathBuf {
    Path::new("/proc/1/root").join(path.trim_start_matches('/'))
}

/// A line for each mount, such as `8:1 2 rw / /mnt ext4 /dev/sda1`. Two mounts with the same device and inode show the
/// same files.
fn mounts() -> io::Result<Vec<String>> {
    let line = |mount: tables::Mount| {
        let inode = fs::metadata(of_first(&mount.path()));
        let inode = inode.map_or_else(|_| "-".to_owned(), |meta| meta.ino().to_string());
        let tables::Mount { device, mode, root, point, kind, source } = mount;
        format!("{device} {inode} {mode} {root} {point} {kind} {source}")
    };
    Ok(mounted()?.into_iter().map(line).collect())
}

fn seen_links() -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for link in links::all()? {
        let mac =
            link.mac().map_or_else(|| "-".to_owned(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
        lines.push(format!("{} {mac} {}", link.name, if link.up { "up" } else { "down" }));
        let address = |(address, bits): &(std::net::IpAddr, u32)| format!("{} {address}/{bits}", link.name);
        lines.extend(link.addresses.iter().map(address));
    }
    lines.extend(ends::all()?);
    lines.extend(devices::links());
    Ok(lines)
}

/// A line for each process, such as `1 pause pid:[4026531836]`: those of the prober's own `/proc`, and those of each
/// procfs that process 1 can see. Such a mount may be the procfs of another node, or one process of it.
fn processes() -> io::Result<Vec<String>> {
    let mut lines = numbered(Path::new("/proc"))?;
    for mount in mounted()?.iter().filter(|mount| mount.kind == "proc") {
        let folder = of_first(&mount.path());
        match mount.root.trim_start_matches('/') {
            "" => lines.extend(numbered(&folder)?),
            pid if is_number(pid) => lines.push(process(pid, &folder)),
            _ => {} // another part of a procfs
        }
    }
    Ok(lines)
}

/// The processes of a procfs.
fn numbered(proc: &Path) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        if let Some(pid) = entry.file_name().to_str().filter(|name| is_number(name)) {
            lines.push(process(pid, &entry.path()));
        }
    }
    Ok(lines)
}

/// The line of a process. A value that cannot be read, because the process has ended or permission is missing, is a
/// dash.
fn process(pid: &str, folder: &Path) -> String {
    let comm = fs::read_to_string(folder.join("comm")).unwrap_or_else(|_| "-".to_owned());
    let namespace = fs::read_link(folder.join("ns/pid"));
    let namespace = namespace.map_or_else(|_| "-".to_owned(), |it| it.to_string_lossy().into_owned());
    format!("{pid} {} {namespace}", comm.trim_end())
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Identifiers of the node or host on which the prober runs. Missing ones are left out.
fn identity() -> Vec<String> {
    let mut lines = Vec::new();
    let files = [("machine-id", "/etc/machine-id"), ("boot-id", "/proc/sys/kernel/random/boot_id")];
    for (name, path) in files {
        lines.extend(fs::read_to_string(path).ok().map(|id| format!("{name} {}", id.trim())));
    }
    let keys = fs::read_dir(Path::new("/etc/ssh")).into_iter().flatten().flatten();
    for key in keys.map(|entry| entry.path()) {
        let name = key.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("ssh_host_") && name.ends_with("_key.pub") {
            lines.extend(fs::read_to_string(&key).ok().as_deref().and_then(tables::host_key));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inspection_is_whole_or_an_error() {
        let lines = |count| vec![String::new(); count];
        assert_eq!(whole(lines(LINES)).unwrap().len(), LINES);
        assert!(whole(lines(LINES + 1)).unwrap_err().to_string().contains("20001"));
    }

    #[test]
    fn a_process_is_seen_with_its_name_and_namespace() {
        let own = fs::read_link("/proc/self/ns/pid").unwrap();
        let lines = numbered(Path::new("/proc")).unwrap();
        let pid = format!("{} ", std::process::id());
        let line = lines.iter().find(|line| line.starts_with(&pid)).unwrap();
        assert!(line.ends_with(own.to_str().unwrap()), "{line}");
        let alone = process("7", Path::new("/proc/self"));
        assert_eq!(alone.split_once(' ').map(|(_, rest)| rest), line.split_once(' ').map(|(_, rest)| rest));
        assert_eq!(process("8", Path::new("/proc/ended")), "8 - -", "the process has ended");
    }
}
