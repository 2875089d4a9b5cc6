//! The host guard for adapters, whose names VirtualBox chooses.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::Ipv4Net;

use crate::exec::Runner;
use crate::fabric::{self, FabricError};

/// The parts of the host guard that adapters need.
pub(super) trait Wires: Debug + Send + Sync {
    /// Waits for the lock on changes to this host's adapters, and holds it until the value is dropped. A new adapter
    /// first has an address that may be in another instance's network.
    fn alone(&self) -> BoxFuture<'_, Result<Box<dyn Send>, FabricError>>;

    /// Has the guard watch an adapter, and closes the kernel's settings for it that are open by default.
    fn watch<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<(), FabricError>>;

    /// Has the guard forget the adapters that do not exist any more.
    fn forget(&self) -> BoxFuture<'_, Result<(), FabricError>>;
}

/// The guard of this host.
#[derive(Debug)]
pub(super) struct HostWires {
    pub(super) pools: Vec<Ipv4Net>,
    pub(super) host: Arc<dyn Runner>,
}

impl Wires for HostWires {
    fn alone(&self) -> BoxFuture<'_, Result<Box<dyn Send>, FabricError>> {
        Box::pin(async { Ok(Box::new(fabric::adapters_lock().await?) as Box<dyn Send>) })
    }

    fn watch<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<(), FabricError>> {
        Box::pin(async move {
            let link = fabric::GuardedLink::Named(adapter.to_owned());
            fabric::guard(&self.pools, &[link], self.host.as_ref()).await?;
            fabric::harden(adapter).await
        })
    }

    fn forget(&self) -> BoxFuture<'_, Result<(), FabricError>> {
        Box::pin(fabric::lower(self.host.as_ref()))
    }
}
