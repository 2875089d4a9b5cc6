//! Exports assets to one file and imports them, so that another host need not compile for half an hour.
//!
//! The file is a gzipped tar. First is [`HEADER`] with the format and the recipe, then the artefacts, each below the
//! folder of its kind, and last [`LIST`]. The list has a checksum for the header and for each entry, over its contents,
//! owner, mode, time, links and extended attributes. The checksums find damage. They do not authenticate the file: it
//! contains programs that run as root, so import only files from a trusted source.

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
use crate::request::Provider;

use super::cache::Cache;
use super::recipe::{Part, Recipe};
use super::{Assets, AssetsError, NodeBox, boxes};

use error::failed;

pub use error::ArchiveError;

/// Name of the first entry.
const HEADER: &str = "homelab-assets.json";
/// Name of the last entry.
const LIST: &str = "SHA256SUMS";
/// The version of this format.
const FORMAT: u32 = 1;

/// The content of the entry [`HEADER`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    /// [`FORMAT`].
    format: u32,
    /// The version of the program that wrote it.
    homelab: String,
    /// The processor architecture, as Rust names it: `x86_64`.
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
    /// The size of all its files' contents, in bytes.
    bytes: u64,
}

/// The target of an export.
pub enum Output {
    /// A file. It gets its name when it is complete.
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

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// SHA-256 of the file in hex, as `sha256sum` prints it.
    pub sha256: String,
    /// The artefacts in it, as paths in the cache: `root/0123456789abcdef`.
    pub parts: Vec<String>,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The Kubernetes version of the nodes.
    pub kubernetes: String,
    /// The provider of the box in the file; `None` for a file without a box.
    pub provider: Option<Provider>,
    /// The artefacts that were added to the cache, without those that it had already, as in [`Exported::parts`].
    pub parts: Vec<String>,
}

impl Assets {
    /// Writes the node image of a Kubernetes version into one file, with the box for `provider` if that is set.
    ///
    /// # Errors
    /// [`AssetsError::NotBuilt`] when an artefact is missing, else [`ArchiveError`]. No file is made then.
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

    /// Refuses to export artefacts that are not built.
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

    /// Imports a file of [`Self::export`] into the cache. All checksums are compared before the first artefact gets its
    /// final name. `file` names the source in errors.
    ///
    /// # Errors
    /// [`ArchiveError`] with the entry that is wrong.
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

/// The artefacts in a file: those from which nodes are started. Their own inputs are not exported.
fn parts(recipe: &Recipe, provider: Option<Provider>) -> impl Iterator<Item = &Part> {
    let node_box = provider.map(|provider| recipe.node_box(provider));
    [&recipe.root, &recipe.store].into_iter().chain(node_box)
}

/// The header of a file, without the sizes.
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

/// Writes all files to disk before they get their final names, so that an artefact is complete or missing after a power
/// failure.
fn settle(cache: &Cache) {
    if let Ok(folder) = std::fs::File::open(cache.folder()) {
        // An error is ignored: the import is then as safe as a build, which does not sync.
        let _ = rustix::fs::syncfs(&folder);
    }
}

/// Set when the caller no longer waits for the work.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn check(&self) -> Result<(), ArchiveError> {
        if self.0.load(Ordering::Relaxed) { Err(ArchiveError::Stopped) } else { Ok(()) }
    }
}

/// Stops the work when the caller's future is dropped, and waits up to five seconds for its clean-up.
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

/// Runs long reads and writes on a thread for blocking calls.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let stop = Stop::default();
    let (end, ended) = mpsc::channel::<()>();
    let told = stop.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _end = end; // dropped when the work has ended, which `ended` notices
        work(&told)
    });
    let _waiting = Waiting { stop, ended };
    done.await.unwrap_or_else(|panic| {
        let (attempt, path) = ("work on", "the assets".to_owned());
        Err(ArchiveError::File { attempt, path, source: io::Error::other(panic) })
    })
}
