//! The host's memory, processors and inotify limit, read from `/proc`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::CapacityError;

/// The figures of the host that nodes run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostResources {
    /// The total memory, in MiB.
    pub memory: u64,
    /// The memory that programs can still use without swapping, in MiB.
    pub available: u64,
    /// Number of processors that this process may use.
    pub processors: u64,
    /// Number of inotify instances that one user may have (inotify(7)).
    pub inotify_limit: u64,
    /// Number of inotify instances that root has; nodes run as root.
    pub inotify_used: u64,
}

const MEMORY: &str = "/proc/meminfo";
const INOTIFY: &str = "/proc/sys/fs/inotify/max_user_instances";

impl HostResources {
    /// The present figures of the host. Takes milliseconds for each hundred processes that run.
    ///
    /// # Errors
    /// [`CapacityError::Unread`] when a file below `/proc` cannot be read or misses a figure.
    pub fn here() -> Result<Self, CapacityError> {
        let memory = memory()?;
        let limit = read(INOTIFY)?;
        Ok(Self {
            memory: memory.total,
            available: memory.available,
            processors: processors()?,
            inotify_limit: limit.trim().parse().map_err(|_| unknown(INOTIFY))?,
            inotify_used: inotify_of_root(),
        })
    }
}

/// The host's memory, in MiB.
pub(super) struct Memory {
    pub(super) total: u64,
    available: u64,
}

pub(super) fn memory() -> Result<Memory, CapacityError> {
    let text = read(MEMORY)?;
    let figure = |key| mebibytes(&text, key).ok_or_else(|| unknown(MEMORY));
    Ok(Memory { total: figure("MemTotal:")?, available: figure("MemAvailable:")? })
}

/// Number of processors that this process may use.
pub(super) fn processors() -> Result<u64, CapacityError> {
    let processors = std::thread::available_parallelism().map_err(failed("/proc/cpuinfo"))?;
    Ok(processors.get() as u64)
}

/// The figure in a line of meminfo, in MiB; the file counts in KiB (proc_meminfo(5)).
fn mebibytes(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Number of inotify descriptors of root's processes. A descriptor that several processes share counts once for each of
/// them. Processes that end meanwhile, or that this process may not inspect, do not count.
fn inotify_of_root() -> u64 {
    let is_roots = |path: &Path| fs::metadata(path).is_ok_and(|it| it.uid() == 0);
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let tables = folders.filter(|path| is_roots(path)).filter_map(|path| fs::read_dir(path.join("fd")).ok());
    let links = tables.flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|link| link == Path::new("anon_inode:inotify")).count() as u64
}

fn read(path: &str) -> Result<String, CapacityError> {
    fs::read_to_string(path).map_err(failed(path))
}

fn failed(path: &str) -> impl FnOnce(io::Error) -> CapacityError {
    move |source| CapacityError::Unread { path: path.into(), source }
}

fn unknown(path: &str) -> CapacityError {
    failed(path)(io::Error::other("a figure is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_out_of_its_lines() {
        let text = "MemTotal:       24117248 kB\nMemFree:  1 kB\nMemAvailable:   22020096 kB\n";
        assert_eq!(mebibytes(text, "MemTotal:"), Some(23_552));
        assert_eq!(mebibytes(text, "MemAvailable:"), Some(21_504));
        assert_eq!(mebibytes("MemTotal: many\n", "MemTotal:"), None);
    }
}
