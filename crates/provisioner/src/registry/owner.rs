//! Whether an owner still runs: the process that may need an instance, told from all other processes with its pid.
//!
//! A pid is valid in its own PID namespace only, and processes of several namespaces may share a home: a CI job's
//! container has a `/proc` of its own. So an owner also locks one byte of a file in the home until it ends. The kernel
//! shows the lock in all namespaces, and frees it when its holder ends. If neither the lock nor `/proc` gives an
//! answer, it is unknown whether the owner runs.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::home::Home;

use super::{Owner, OwnerLock};

/// Whether an owner still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The owner runs.
    Alive,
    /// The owner has certainly ended.
    Dead,
    /// This process cannot find out whether the owner runs.
    Unknown(UnknownLiveness),
}

/// Why it cannot be found out whether an owner runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownLiveness {
    /// The owner's pid belongs to another PID namespace, or its start time to another time namespace.
    Namespace,
    /// The owner was recorded without its PID namespace.
    Unrecorded,
    /// `/proc` is not that of this process's PID namespace, or hides processes of other users.
    Proc,
}

impl fmt::Display for UnknownLiveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Namespace => "it began in another PID namespace, such as a container's",
            Self::Unrecorded => "an earlier version recorded it, without its PID namespace",
            Self::Proc => "/proc does not show it here",
        })
    }
}

/// The observations on the host from which the liveness of an owner is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    lock: Lock,
    same_boot: bool,
    /// `None` where the owner's namespace was not recorded.
    same_pids: Option<bool>,
    same_clock: bool,
    process: Process,
}

/// The lock of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// A process holds the lock: the owner runs.
    Held,
    /// No process holds the lock: the owner has ended.
    Free,
    /// No lock was recorded, or its file cannot be read or was replaced.
    None,
}

/// The process in this PID namespace that has an owner's pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    /// A process has the pid; it started at this time, in clock ticks since boot.
    Runs(u64),
    /// No process has the pid, or only a zombie.
    Ended,
    /// `/proc` does not show whether a process has the pid.
    Hidden,
}

impl Owner {
    /// This process as an owner. It holds a lock in the home from now on until it ends.
    ///
    /// # Errors
    /// When `/proc` cannot be read or the lock cannot be set.
    pub fn hold(home: &Home, run_id: impl Into<String>) -> io::Result<Self> {
        Ok(Self { lock: Some(held_in(home)?), ..Self::current(run_id)? })
    }

    /// This process as an owner without a lock: other PID namespaces cannot find out whether it runs.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current(run_id: impl Into<String>) -> io::Result<Self> {
        let unreadable = || io::Error::other("/proc/self/stat is not as proc_pid_stat(5) says");
        let stat = std::fs::read_to_string("/proc/self/stat")?; // `self`: in another /proc, this process has another pid
        Ok(Self {
            pid: std::process::id(),
            start_time: Stat::parse(&stat).ok_or_else(unreadable)?.start_time,
            boot_id: boot_id()?,
            run_id: run_id.into(),
            pid_namespace: namespace("pid"),
            time_namespace: namespace("time"),
            lock: None,
        })
    }

    /// Whether the owner is this process, with any run id.
    pub fn is_this_process(&self) -> bool {
        let this = Self::current(self.run_id.clone());
        this.is_ok_and(|this| Self { lock: None, ..self.clone() } == this)
    }

    /// Whether the owner still runs, as far as this process can find out. A zombie counts as ended, since it will never
    /// need the instance again. `home` is the home whose registry has the owner.
    pub fn liveness(&self, home: &Home) -> Liveness {
        self.judged(self.lock.map_or(Lock::None, |lock| state(home, lock)))
    }

    /// Whether the owner still runs, by `/proc` alone: for an owner that is not recorded in a registry.
    pub fn liveness_by_proc(&self) -> Liveness {
        self.judged(Lock::None)
    }

    fn judged(&self, lock: Lock) -> Liveness {
        let facts = Facts {
            lock,
            same_boot: boot_id().map_or(true, |boot| boot == self.boot_id),
            same_pids: self.pid_namespace.map(|recorded| namespace("pid") == Some(recorded)),
            same_clock: self.time_namespace.is_none() || self.time_namespace == namespace("time"),
            process: process(self.pid),
        };
        match judge(self.start_time, facts) {
            Liveness::Unknown(_) if is_nowhere(self.pid) => Liveness::Dead,
            judged => judged,
        }
    }
}

