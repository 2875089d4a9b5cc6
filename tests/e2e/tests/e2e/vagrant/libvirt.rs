//! The VM engine passes the contract suite on libvirt.

use std::sync::Arc;

use camino::Utf8PathBuf;
use provisioner::assets::Assets;
use provisioner::engine::{Engine, VagrantEngine};
use provisioner::fabric;
use provisioner::home::Home;
use provisioner::plan::{Pools, Taken};
use provisioner::request::{EngineKind, Provider};
use tempfile::TempDir;

#[tokio::test]
async fn the_engine_keeps_every_promise_on_libvirt() -> anyhow::Result<()> {
    keeps_every_promise(Provider::Libvirt).await
}

pub(super) async fn keeps_every_promise(provider: Provider) -> anyhow::Result<()> {
    let (_folder, home, engine) = engine(provider)?;
    let taken = Taken {
        instances: Vec::new(),
        host: fabric::host_networks(&[], |_| false).await?,
        ..Taken::default()
    };
    contract::engine_suite(EngineKind::Vagrant(provider), engine, home, taken).await
}

/// An engine with a separate home, so that its instances, which are in no registry, do not count as leftovers in
/// another home.
pub(super) fn engine(provider: Provider) -> anyhow::Result<(TempDir, Home, Arc<dyn Engine>)> {
    let folder = tempfile::tempdir()?;
    let home = Home::at(Utf8PathBuf::try_from(folder.path().to_owned())?);
    let assets = Assets::in_cache(Home::from_env()?.cache().to_owned());
    let engine = VagrantEngine::new(home.id(), provider, Pools::default().ranges().to_vec(), assets);
    Ok((folder, home, Arc::new(engine)))
}
