//! What the host does about an adapter that VirtualBox has named.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::Ipv4Net;

use crate::exec::Runner;
use crate::fabric::{self, FabricError};

/// The host guard, as far as adapters are concerned.
pub(super) trait Wires: Debug + Send + Sync {
    /// Waits until nobody else on this host changes adapters, and keeps it so until the value is dropped: as long as an
    /// adapter is new it has an address that may be another instance's.
    fn alone(&self) -> BoxFuture<'_, Result<Box<dyn Send>, FabricError>>;

    /// Has the guard watch an adapter, and closes what the host opens on it.
    fn watch<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<(), FabricError>>;

    /// Has the guard forget adapters that are gone.
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
            let link = fabric::Link::Named(adapter.to_owned());
            fabric::guard(&self.pools, &[link], self.host.as_ref()).await?;
            fabric::harden(adapter).await
        })
    }

    fn forget(&self) -> BoxFuture<'_, Result<(), FabricError>> {
        Box::pin(fabric::lower(self.host.as_ref()))
    }
}
