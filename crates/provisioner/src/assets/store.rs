//! Builds the container store: all images, imported and unpacked once instead of on every node.
//!
//! Nodes never write to it. They copy the parts that they may change (`engine::container`).

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::digest_of;
use crate::exec::{Command, Runner};

use super::AssetsError;
use super::cache::{Cache, failed};
use super::pins::PAUSE_IMAGE;
use super::recipe::Recipe;
use super::sandbox::contained_with_own_run;

/// Starts a containerd and fills the store with it.
const PREPARE: &str = include_str!("../../../../assets/store/prepare.sh");

/// The digest of the store's inputs, given that of the images.
pub(super) fn digest(images: &str) -> String {
    digest_of([images, PREPARE])
}

/// Builds the store if it is missing; returns whether it was in the cache.
pub(super) async fn build(
    cache: &Cache,
    recipe: &Recipe,
    archives: &Utf8Path,
    runner: &dyn Runner,
) -> Result<bool, AssetsError> {
    let make = async |part: &Utf8Path| {
        let bin = cache.path(recipe.binaries("containerd"));
        let step = |source| AssetsError::Step { artefact: "the container store".to_owned(), source };
        runner.run(&prepare(&bin, part, &sorted(archives)?)).await.map(drop).map_err(step)
    };
    Ok(cache.artefact(&recipe.store, make).await?.1)
}

/// Runs `prepare.sh`, which is embedded as text because an installed program has no other files. Pure.
fn prepare(bin: &Utf8Path, store: &Utf8Path, archives: &[Utf8PathBuf]) -> Command {
    let command = Command::within(Duration::from_secs(600), "sh").args(["-c", PREPARE, "prepare.sh"]);
    let command = command.args([bin.as_str(), store.as_str(), PAUSE_IMAGE]);
    contained_with_own_run(&command.args(archives.iter().map(|archive| archive.as_str())))
}

fn sorted(archives: &Utf8Path) -> Result<Vec<Utf8PathBuf>, AssetsError> {
    let list = || -> std::io::Result<Vec<Utf8PathBuf>> {
        let entries = archives.read_dir_utf8()?;
        let mut paths = entries.map(|entry| Ok(entry?.into_path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    list().map_err(failed("read", archives))
}
