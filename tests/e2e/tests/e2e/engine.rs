//! The container engine keeps all promises of the engine seam.

use std::sync::Arc;

use camino::Utf8PathBuf;
use provisioner::assets::Assets;
use provisioner::engine::ContainerEngine;
use provisioner::events::Events;
use provisioner::fabric;
use provisioner::home::Home;
use provisioner::plan::{Pools, Taken};

#[tokio::test]
async fn the_container_engine_keeps_every_promise() -> anyhow::Result<()> {
    // A home of its own: no registry entry explains these instances, so nobody else may see them as leftovers.
    let folder = tempfile::tempdir()?;
    let home = Home::at(Utf8PathBuf::try_from(folder.path().to_owned())?);
    let assets = Assets::in_cache(Home::from_env()?.cache().to_owned());
    let engine =
        ContainerEngine::new(home.id(), Pools::default().ranges().to_vec(), assets, Events::default());
    let taken = Taken { instances: Vec::new(), host: fabric::host_networks(|_| false).await? };
    contract::engine_suite(Arc::new(engine), home, taken).await
}
