//! The guard opened on purpose: the audit's self-test opens leaks in it, which must stay open until they were looked
//! for.
//!
//! Who has it open holds a lock of its own for as long. Whoever wants to change the guard waits for that, and whoever
//! would put it back leaves it. The kernel frees the lock with its holder: what a killed self-test left open is put
//! back by the next command.

use std::sync::Arc;

use camino::Utf8Path;
use ipnet::Ipv4Net;

use super::super::FabricError;
use super::{LOCK, hold, in_folder, locked, nft, put_back};
use crate::exec::Runner;
use crate::files::Lock;

/// Shared by whoever changes the guard, and held alone by whoever has it open. Taken before the guard's own lock.
const OPENED: &str = "/run/homelab/guard-opened.lock";

/// The guard, open on purpose until this value and its clones are gone.
#[derive(Debug, Clone)]
pub struct Opening {
    _alone: Arc<Lock>,
}

impl Opening {
    /// Waits until nobody changes the guard or has it open.
    ///
    /// # Errors
    /// [`FabricError::File`]
    pub async fn begin() -> Result<Self, FabricError> {
        let mut alone = locked(OPENED, Lock::of_file).await?;
        alone.sign(Utf8Path::new(OPENED))?;
        Ok(Self { _alone: Arc::new(alone) })
    }

    /// Changes the guard's table by a script for nft.
    ///
    /// # Errors
    /// [`FabricError::Guard`] when nft refuses it.
    pub async fn change(&self, script: &str, runner: &dyn Runner) -> Result<(), FabricError> {
        let _lock = hold(LOCK).await?;
        runner.run(&nft(script)).await.map(drop).map_err(FabricError::Guard)
    }

    /// Makes the guard as it was built: rules, routes and settings.
    ///
    /// # Errors
    /// [`FabricError`]; the next command as root puts it back.
    pub async fn close(&self, pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
        let _lock = hold(LOCK).await?;
        put_back(pools, runner).await
    }
}

/// Whether the guard is open on purpose.
pub(super) enum Now {
    /// It is not, and will not be as long as this is held.
    Closed(Lock),
    /// It is, by this process where that can be read.
    Opened { by: Option<u32> },
}

/// Waits until nobody has the guard open, and keeps it so until the value is dropped.
pub(super) async fn wait_until_closed() -> Result<Lock, FabricError> {
    locked(OPENED, Lock::shared_of_file).await
}

/// The same without waiting.
pub(super) fn closed_now() -> Result<Now, FabricError> {
    let path = in_folder(OPENED)?;
    Ok(match Lock::try_shared_of_file(path)? {
        Some(lock) => Now::Closed(lock),
        None => Now::Opened { by: Lock::signature(path) },
    })
}
