//! All processes of `/proc`: their namespaces, cgroups and descriptors, also those of their threads.
//!
//! A process that ends during the walk is left out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use probe::structure::{NamespaceKind, Namespaces, Process, Request};

use super::{in_use, is_gone};

/// What the descriptors of all processes say about BPF objects: the object (`prog`, `link`) with its id, the fields of
/// its fdinfo, and the pid.
pub(super) type BpfDescriptors = Vec<(BTreeMap<String, String>, u32)>;

/// The result of the walk through `/proc`.
#[derive(Default)]
pub(super) struct Processes {
    pub(super) all: Vec<Process>,
    pub(super) bpf: BpfDescriptors,
    pub(super) ways: Ways,
    /// The namespaces that processes have opened by the path of a bind mount, by the pid: the link of such a descriptor
    /// is that path, and does not tell the kind.
    opened: Vec<(u32, u64, PathBuf)>,
    /// The device of the file system of namespaces.
    of_namespaces: u64,
}

impl Processes {
    /// Adds the namespaces that processes have opened by a path, as soon as all others are known with their kinds. One
    /// that is not known otherwise is taken for a network: the other kinds are no use without a process.
    pub(super) fn hold_opened(&mut self) {
        for (pid, inode, path) in std::mem::take(&mut self.opened) {
            let known = self.ways.namespaces().find(|(_, known)| *known == inode);
            let namespace = known.unwrap_or((NamespaceKind::Net, inode));
            self.ways.add(namespace, || path);
            if let Some(process) = self.all.iter_mut().find(|process| process.pid == pid) {
                process.held.push(namespace);
            }
        }
    }
}

/// For each namespace, paths that lead to it: of processes, threads, descriptors, bind mounts. Several, since a process
/// may end during the walk.
#[derive(Default)]
pub(super) struct Ways(BTreeMap<(NamespaceKind, u64), Vec<PathBuf>>);

impl Ways {
    pub(super) fn add(&mut self, namespace: (NamespaceKind, u64), path: impl FnOnce() -> PathBuf) {
        const ENOUGH: usize = 4;
        let paths = self.0.entry(namespace).or_default();
        if paths.len() < ENOUGH {
            paths.push(path());
        }
    }

    /// The namespaces of one kind with their paths.
    pub(super) fn of(&self, kind: NamespaceKind) -> impl Iterator<Item = (u64, &[PathBuf])> {
        self.0
            .iter()
            .filter(move |((of, _), _)| *of == kind)
            .map(|((_, inode), paths)| (*inode, paths.as_slice()))
    }

    /// All namespaces.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (NamespaceKind, u64)> {
        self.0.keys().copied()
    }
}

/// Reads all processes.
pub(super) fn all(request: &Request, unread: &mut Vec<String>) -> Processes {
    let mut found = Processes::default();
    let read = || Ok::<_, io::Error>((fs::read_dir("/proc")?, fs::metadata("/proc/self/ns/net")?));
    let entries = match read() {
        Ok((entries, own)) => {
            found.of_namespaces = own.dev();
            entries
        }
        Err(error) => {
            unread.push(format!("list /proc: {error}"));
            return found;
        }
    };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        match one(pid, request) {
            Ok((mut process, true)) => {
                // What is denied of a process is told, and the rest of it is kept.
                let parts: [(&str, Part); 3] =
                    [("namespaces", own_namespaces), ("threads", threads), ("descriptors", descriptors)];
                let folder = PathBuf::from(format!("/proc/{pid}"));
                in_use::other(&folder, &mut process);
                for (what, part) in parts {
                    match part(&folder, &mut process, &mut found) {
                        Err(error) if !is_gone(&error) && !is_hidden(pid, &error) => {
                            unread.push(format!("read {what} of process {pid} ({}): {error}", process.comm));
                        }
                        _ => {}
                    }
                }
                found.all.push(process);
            }
            // A process that has ended but is not reaped has nothing more.
            Ok((process, false)) => found.all.push(process),
            Err(error) if is_gone(&error) => {}
            Err(error) => unread.push(format!("read process {pid}: {error}")),
        }
    }
    found.all.sort_by_key(|process| process.pid);
    found
}

/// Whether the host hides its first process from root, as some hypervisors of small VMs do. It starts all others, and no
/// instance has a part in it.
fn is_hidden(pid: u32, error: &io::Error) -> bool {
    pid == 1 && error.kind() == io::ErrorKind::PermissionDenied
}

type Part = fn(&Path, &mut Process, &mut Processes) -> io::Result<()>;

