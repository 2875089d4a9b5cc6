//! The only module that starts processes. Commands are values, and runners run them.
//!
//! Making a [`Command`] is pure and can be snapshot-tested; running it belongs to a [`Runner`]. Nothing
//! else in the project calls `std::process` or `tokio::process` (clippy forbids it), so every child has
//! a deadline, a separate process group, and an error with both output streams.

mod command;
mod container;
pub mod environment;
mod local;
mod scripted;
mod ssh;
mod umask;

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;

pub use command::{Command, Deadline, Output};
pub use container::InContainer;
pub use local::{Background, Local, is_installed, replace};
pub use scripted::{Exchange, Scripted};
pub use ssh::{Login, OverSsh};
pub use umask::fix_umask;

/// The environment of a node's services and of commands on it. It does not depend on this process's environment.
pub(crate) const ENVIRONMENT: [&str; 3] =
    ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"];

/// Runs commands: on this host, in a node, or, in tests, from a script.
pub trait Runner: Debug + Send + Sync {
    /// Runs the command to its end and returns its output when it exited with 0.
    ///
    /// # Errors
    /// [`CommandError`] when the program cannot be started, exits with another status, is killed by a
    /// signal or outlives its deadline; in the last case its whole process group is killed first.
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>>;
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
#[error("run `{command}`{place}: {failure}")]
pub struct CommandError {
    /// The command as a person would type it, secrets hidden.
    pub command: String,
    /// ` in <place>`, such as ` in acme-cp-1`; empty for this host.
    pub place: String,
    /// Why it failed.
    pub failure: Failure,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It could not be started at all.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// Reading its output, or waiting for its end, failed.
    #[error("cannot read its output or wait for its end: {0}")]
    Streams(std::io::Error),
    /// It ended with another status than 0.
    #[error("{status}{}", streams(.stdout, .stderr))]
    Status {
        /// `exit status: 1`, `signal: 9 (SIGKILL)`.
        status: String,
        /// The exit code, unless a signal ended it.
        code: Option<i32>,
        /// Standard output.
        stdout: String,
        /// Standard error.
        stderr: String,
    },
    /// It was still running at its deadline and was killed.
    #[error("still running after {}s, killed{}", .within.as_secs(), streams(.stdout, .stderr))]
    Deadline {
        /// The deadline it was given.
        within: Duration,
        /// Standard output so far.
        stdout: String,
        /// Standard error so far.
        stderr: String,
    },
    /// The script of a test did not expect it.
    #[error("not in the script: {0}")]
    Unscripted(String),
}

/// The last lines of both streams, indented, for an error message.
fn streams(stdout: &str, stderr: &str) -> String {
    const LAST: usize = 25;
    let mut text = String::new();
    for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
        let lines: Vec<&str> = stream.trim_end().lines().collect();
        for line in &lines[lines.len().saturating_sub(LAST)..] {
            text.push_str(&format!("\n  {name}: {line}"));
        }
    }
    text
}