/// The liveness of an owner that started at `start_time`, in clock ticks since boot. Pure.
fn judge(start_time: u64, facts: Facts) -> Liveness {
    if facts.lock == Lock::Held {
        return Liveness::Alive; // in a container, pids, boot and clock may seem to say otherwise
    }
    if !facts.same_boot {
        return Liveness::Dead;
    }
    let by_proc = match (facts.same_pids, facts.process) {
        (Some(false), _) => Liveness::Unknown(UnknownLiveness::Namespace),
        // In another time namespace, the same process has another start time.
        (_, Process::Runs(began)) if began == start_time => Liveness::Alive,
        (None, _) => Liveness::Unknown(UnknownLiveness::Unrecorded),
        (Some(true), Process::Runs(_)) if !facts.same_clock => Liveness::Unknown(UnknownLiveness::Namespace),
        (Some(true), Process::Runs(_) | Process::Ended) => Liveness::Dead,
        (Some(true), Process::Hidden) => Liveness::Unknown(UnknownLiveness::Proc),
    };
    match by_proc {
        Liveness::Unknown(_) if facts.lock == Lock::Free => Liveness::Dead,
        judged => judged,
    }
}

pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The number of this process's namespace of a kind, such as `pid`; `None` if the kernel does not have the kind.
fn namespace(kind: &str) -> Option<u64> {
    Some(std::fs::metadata(format!("/proc/self/ns/{kind}")).ok()?.ino())
}

/// The process that has this pid in this process's own PID namespace.
fn process(pid: u32) -> Process {
    // If /proc belongs to another PID namespace, its pids are not ours.
    let own = std::fs::read_link("/proc/self").ok();
    let is_ours = own.is_some_and(|own| own.to_str() == Some(&std::process::id().to_string()));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat.map(|stat| Stat::parse(&stat)) {
        Ok(Some(stat)) if is_ours && matches!(stat.state, 'Z' | 'X' | 'x') => Process::Ended,
        Ok(Some(stat)) if is_ours => Process::Runs(stat.start_time),
        // A process that /proc does not show may be hidden (`hidepid`, proc(5)); kill(2) finds all of this namespace.
        _ => match i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process) {
            Some(Err(Errno::SRCH)) | None => Process::Ended,
            _ => Process::Hidden,
        },
    }
}

/// Whether no process of the host has this pid in its own PID namespace. Only root in the first PID namespace sees the
/// processes of all namespaces; for other callers the answer is not certain, and `false`.
fn is_nowhere(pid: u32) -> bool {
    /// The number of the first PID namespace (`PROC_PID_INIT_INO` in the kernel's `include/linux/proc_ns.h`).
    const FIRST: u64 = 0xefff_fffc;
    if namespace("pid") != Some(FIRST) || !rustix::process::geteuid().is_root() {
        return false;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let statuses =
        entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    let mut innermost = statuses.filter_map(|status| {
        // `NSpid` lists the pids from the reader's namespace to the process's own (proc_pid_status(5)).
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        pids.split_ascii_whitespace().last()?.parse::<u32>().ok()
    });
    innermost.all(|innermost| innermost != pid)
}

/// The file in which each owner locks one byte.
fn lock_file(home: &Home) -> Utf8PathBuf {
    home.root().join("owners.lock")
}

/// This process's lock in a home, set at the first call. The file stays open and locked until the process ends.
fn held_in(home: &Home) -> io::Result<OwnerLock> {
    static HELD: Mutex<Option<HashMap<Utf8PathBuf, (File, OwnerLock)>>> = Mutex::new(None);
    let path = lock_file(home);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let held = held.get_or_insert_default();
    let is_there = |lock: &OwnerLock| std::fs::metadata(&path).is_ok_and(|found| found.ino() == lock.inode);
    if let Some((_, lock)) = held.get(&path).filter(|(_, lock)| is_there(lock)) {
        return Ok(*lock);
    }
    home.create_dir(home.root())?;
    let open = |options: &mut OpenOptions| options.read(true).write(true).mode(0o600).open(&path);
    let file = match open(OpenOptions::new().create_new(true)) {
        Ok(file) => {
            home.adopt(&path)?;
            file
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(&mut OpenOptions::new())?,
        Err(error) => return Err(error),
    };
    let inode = file.metadata()?.ino();
    loop {
        // A random one of 2^62 bytes is nearly always free.
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let lock = OwnerLock { inode, byte: u64::from_le_bytes(random) >> 2 };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&range(lock.byte))) {
            Ok(_) => {
                held.insert(path, (file, lock));
                return Ok(lock);
            }
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a process holds this lock in a home.
fn state(home: &Home, lock: OwnerLock) -> Lock {
    let path = lock_file(home);
    let ask = || -> io::Result<Lock> {
        let file = File::open::<&Utf8Path>(&path)?;
        if file.metadata()?.ino() != lock.inode {
            return Ok(Lock::None); // the file was replaced: the holder has the old one
        }
        let mut range = range(lock.byte);
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut range))?;
        Ok(if libc::c_int::from(range.l_type) == libc::F_UNLCK { Lock::Free } else { Lock::Held })
    };
    ask().unwrap_or(Lock::None)
}

/// The request to lock one byte of a file for writing (fcntl_locking(2)).
fn range(byte: u64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.cast_signed(),
        l_len: 1,
        l_pid: 0,
    }
}

