//! Assets as one file, so that another machine need not compile for half an hour.
//!
//! The file is a gzipped tar: first [`HEADER`], which says what it is and of which recipe; then the artefacts, each
//! below the folder of its kind; last [`LIST`], with a checksum for the header and for each entry, over its contents,
//! owner, mode, time, links and extended attributes. The checksums find damage. They do not say who made the file:
//! it holds programs that run as root, so it is to be trusted as much as the place it came from.

mod error;
mod entry;
mod pack;
mod read;
mod unpack;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::events::Events;
use crate::exec::Runner;
use crate::spec::Provider;

use super::cache::Cache;
use super::recipe::{Part, Recipe};
use super::{Assets, AssetsError, NodeBox, boxes};

use error::failed;

pub use error::ArchiveError;

/// The first entry.
const HEADER: &str = "homelab-assets.json";
/// The last entry.
const LIST: &str = "SHA256SUMS";
/// The version of this format.
const FORMAT: u32 = 1;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    /// [`FORMAT`].
    format: u32,
    /// The version of the program that wrote it.
    homelab: String,
    /// As Rust calls it: `x86_64`.
    architecture: String,
    kubernetes: String,
    provider: Option<String>,
    parts: Vec<PartHeader>,
}

/// An artefact in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartHeader {
    kind: String,
    digest: String,
    /// Contents of all its files together.
    bytes: u64,
}

/// Where an export goes.
pub enum Output {
    /// A file, which has its name when it is complete.
    File(Utf8PathBuf),
    /// A stream.
    Stream(Box<dyn Write + Send>),
}

impl Debug for Output {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(to, "File({path})"),
            Self::Stream(_) => to.write_str("Stream"),
        }
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The size of the file.
    pub bytes: u64,
    /// SHA-256 of the file in hex, as `sha256sum` prints it.
    pub sha256: String,
    /// The artefacts in it, as paths in the cache: `root/0123456789abcdef`.
    pub parts: Vec<String>,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The Kubernetes version of the nodes.
    pub kubernetes: String,
    /// Whose box is among it, if one is.
    pub provider: Option<Provider>,
    /// The artefacts that were put into the cache; those that were there already are not among them.
    pub parts: Vec<String>,
}

impl Assets {
    /// Writes the node image of a Kubernetes version, with a provider's box if one is asked for, into one file.
    ///
    /// # Errors
    /// [`AssetsError::NotBuilt`] where something is missing; [`ArchiveError`] otherwise, and then there is no file.
    pub async fn export(
        &self,
        kubernetes: &str,
        provider: Option<Provider>,
        to: Output,
        events: &Events,
    ) -> Result<Exported, AssetsError> {
        let recipe = Recipe::of(kubernetes)?;
        let _held = self.cache.hold().await?;
        self.demand(kubernetes, provider)?;
        let job = pack::Job {
            parts: parts(recipe, provider).map(|part| (part.clone(), self.cache.path(part))).collect(),
            header: header(recipe, provider),
            events: events.clone(),
        };
        Ok(in_background(move |stop| job.run(to, stop)).await?)
    }

    /// Refuses to export what is not built.
    fn demand(&self, kubernetes: &str, provider: Option<Provider>) -> Result<(), AssetsError> {
        let build = format!("homelab assets build --kubernetes {kubernetes}");
        let missing = match provider {
            _ if self.find(kubernetes).is_none() => {
                Some((format!("node image of Kubernetes {kubernetes}"), build))
            }
            Some(provider) if self.find_box(kubernetes, provider).is_none() => Some((
                format!("box of Kubernetes {kubernetes} for {provider}"),
                format!("{build} --box {provider}"),
            )),
            _ => None,
        };
        missing.map_or(Ok(()), |(artefact, command)| Err(AssetsError::NotBuilt { artefact, command }))
    }