/// A process without its namespaces and descriptors, and whether it still has some.
fn one(pid: u32, request: &Request) -> io::Result<(Process, bool)> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(folder.join("stat"))?;
    let (parent, start) =
        parent_and_start(&stat).ok_or_else(|| io::Error::other("its stat has another form"))?;
    let line = fs::read(folder.join("cmdline"))?;
    let words: Vec<String> =
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let cgroups = fs::read_to_string(folder.join("cgroup"))?;
    let process = Process {
        pid,
        parent,
        start,
        comm: fs::read_to_string(folder.join("comm"))?.trim_end().to_owned(),
        program: words.first().cloned().unwrap_or_default(),
        guest: guest(&words),
        mentions: mentions(&words, &request.networks),
        folders: folders(&folder, &words, &request.roots),
        cgroups: cgroups.lines().filter_map(cgroup).collect(),
        ..Process::default()
    };
    let has_ended = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
    Ok((process, !has_ended))
}

fn own_namespaces(folder: &Path, process: &mut Process, found: &mut Processes) -> io::Result<()> {
    process.namespaces = namespaces(folder)?;
    for kind in NamespaceKind::ALL {
        let inode = process.namespaces.of(kind);
        if inode != 0 {
            found.ways.add((kind, inode), || folder.join("ns").join(kind.name()));
        }
    }
    Ok(())
}

/// The namespaces of a process or thread.
pub(super) fn namespaces(folder: &Path) -> io::Result<Namespaces> {
    let mut namespaces = Namespaces::default();
    for kind in NamespaceKind::ALL {
        match fs::read_link(folder.join("ns").join(kind.name())) {
            Ok(target) => {
                let target = target.to_str().and_then(NamespaceKind::parse);
                target.into_iter().for_each(|(kind, inode)| namespaces.set(kind, inode));
            }
            // The kernel was built without this kind.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.join("stat").exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(namespaces)
}

/// Threads can be in other network, mount, IPC, host name and cgroup namespaces than their process.
fn threads(folder: &Path, process: &mut Process, found: &mut Processes) -> io::Result<()> {
    const OF_THREADS: [NamespaceKind; 5] = [
        NamespaceKind::Net,
        NamespaceKind::Mnt,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Cgroup,
    ];
    for thread in fs::read_dir(folder.join("task"))?.flatten() {
        if thread.file_name().to_str() == Some(&process.pid.to_string()) {
            continue;
        }
        for kind in OF_THREADS {
            let path = thread.path().join("ns").join(kind.name());
            let target = fs::read_link(&path).ok();
            let Some((kind, inode)) = target.as_deref().and_then(Path::to_str).and_then(NamespaceKind::parse)
            else {
                continue; // the thread has ended
            };
            if inode != process.namespaces.of(kind) && !process.of_threads.contains(&(kind, inode)) {
                process.of_threads.push((kind, inode));
                found.ways.add((kind, inode), || path);
            }
        }
    }
    Ok(())
}

fn descriptors(folder: &Path, process: &mut Process, found: &mut Processes) -> io::Result<()> {
    for entry in fs::read_dir(folder.join("fd"))?.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue }; // closed meanwhile
        let Some(target) = target.to_str() else { continue };
        let details = || {
            let path = folder.join("fdinfo").join(entry.file_name());
            fields(&fs::read_to_string(path).unwrap_or_default())
        };
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            process.sockets.extend(inode.parse::<u64>().ok());
        } else if let Some(inode) = target.strip_prefix("pipe:[").and_then(|rest| rest.strip_suffix(']')) {
            process.channels.extend(inode.parse::<u64>().ok().map(|inode| (in_use::PIPE, inode)));
        } else if let Some((kind, inode)) = NamespaceKind::parse(target) {
            process.held.push((kind, inode));
            found.ways.add((kind, inode), || entry.path());
        } else if let Some(name) =
            target.strip_prefix("anon_inode:").or(target.strip_prefix("pidfd:").and(Some("")))
        {
            let details = details();
            in_use::nameless(process, name, &details);
            if name.starts_with("bpf") {
                found.bpf.push((details, process.pid));
            }
        } else if target == "/dev/net/tun" {
            process.taps.extend(details().remove("iff"));
        } else if target.starts_with('/')
            && let Ok(file) = fs::metadata(entry.path())
            && file.dev() == found.of_namespaces
        {
            found.opened.push((process.pid, file.ino(), entry.path()));
        } else if is_device(target) && !process.open_devices.iter().any(|device| device == target) {
            process.open_devices.push(target.to_owned());
        } else if target.starts_with('/') {
            in_use::path(process, &entry.path());
        }
    }
    Ok(())
}

/// Whether an open file is a device of the host that is more than a terminal or a source of bytes.
fn is_device(path: &str) -> bool {
    const PLAIN: [&str; 9] = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "kmsg"];
    let Some(name) = path.strip_prefix("/dev/") else { return false };
    let is_plain = PLAIN.contains(&name)
        || ["pts/", "shm/", "mqueue/", "hugepages/"].iter().any(|it| name.starts_with(it));
    !is_plain
}

