//! `homelab-probe walk`: one walk through `/proc`, and one dump of each network namespace, as root on a host.
//!
//! It reads and judges nothing, and changes nothing. The wire types are in `structure` of the library. The steps: all
//! processes; the mounts of all mount namespaces, which also keep namespaces; then, at the same time, the network
//! namespaces, and files, cgroups and BPF programs.

mod netlink;
mod processes;
mod mounts;
mod network;
mod bpf;
mod files;
mod in_use;
mod cgroups;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use probe::structure::{Namespace, NamespaceKind, Process, Request, Seen, VERSION};

use network::Handles;
use processes::Ways;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// The request cannot be read.
    #[error("read the request")]
    Read(#[source] io::Error),
    /// The request is no JSON of this form.
    #[error("understand the request")]
    Request(#[source] serde_json::Error),
    /// The request has another version.
    #[error("understand the request: version {0}, not {VERSION}")]
    Version(u32),
    /// A thread cannot be started, or has panicked.
    #[error("walk")]
    Thread(#[source] io::Error),
    /// The result cannot be written.
    #[error("write the result")]
    Write(#[source] serde_json::Error),
}

impl WalkError {
    /// Whether the caller's request is at fault.
    pub(crate) fn is_of_the_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Version(_))
    }
}

/// Reads a request from standard input, and writes what was seen to standard output.
pub(crate) fn run() -> Result<(), WalkError> {
    let text = io::read_to_string(io::stdin()).map_err(WalkError::Read)?;
    let request: Request = serde_json::from_str(&text).map_err(WalkError::Request)?;
    if request.version != VERSION {
        return Err(WalkError::Version(request.version));
    }
    let seen = walk(&request)?;
    serde_json::to_writer(io::BufWriter::new(io::stdout().lock()), &seen).map_err(WalkError::Write)
}

fn walk(request: &Request) -> Result<Seen, WalkError> {
    let started = Instant::now();
    let mut unread = Vec::new();
    let host = processes::namespaces(Path::new("/proc/self")).unwrap_or_else(|error| {
        unread.push(format!("read the host's own namespaces: {error}"));
        Default::default()
    });
    let mut processes = processes::all(request, &mut unread);
    let tables = mounts::all(&mut processes.ways, &mut unread);
    processes.hold_opened();
    let roots = mounts::roots(&processes.ways);
    let handles = handles(&processes.ways, &mut unread);
    let programs = bpf::programs(&mut unread);
    let has_classifiers = programs.iter().any(|program| program.kind == bpf::CLASSIFIER);

    let reading = network::start(&Arc::new(handles), has_classifiers).map_err(WalkError::Thread)?;
    let bpf = bpf::all(programs, &processes.bpf, &tables, &roots, &mut unread);
    let mut files = files::walk(&request.roots, &mut unread);
    files.devices.extend(files::devices(&roots, &mut unread));
    let backed = files::backed(&mut unread);
    let cgroups = cgroups::all(&processes.all, &request.cgroups, &mut unread);
    let vsock = network::vsock();
    let panicked = |_| WalkError::Thread(io::Error::other("a thread has panicked"));
    let mut networks = Vec::new();
    for thread in reading {
        let read = thread.join().map_err(panicked)?;
        networks.extend(read.all);
        unread.extend(read.unread);
    }
    networks.sort_by_key(|network| network.inode);
    match vsock {
        Ok(sockets) => networks
            .iter_mut()
            .filter(|it| it.inode == host.net)
            .for_each(|it| it.sockets.extend(sockets.clone())),
        Err(error) => unread.push(format!("read vsock sockets: {error}")),
    }
    Ok(Seen {
        version: VERSION,
        host,
        pid: std::process::id(),
        namespaces: namespaces(&processes.all, &processes.ways, &mounts::pins(&tables)),
        processes: processes.all,
        networks,
        mounts: tables,
        bpf,
        linked: files.linked,
        devices: files.devices,
        backed,
        cgroups,
        programs: started_by_kernel(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        unread,
    })
}

/// Opens every network namespace by the first way that leads there. One that vanished meanwhile is left out.
fn handles(ways: &Ways, unread: &mut Vec<String>) -> Handles {
    let mut handles = Handles::new();
    for (inode, paths) in ways.of(NamespaceKind::Net) {
        match open(inode, paths) {
            Ok(file) => drop(handles.insert(inode, file)),
            Err(error) if is_gone(&error) => {}
            Err(error) => unread.push(format!("open network namespace {inode}: {error}")),
        }
    }
    handles
}

fn open(inode: u64, paths: &[PathBuf]) -> io::Result<File> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in paths {
        // A descriptor's number or a pid may belong to something else by now.
        match File::open(path) {
            Ok(file) if rustix::fs::fstat(&file)?.st_ino == inode => return Ok(file),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The programs that the kernel starts on the host: for the core of a process, to load a module, to switch off, and for a new
/// device. A kernel without a setting starts none.
fn started_by_kernel() -> BTreeMap<String, String> {
    const SETTINGS: [&str; 4] =
        ["kernel/core_pattern", "kernel/modprobe", "kernel/poweroff_cmd", "kernel/hotplug"];
    let value = |setting: &&str| {
        Some(std::fs::read_to_string(format!("/proc/sys/{setting}")).ok()?.trim().to_owned())
    };
    SETTINGS.iter().filter_map(|setting| Some(((*setting).to_owned(), value(setting)?))).collect()
}

fn namespaces(
    processes: &[Process],
    ways: &Ways,
    pins: &[(NamespaceKind, u64, u64, String)],
) -> Vec<Namespace> {
    let empty = |(kind, inode)| Namespace { kind, inode, pids: vec![], holders: vec![], pins: vec![] };
    let mut all: BTreeMap<(NamespaceKind, u64), Namespace> =
        ways.namespaces().map(|namespace| (namespace, empty(namespace))).collect();
    for process in processes {
        let own = NamespaceKind::ALL.map(|kind| (kind, process.namespaces.of(kind)));
        for namespace in own.iter().chain(&process.of_threads) {
            all.entry(*namespace).or_insert_with(|| empty(*namespace)).pids.push(process.pid);
        }
        for namespace in &process.held {
            all.entry(*namespace).or_insert_with(|| empty(*namespace)).holders.push(process.pid);
        }
    }
    for (kind, inode, table, point) in pins {
        let namespace = all.entry((*kind, *inode)).or_insert_with(|| empty((*kind, *inode)));
        namespace.pins.push((*table, point.clone()));
    }
    all.retain(|(_, inode), _| *inode != 0);
    all.into_values().collect()
}

/// A device in words, as in mountinfo: `8:1`.
fn device(major: u32, minor: u32) -> String {
    format!("{major}:{minor}")
}

/// A device as the kernel keeps it (include/linux/kdev_t.h: the minor number has 20 bits).
fn kernel_device(number: u32) -> String {
    device(number >> 20, number & 0xf_ffff)
}

/// Whether a process, or a file of it, has vanished between two reads (ENOENT, ESRCH).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3)
}

/// An error with its causes.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}"); // writing to a string cannot fail
        cause = error.source();
    }
    text
}
