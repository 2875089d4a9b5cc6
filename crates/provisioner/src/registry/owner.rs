//! Who may still need an instance: a process, told from all others that ever had or will have its pid.

use std::io;

use super::{Instance, Owner};

impl Instance {
    /// Whether its owner is dead: nobody will finish it or take it down, except `reap`. An operator's instance
    /// has no owner and is never abandoned.
    pub fn is_abandoned(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| !owner.is_alive())
    }
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current(run_id: impl Into<String>) -> io::Result<Self> {
        let pid = std::process::id();
        let unreadable = || io::Error::other(format!("/proc/{pid}/stat is not as proc_pid_stat(5) says"));
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let start_time = Stat::parse(&stat).ok_or_else(unreadable)?.start_time;
        Ok(Self { pid, start_time, boot_id: boot_id()?, run_id: run_id.into() })
    }

    /// Whether that very process still runs. A zombie does not: it will never need anything again.
    /// Where `/proc` does not tell, the process counts as alive, because its instance must not be reaped.
    pub fn is_alive(&self) -> bool {
        if boot_id().is_ok_and(|boot| boot != self.boot_id) {
            return false;
        }
        match std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) {
            Ok(stat) => Stat::parse(&stat).is_none_or(|stat| {
                stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X' | 'x')
            }),
            // ESRCH is a process that ends while it is looked at.
            Err(error) => {
                error.kind() != io::ErrorKind::NotFound
                    && error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error())
            }
        }
    }
}

pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The part of `/proc/<pid>/stat` that matters here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    /// Field 2, the command's name, may hold blanks and parentheses: counting starts behind the last one.
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
}