    /// Puts what [`Self::export`] wrote into the cache, all of it or nothing: each checksum is compared before anything
    /// gets its place. `file` names the source in errors.
    ///
    /// # Errors
    /// [`ArchiveError`] with the entry that is not as it must be.
    pub async fn import(
        &self,
        from: Box<dyn Read + Send>,
        file: &str,
        runner: &dyn Runner,
        events: &Events,
    ) -> Result<Imported, AssetsError> {
        let _held = self.cache.hold().await?;
        let name = file.to_owned();
        let begun = in_background(move |_| read::Reading::begin(from, name)).await?;
        let (recipe, provider) = begun.recipe()?;
        let mut targets = Vec::new();
        for part in parts(recipe, provider) {
            targets.push((part, self.cache.begin(part).await?));
        }
        let imported = |parts| Imported { kubernetes: recipe.kubernetes.to_owned(), provider, parts };
        if targets.iter().all(|(_, target)| target.is_none()) {
            return Ok(imported(Vec::new()));
        }
        self.cache.demand_space(begun.bytes())?;
        let folders = targets
            .iter()
            .map(|(part, target)| ((*part).clone(), target.as_ref().map(|target| target.path().to_owned())));
        let (folders, events) = (folders.collect::<Vec<_>>(), events.clone());
        in_background(move |stop| begun.unpack(&folders, &events, stop)).await?;
        if let (Some(provider), Some((_, Some(target)))) = (provider, targets.last()) {
            let node_box = NodeBox::in_cache(&self.cache, recipe, provider);
            boxes::seal(&node_box, provider, target.path(), runner).await?;
        }
        settle(&self.cache);
        let mut parts = Vec::new();
        for (part, target) in targets {
            if let Some(target) = target {
                target.finish()?;
                parts.push(part.to_string());
            }
        }
        Ok(imported(parts))
    }
}

/// The artefacts in a file: what nodes are started from. Whatever went into them stays where it was built.
fn parts(recipe: &Recipe, provider: Option<Provider>) -> impl Iterator<Item = &Part> {
    let node_box = provider.map(|provider| recipe.node_box(provider));
    [&recipe.root, &recipe.store].into_iter().chain(node_box)
}

/// What a file says of itself, but for the sizes.
fn header(recipe: &Recipe, provider: Option<Provider>) -> Header {
    let part = |part: &Part| PartHeader {
        kind: part.kind.as_str().to_owned(),
        digest: part.digest.clone(),
        bytes: 0,
    };
    Header {
        format: FORMAT,
        homelab: env!("CARGO_PKG_VERSION").to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        kubernetes: recipe.kubernetes.to_owned(),
        provider: provider.map(|provider| provider.as_str().to_owned()),
        parts: parts(recipe, provider).map(part).collect(),
    }
}

/// Has what was written on the disk before it gets its place: after a power cut it is whole or not there.
fn settle(cache: &Cache) {
    if let Ok(folder) = std::fs::File::open(cache.folder()) {
        // A file system that cannot be told to write loses no more than any builder's work.
        let _ = rustix::fs::syncfs(&folder);
    }
}

/// Whether somebody still waits for the work.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn check(&self) -> Result<(), ArchiveError> {
        if self.0.load(Ordering::Relaxed) { Err(ArchiveError::Stopped) } else { Ok(()) }
    }
}

/// Stops the work when nobody waits for it any more, and gives it a moment to clean up.
struct Waiting {
    stop: Stop,
    ended: mpsc::Receiver<()>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        let _ = self.ended.recv_timeout(Duration::from_secs(5));
    }
}

/// Runs work that reads and writes for long on a thread of its own.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let stop = Stop::default();
    let (end, ended) = mpsc::channel::<()>();
    let told = stop.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _end = end; // heard when it goes
        work(&told)
    });
    let _waiting = Waiting { stop, ended };
    done.await.unwrap_or_else(|panic| {
        let (attempt, path) = ("work on", "the assets".to_owned());
        Err(ArchiveError::File { attempt, path, source: io::Error::other(panic) })
    })
}
