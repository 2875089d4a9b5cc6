//! Builds all parts of the node image, one after the other, each with its events.

use std::future::Future;
use std::time::Instant;

use crate::events::{Event, Events};
use crate::exec::Runner;
use crate::request::Provider;

use super::cache::Cache;
use super::pins::{CILIUM_PACKAGES, PACKAGES};
use super::recipe::Recipe;
use super::{AssetsError, NodeImage, binaries, boxes, images, root, store};

/// Builds the missing parts of a recipe's node image.
pub(super) async fn all(
    cache: &Cache,
    recipe: &Recipe,
    runner: &dyn Runner,
    events: &Events,
) -> Result<NodeImage, AssetsError> {
    let mut progress = BuildProgress { events, step: 0, of: recipe.components().len() + 5 };
    let nodes = root::debian(cache, &recipe.node_debian, PACKAGES, runner);
    let (node, _) = progress.step("root file system", nodes, |made| made.1).await?;
    let agents = root::debian(cache, &recipe.cilium_debian, CILIUM_PACKAGES, runner);
    let (cilium, _) = progress.step("Cilium's file system", agents, |made| made.1).await?;
    let trees = images::Trees { node, cilium };
    for component in recipe.components() {
        let name = format!("{} {}", component.0.name, component.0.version());
        progress.step(&name, binaries::build(cache, component, runner), |cached| *cached).await?;
    }
    let name = format!("node {}", recipe.kubernetes);
    progress.step(&name, root::build(cache, recipe, &trees.node, runner), |cached| *cached).await?;
    let sources = images::Sources { cache, recipe, trees };
    let (archives, _) = progress.step("images", images::build(&sources, runner), |made| made.1).await?;
    let store = store::build(cache, recipe, &archives, runner);
    progress.step("container store", store, |cached| *cached).await?;
    Ok(NodeImage::in_cache(cache, recipe))
}

/// Builds a box from a node image.
pub(super) async fn node_box(
    cache: &Cache,
    recipe: &Recipe,
    provider: Provider,
    node: &NodeImage,
    runner: &dyn Runner,
    events: &Events,
) -> Result<(), AssetsError> {
    let mut progress = BuildProgress { events, step: 0, of: 1 };
    let name = format!("box {} for {provider}", recipe.kubernetes);
    let made = boxes::build(cache, recipe, provider, node, runner);
    progress.step(&name, made, |cached| *cached).await.map(drop)
}

/// Publishes the beginning and the end of each part, with its number and the total.
struct BuildProgress<'a> {
    events: &'a Events,
    step: usize,
    of: usize,
}

impl BuildProgress<'_> {
    async fn step<T>(
        &mut self,
        asset: &str,
        work: impl Future<Output = Result<T, AssetsError>>,
        was_cached: impl FnOnce(&T) -> bool,
    ) -> Result<T, AssetsError> {
        self.step += 1;
        let (step, of, asset) = (self.step, self.of, asset.to_owned());
        self.events.publish(Event::AssetStarted { asset: asset.clone(), step, of });
        let started = Instant::now();
        let made = work.await?;
        let (took, cached) = (started.elapsed(), was_cached(&made));
        self.events.publish(Event::AssetCompleted { asset, step, of, took, cached });
        Ok(made)
    }
}