/// The lines `name: value` of a fdinfo.
pub(super) fn fields(text: &str) -> BTreeMap<String, String> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// The parent's pid and the start time in `/proc/<pid>/stat`. The name in it can have any character.
fn parent_and_start(stat: &str) -> Option<(u32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some((words.get(1)?.parse().ok()?, words.get(19)?.parse().ok()?))
}

/// `4:pids:/a/b` without the number of the hierarchy.
fn cgroup(line: &str) -> Option<String> {
    line.split_once(':').map(|(_, rest)| rest.to_owned())
}

/// The name of the virtual machine in QEMU's arguments: `-name guest=acme-cp-1,debug-threads=on`, `-name acme-cp-1`.
fn guest(words: &[String]) -> Option<String> {
    if !words.first()?.contains("qemu") {
        return None;
    }
    let place = words.iter().position(|word| word == "-name")?;
    let first = words.get(place + 1)?.split(',').next()?;
    Some(first.strip_prefix("guest=").unwrap_or(first).to_owned())
}

/// The addresses in these words that are in one of the networks.
fn mentions(words: &[String], networks: &[IpNet]) -> Vec<IpAddr> {
    let parts =
        words.iter().flat_map(|word| word.split(|letter: char| !letter.is_ascii_digit() && letter != '.'));
    let addresses = parts.filter_map(|part| part.parse::<Ipv4Addr>().ok()).map(IpAddr::V4);
    let mut found: Vec<IpAddr> =
        addresses.filter(|address| networks.iter().any(|network| network.contains(address))).collect();
    found.sort();
    found.dedup();
    found
}

/// The names of the folders that are in these words, or that the process works in.
fn folders(process: &Path, words: &[String], roots: &BTreeMap<String, String>) -> Vec<String> {
    let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
    let has = |root: &str| works_in.starts_with(root) || words.iter().any(|word| word.contains(root));
    roots.iter().filter(|(_, root)| has(root)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_process_s_line_is_read_whatever_its_name_is() {
        let stat = "41 (a) (b c) S 7 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        assert_eq!(parent_and_start(stat), Some((7, 98765)));
        assert_eq!(parent_and_start("41 (a"), None);
        assert_eq!(
            cgroup("4:pids:/libpod_parent/libpod-0a"),
            Some("pids:/libpod_parent/libpod-0a".to_owned())
        );
        assert_eq!(cgroup("0::/init.scope"), Some(":/init.scope".to_owned()));
    }

    #[test]
    fn a_machine_s_name_and_addresses_of_instances_are_found_in_a_command_line() {
        let machine = words("/usr/bin/qemu-system-x86_64 -name guest=acme_acme-cp-1,debug-threads=on -S");
        assert_eq!(guest(&machine), Some("acme_acme-cp-1".to_owned()));
        assert_eq!(guest(&words("grep -name guest=x")), None);
        let networks = ["192.168.60.0/24".parse().unwrap()];
        let relay = words("socat TCP-LISTEN:80,fork TCP:192.168.60.10:6443,bind=10.0.0.1 192.168.61.1");
        assert_eq!(mentions(&relay, &networks), ["192.168.60.10".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn folders_are_found_in_a_command_line_and_as_the_working_folder() {
        let here = std::env::current_dir().unwrap().to_str().unwrap().to_owned();
        let roots = [("a", here.as_str()), ("b", "/srv/b"), ("c", "/srv/c")];
        let roots = roots.map(|(name, root)| (name.to_owned(), root.to_owned())).into();
        let server = words("http-server --root=/srv/b/var 8080");
        assert_eq!(folders(Path::new("/proc/self"), &server, &roots), ["a", "b"]);
    }

    #[test]
    fn this_process_is_seen_with_its_sockets_and_namespaces() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let held = fs::File::open("/proc/self/ns/net").unwrap();
        let (pipe, _end) = std::io::pipe().unwrap();
        let pipe = rustix::fs::fstat(&pipe).unwrap().st_ino;
        let nameless = tempfile::tempfile().unwrap();
        let nameless = (nameless.metadata().unwrap().dev(), nameless.metadata().unwrap().ino(), nameless);
        let mut unread = Vec::new();
        let all = super::all(&Request::default(), &mut unread);
        let own = all.all.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(own.sockets.contains(&inode), "{own:?}");
        assert!(own.channels.contains(&(0, pipe)), "{own:?}");
        assert!(own.channels.contains(&(nameless.0, nameless.1)), "{own:?}");
        assert!(own.held.contains(&(NamespaceKind::Net, own.namespaces.net)), "{own:?}");
        assert!(all.ways.namespaces().any(|it| it == (NamespaceKind::Net, own.namespaces.net)));
        drop(held);
    }
}
