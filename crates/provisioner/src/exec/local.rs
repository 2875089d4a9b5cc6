//! Runs commands on this host. The one module that calls `tokio::process`.
//!
//! Each child leads a separate process group. So a Ctrl-C or a test runner's SIGTERM for this process does not
//! interrupt the commands of a teardown, and a deadline or a dropped future kills the child with all its descendants.
//! `environment` makes the child's environment.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::environment::{self, Variables, environment};
use super::{Command, CommandError, Failure, Output, Runner, umask};
use crate::slowdown::Slowdown;

/// The runner for this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Runner for Local {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        Box::pin(async move {
            let started = Instant::now();
            let result = to_the_end(command).await.map_err(|failure| CommandError {
                command: command.to_string(),
                place: String::new(),
                failure,
            });
            let status = if result.is_ok() { "ok" } else { "failed" };
            tracing::debug!(%command, status, elapsed_ms = started.elapsed().as_millis() as u64, "command");
            result
        })
    }
}

async fn to_the_end(command: &Command) -> Result<Output, Failure> {
    let within = command.deadline(Slowdown::of_host()).on_clock();
    let (mut child, _group) = spawn(command, Stdio::piped())?;
    let mut stdin = child.stdin.take();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let served = tokio::time::timeout(within, async {
        let feed = async {
            if let Some(mut pipe) = stdin.take() {
                // A failed write is no error: a child may end without reading its input.
                let _ = pipe.write_all(command.input_bytes()).await;
            }
            Ok::<_, std::io::Error>(())
        };
        let drain_out = async {
            if let Some(mut pipe) = out {
                pipe.read_to_end(&mut stdout).await?;
            }
            Ok(())
        };
        let drain_err = async {
            if let Some(mut pipe) = err {
                pipe.read_to_end(&mut stderr).await?;
            }
            Ok(())
        };
        tokio::try_join!(feed, drain_out, drain_err)?;
        child.wait().await
    })
    .await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match served {
        Err(_) => Err(Failure::Deadline { within, stdout: text(&stdout), stderr: text(&stderr) }),
        Ok(Err(error)) => Err(Failure::Streams(error)),
        Ok(Ok(status)) if status.success() => Ok(Output { stdout, stderr }),
        Ok(Ok(status)) => Err(Failure::Status {
            status: status.to_string(),
            code: status.code(),
            stdout: text(&stdout),
            stderr: text(&stderr),
        }),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the module that starts processes")]
fn spawn(command: &Command, output: Stdio) -> Result<(Child, Group), Failure> {
    let mut process = tokio::process::Command::new(command.program());
    process
        .args(command.arguments())
        .env_clear()
        .envs(environment(command, &callers()))
        .stdin(if command.input_bytes().is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(output)
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = command.directory() {
        process.current_dir(directory);
    }
    let child = process.spawn().map_err(Failure::Start)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    Ok((child, group))
}

/// This process's environment. Where `HOME` is missing or relative, it is the home directory from the user database:
/// systemd sets none for a service of root's, and Go does not build without one.
fn callers() -> Variables {
    let mut variables: Variables = std::env::vars_os().collect();
    let has_home = variables.get(OsStr::new("HOME")).is_some_and(|home| Path::new(home).is_absolute());
    if !has_home && let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::geteuid()) {
        variables.insert("HOME".into(), user.dir.into());
    }
    variables
}

/// Whether the `PATH` of commands has a program of this name.
pub fn is_installed(program: &str) -> bool {
    let path = environment::path(std::env::var_os("PATH").as_deref());
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Kills the remaining processes of a child's group when it is dropped, that is, when the child is no longer awaited.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // ESRCH is usual: all processes of the group have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// A process that runs beside this one, for instance a witness of the audit on the host. Its process group is killed
/// when this value is dropped.
#[derive(Debug)]
pub struct Background {
    child: Child,
    _group: Group,
}

impl Background {
    /// Starts the command. Its deadline does not apply, and its output is discarded.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(command: &Command) -> Result<Self, CommandError> {
        let (mut child, group) = spawn(command, Stdio::null()).map_err(|failure| CommandError {
            command: command.to_string(),
            place: String::new(),
            failure,
        })?;
        if let Some(mut stderr) = child.stderr.take() {
            tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        }
        Ok(Self { child, _group: group })
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the process to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait().await;
    }
}

/// Replaces this process by the command (execve(2)): the process id, the terminal and the signals stay, and the
/// command's exit code is this process's. Returns only when the program cannot be started. The deadline does not apply,
/// and destructors do not run.
///
/// For interactive programs only: `homelab kubectl acme -- exec -it …`. The program gets the caller's umask back.
#[expect(clippy::disallowed_methods, reason = "this is the module that starts processes")]
pub fn replace(command: &Command) -> CommandError {
    use std::os::unix::process::CommandExt;
    let mut process = std::process::Command::new(command.program());
    process.args(command.arguments()).env_clear().envs(environment(command, &callers()));
    if let Some(directory) = command.directory() {
        process.current_dir(directory);
    }
    umask::give_back();
    let failure = Failure::Start(process.exec());
    CommandError { command: command.to_string(), place: String::new(), failure }
}