/// Two fields of `/proc/<pid>/stat` (proc_pid_stat(5)): the state, and the start time in clock ticks since boot.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    /// Field 2, the command's name, may have blanks and parentheses: the fields are counted from the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?; // field 3
        let start_time = fields.nth(22 - 4)?.parse().ok()?;
        Some(Self { state, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let numbers: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let text = format!("7 (a) R (b c) S {}", numbers.join(" "));
        assert_eq!(Stat::parse(&text), Some(Stat { state: 'S', start_time: 22 }));
    }

    /// An owner of this namespace that has ended, and has no lock that can be read.
    const ENDED: Facts = Facts {
        lock: Lock::None,
        same_boot: true,
        same_pids: Some(true),
        same_clock: true,
        process: Process::Ended,
    };

    #[test]
    fn an_owner_is_dead_only_where_that_is_certain() {
        use Liveness::{Alive, Dead, Unknown};
        let rows = [
            ("ended", ENDED, Dead),
            ("runs", Facts { process: Process::Runs(7), ..ENDED }, Alive),
            ("its pid is another process's", Facts { process: Process::Runs(8), ..ENDED }, Dead),
            (
                "before a reboot",
                Facts { same_boot: false, same_pids: None, process: Process::Runs(7), ..ENDED },
                Dead,
            ),
            (
                "in another namespace",
                Facts { same_pids: Some(false), ..ENDED },
                Unknown(UnknownLiveness::Namespace),
            ),
            (
                "in another namespace under a pid of ours",
                Facts { same_pids: Some(false), process: Process::Runs(7), ..ENDED },
                Unknown(UnknownLiveness::Namespace),
            ),
            (
                "in another namespace with its lock",
                Facts { lock: Lock::Held, same_pids: Some(false), ..ENDED },
                Alive,
            ),
            (
                "in another namespace without its lock",
                Facts { lock: Lock::Free, same_pids: Some(false), ..ENDED },
                Dead,
            ),
            (
                "with its lock where the boot seems another",
                Facts { lock: Lock::Held, same_boot: false, same_pids: Some(false), ..ENDED },
                Alive,
            ),
            (
                "runs though its lock is free",
                Facts { lock: Lock::Free, process: Process::Runs(7), ..ENDED },
                Alive,
            ),
            (
                "by another clock",
                Facts { same_clock: false, process: Process::Runs(8), ..ENDED },
                Unknown(UnknownLiveness::Namespace),
            ),
            ("ended by another clock", Facts { same_clock: false, ..ENDED }, Dead),
            ("hidden", Facts { process: Process::Hidden, ..ENDED }, Unknown(UnknownLiveness::Proc)),
            (
                "of an earlier version that runs",
                Facts { same_pids: None, process: Process::Runs(7), ..ENDED },
                Alive,
            ),
            (
                "of an earlier version",
                Facts { same_pids: None, ..ENDED },
                Unknown(UnknownLiveness::Unrecorded),
            ),
        ];
        for (what, facts, expected) in rows {
            assert_eq!(judge(7, facts), expected, "{what}");
        }
    }
}
