//! The guard opened on purpose: the self-test of the audit applies injections to it, which must stay until the audit
//! has looked for the leaks.
//!
//! The self-test holds a second lock meanwhile. A process that wants to change the guard waits for this lock, and a
//! process that would restore the guard leaves it as it is. The kernel frees the lock when its holder ends: after a
//! killed self-test, the next command restores the guard.

use std::sync::Arc;

use camino::Utf8Path;
use ipnet::Ipv4Net;

use super::super::FabricError;
use super::{LOCK, hold, in_folder, locked, nft, put_back};
use crate::exec::Runner;
use crate::files::Lock;

/// The lock file of the opening. Processes that change the guard share the lock; a self-test that opens the guard holds
/// it exclusively. It is taken before the guard's own lock.
const OPENED: &str = "/run/homelab/guard-opened.lock";

/// Guard: while this value or a clone of it lives, this process holds the host guard open on purpose.
#[derive(Debug, Clone)]
pub struct Opening {
    _alone: Arc<Lock>,
}

impl Opening {
    /// Waits until no other process changes the guard or holds it open.
    ///
    /// # Errors
    /// [`FabricError::File`] when the lock file cannot be made, locked or written.
    pub async fn begin() -> Result<Self, FabricError> {
        let mut alone = locked(OPENED, Lock::of_file).await?;
        alone.sign(Utf8Path::new(OPENED))?;
        Ok(Self { _alone: Arc::new(alone) })
    }

    /// Changes the guard's table with a script for `nft --file`.
    ///
    /// # Errors
    /// [`FabricError::Guard`] when nft refuses the script.
    pub async fn change(&self, script: &str, runner: &dyn Runner) -> Result<(), FabricError> {
        let _lock = hold(LOCK).await?;
        runner.run(&nft(script)).await.map(drop).map_err(FabricError::Guard)
    }

    /// Restores the guard as it was built: rules, routes and settings.
    ///
    /// # Errors
    /// [`FabricError`]; the next command that runs as root restores the guard.
    pub async fn close(&self, pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
        let _lock = hold(LOCK).await?;
        put_back(pools, runner).await
    }
}

/// Whether a self-test holds the guard open.
pub(super) enum Now {
    /// The guard is not open, and no process can open it while this lock is held.
    Closed(Lock),
    /// The process with this pid holds the guard open; `None` if the pid cannot be read.
    Opened { by: Option<u32> },
}

/// Waits until no process holds the guard open. No process can open the guard while the returned lock is held.
pub(super) async fn wait_until_closed() -> Result<Lock, FabricError> {
    locked(OPENED, Lock::shared_of_file).await
}

/// Finds out whether a process holds the guard open, without waiting.
pub(super) fn closed_now() -> Result<Now, FabricError> {
    let path = in_folder(OPENED)?;
    Ok(match Lock::try_shared_of_file(path)? {
        Some(lock) => Now::Closed(lock),
        None => Now::Opened { by: Lock::signature(path) },
    })
}
