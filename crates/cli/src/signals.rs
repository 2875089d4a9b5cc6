//! The signals that end a verb: SIGINT (Ctrl-C), SIGTERM and SIGHUP.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Refusal;

/// Receives the signals with which users and supervisors stop a verb.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to receive the signals. From now on, they no longer end the process: the caller has to.
    pub(crate) fn listen() -> Result<Self, Refusal> {
        let of = |kind| signal(kind).map_err(Refusal::Signals);
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal and returns its name: `Ctrl-C`, `SIGTERM` or `SIGHUP`.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
