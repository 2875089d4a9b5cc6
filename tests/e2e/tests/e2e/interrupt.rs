//! Interrupts a program that a test has started, as by Ctrl-C.

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

/// Sends SIGINT.
pub(crate) fn interrupt(program: &Child) -> anyhow::Result<()> {
    let pid = program.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    Ok(kill_process(pid.context("the program has ended")?, Signal::INT)?)
}
