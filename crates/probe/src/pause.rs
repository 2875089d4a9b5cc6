//! `pause`: the first process of a pod. It holds the pod's namespaces and does nothing else.

use std::io;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Sleeps until SIGTERM or SIGINT. In a shared PID namespace, orphaned processes become children of this process, which
/// reaps them.
pub(crate) fn run() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut child = signal(SignalKind::child())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                // Pending SIGCHLDs merge, so that one may stand for several children. ECHILD means that no child is
                // left.
                _ = child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
            }
        }
    })
}
