//! The documented exit codes, which never change meaning, and the errors that name their code.
//!
//! This module knows no verb. Each error names its exit code through [`Ends`]: the errors of the libraries in
//! `library`, those of the CLI in `refusal` or in the verb's own file.

mod library;
mod refusal;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use harness::audit::AuditOutcome;
use provisioner::error::Hint;

pub(crate) use refusal::Refusal;

/// How the program ends, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done as asked.
    Ok,
    /// 1: one client reached another.
    Leak,
    /// 2: the command line, a spec or a name is wrong; nothing was done.
    Usage,
    /// 3: isolation could not be judged.
    Inconclusive,
    /// 4: this host is not ready, or a file of homelab's cannot be used.
    CouldNotRun,
    /// 5: a cluster did not come up.
    ProvisionFailed,
    /// 6: something could not be removed.
    TeardownFailed,
    /// 7: `status` has inspected the instance and found problems.
    Problems,
    /// 130: stopped by a signal.
    Interrupted,
}

/// An error that knows its exit code.
///
/// As with hints, an implementation names every variant, so that the compiler demands the code of a new one.
pub(crate) trait Ends: Hint {
    /// The exit code of this error.
    fn exit(&self) -> Exit;
}

/// Why a verb failed: any error that knows its exit code.
#[derive(Debug)]
pub(crate) struct CliError(Box<dyn Ends + Send + Sync>);

impl CliError {
    /// The exit code of this error.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// What to type next.
    pub(crate) fn hint(&self) -> Option<String> {
        self.0.hint()
    }

    /// The error with its causes.
    pub(crate) fn cause(&self) -> &dyn Error {
        &*self.0
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Ends + Send + Sync + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Exit {
    /// The exit of an audit with this outcome.
    pub(crate) fn of_audit(outcome: AuditOutcome) -> Self {
        match outcome {
            AuditOutcome::Isolated => Self::Ok,
            AuditOutcome::Leak => Self::Leak,
            AuditOutcome::Inconclusive => Self::Inconclusive,
        }
    }

    /// The exit if the result could not be written to stdout: a success becomes [`Exit::CouldNotRun`], because the
    /// result is lost. A failure keeps its code.
    pub(crate) fn unwritten(self) -> Self {
        match self {
            Self::Ok | Self::Problems => Self::CouldNotRun,
            Self::Leak
            | Self::Usage
            | Self::Inconclusive
            | Self::CouldNotRun
            | Self::ProvisionFailed
            | Self::TeardownFailed
            | Self::Interrupted => self,
        }
    }

    /// The exit code as a number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Leak => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::CouldNotRun => 4,
            Self::ProvisionFailed => 5,
            Self::TeardownFailed => 6,
            Self::Problems => 7,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_never_change_their_meaning() {
        let all = [
            (Exit::Ok, 0),
            (Exit::Leak, 1),
            (Exit::Usage, 2),
            (Exit::Inconclusive, 3),
            (Exit::CouldNotRun, 4),
            (Exit::ProvisionFailed, 5),
            (Exit::TeardownFailed, 6),
            (Exit::Problems, 7),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
    }

    #[test]
    fn an_unwritten_result_turns_a_success_into_an_error_and_keeps_a_failure() {
        for exit in [Exit::Ok, Exit::Problems] {
            assert_eq!(exit.unwritten(), Exit::CouldNotRun);
        }
        for exit in [Exit::Leak, Exit::Usage, Exit::Inconclusive, Exit::TeardownFailed, Exit::Interrupted] {
            assert_eq!(exit.unwritten(), exit);
        }
    }
}
