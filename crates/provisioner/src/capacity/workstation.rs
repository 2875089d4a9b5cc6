//! What this machine has, as `/proc` says.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::CapacityError;

/// The machine that nodes run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workstation {
    /// All its memory, in MiB.
    pub memory: u64,
    /// What of it programs can have without swapping, in MiB.
    pub available: u64,
    /// How many processors.
    pub processors: u64,
    /// How many inotify instances a user may have (inotify(7)).
    pub inotify_limit: u64,
    /// How many root has, which nodes run as.
    pub inotify_used: u64,
}

const MEMORY: &str = "/proc/meminfo";
const INOTIFY: &str = "/proc/sys/fs/inotify/max_user_instances";

impl Workstation {
    /// This machine, now. Takes milliseconds for each hundred processes that run.
    ///
    /// # Errors
    /// [`CapacityError::Unread`] when `/proc` does not tell.
    pub fn here() -> Result<Self, CapacityError> {
        let memory = read(MEMORY)?;
        let limit = read(INOTIFY)?;
        let processors = std::thread::available_parallelism().map_err(failed("/proc/cpuinfo"))?;
        Ok(Self {
            memory: mebibytes(&memory, "MemTotal:").ok_or_else(|| unknown(MEMORY))?,
            available: mebibytes(&memory, "MemAvailable:").ok_or_else(|| unknown(MEMORY))?,
            processors: processors.get() as u64,
            inotify_limit: limit.trim().parse().map_err(|_| unknown(INOTIFY))?,
            inotify_used: inotify_of_root(),
        })
    }
}

/// A line of meminfo, which counts in KiB (proc_meminfo(5)).
fn mebibytes(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Descriptors that lead to inotify. One that several processes share counts for each; those of processes that end
/// meanwhile, or that are not ours to see, do not count.
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
    failed(path)(io::Error::other("it has no such figure"))
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
