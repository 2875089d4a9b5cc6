//! A runner for tests, which plays an ordered script instead of running anything.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::future::BoxFuture;

use super::{Command, CommandError, Failure, Output, Runner};

/// One expected command and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The command's `Display`.
    pub expected: String,
    /// Its standard output, or the exit code and the standard error of a failure.
    pub answer: Result<String, (i32, String)>,
}

impl Exchange {
    /// The command succeeds and writes this.
    pub fn ok(expected: impl Into<String>, stdout: impl Into<String>) -> Self {
        Self { expected: expected.into(), answer: Ok(stdout.into()) }
    }

    /// The command fails.
    pub fn fails(expected: impl Into<String>, code: i32, stderr: impl Into<String>) -> Self {
        Self { expected: expected.into(), answer: Err((code, stderr.into())) }
    }
}

/// A runner that plays a script. An unexpected command fails with an error that names both commands. An exchange that
/// is left over panics when the script is dropped.
#[derive(Debug)]
pub struct Scripted {
    left: Mutex<VecDeque<Exchange>>,
}

impl Scripted {
    /// A script of exchanges, in order.
    pub fn new(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        Self { left: Mutex::new(exchanges.into_iter().collect()) }
    }

    fn answer(&self, command: &Command) -> Result<Output, Failure> {
        let mut left = self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(next) = left.front() else {
            return Err(Failure::Unscripted("the script has ended".to_owned()));
        };
        if next.expected != command.to_string() {
            return Err(Failure::Unscripted(format!("expected `{}`", next.expected)));
        }
        match left.pop_front().map(|exchange| exchange.answer) {
            Some(Ok(stdout)) => Ok(Output { stdout: stdout.into_bytes(), stderr: Vec::new() }),
            Some(Err((code, stderr))) => Err(Failure::Status {
                status: format!("exit status: {code}"),
                code: Some(code),
                stdout: String::new(),
                stderr,
            }),
            None => Err(Failure::Unscripted("the script has ended".to_owned())),
        }
    }
}

impl Runner for Scripted {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        let answer = self.answer(command).map_err(|failure| CommandError {
            command: command.to_string(),
            place: " in a script".to_owned(),
            failure,
        });
        Box::pin(async move { answer })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let left = self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "exchanges left over in the script: {left:?}");
        }
    }
}
