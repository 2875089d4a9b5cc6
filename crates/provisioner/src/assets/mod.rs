//! Builds what nodes are started from, and keeps it in a cache: binaries, the root file system, images, boxes.
//!
//! Everything in a node comes from Go modules and Debian packages; the modules and the list of packages are pinned in
//! this program (`pins`). Each artefact is in the cache under the digest of its inputs. So a finished artefact is
//! recognised by its path, a killed build continues with its first unfinished artefact, and concurrent builds do not
//! disturb each other (`cache`). This module does not know clusters. Next in the flow: an engine starts nodes from the
//! [`NodeImage`].

mod pins;
mod recipe;
mod cache;
mod binaries;
mod root;
mod images;
mod store;
mod vm_disk;
mod boxes;
mod sandbox;
mod build;
mod archive;
mod prune;
pub mod tools;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::Hint;
use crate::events::Events;
use crate::exec::{CommandError, Runner};
use crate::files::FileError;
use crate::request::{KUBERNETES_VERSIONS, Provider};

use cache::Cache;
use recipe::Recipe;
use tools::MissingTool;

pub use archive::{ArchiveError, Exported, Imported, Output};
pub use boxes::NodeBox;
pub use cache::Held;
pub use pins::{CILIUM_TAG, COREDNS_TAG, ETCD_TAG, PAUSE_IMAGE, PROBE, TOOLBOX_IMAGE};
pub use prune::{Artefact, Decision, Pruned, UnreadSource, User, Users};
pub use recipe::Kind;
pub use root::apt_sources;

/// Disk space for a build with an empty cache, in bytes. Go's own cache takes most of it.
pub const DISK_SPACE: u64 = 6 << 30;

/// Disk space for building a box, in bytes: its disk, raw, compressed and packed.
const BOX_SPACE: u64 = 8 << 30;

/// The built inputs in a cache folder.
#[derive(Debug, Clone)]
pub struct Assets {
    cache: Cache,
}

/// The files from which nodes of one Kubernetes version are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// The folder of the root file system. Nodes mount it through an overlay and never write to it.
    pub root: Utf8PathBuf,
    /// The folder of a `/var/lib/containerd` with all images unpacked. Nodes mount it through an overlay, too.
    pub containerd_store: Utf8PathBuf,
}

impl NodeImage {
    /// Its paths in the cache, whether it is built or not.
    fn in_cache(cache: &Cache, recipe: &Recipe) -> Self {
        Self { root: cache.path(&recipe.root), containerd_store: cache.path(&recipe.store) }
    }
}

/// Why assets cannot be built, found, exported, imported or pruned.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// This program has no node image for this Kubernetes version; a homelab of another version recorded it.
    #[error("this homelab has no nodes of Kubernetes {version}; supported: {}", KUBERNETES_VERSIONS.join(", "))]
    Version {
        /// The requested version, with its `v`.
        version: String,
    },
    /// Tools are missing. All are named.
    #[error("tools are missing: {}", listed(.0))]
    Tools(Vec<MissingTool>),
    /// The disk has too little space to begin.
    #[error("the disk of {path} has {has} MiB left; {needs} MiB are needed")]
    Disk {
        /// The cache's folder.
        path: Utf8PathBuf,
        /// The free space, in MiB.
        has: u64,
        /// The space that the work takes, in MiB.
        needs: u64,
    },
    /// The cache is in use, and nothing was removed.
    #[error("the cache is in use: {path} is locked by a build, an import, an export, or a start of nodes")]
    Busy {
        /// The lock file.
        path: Utf8PathBuf,
    },
    /// An export needs this artefact, which is not built.
    #[error("the {artefact} is not built")]
    NotBuilt {
        /// `node image of Kubernetes v1.36.3`
        artefact: String,
        /// The command that builds it: `homelab assets build --kubernetes v1.36.3`.
        command: String,
    },
    /// An export or an import failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A step of the build failed.
    #[error("build {artefact}")]
    Step {
        /// The artefact: `etcd v3.7.3`.
        artefact: String,
        /// The failure of the tool.
        #[source]
        source: CommandError,
    },
    /// A file or folder of the cache cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

fn listed(missing: &[MissingTool]) -> String {
    missing.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ")
}

impl Hint for AssetsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Tools(missing) => Some(tools::remedy(missing)),
            Self::Disk { .. } => Some(
                "`sudo homelab assets prune` removes what no node uses; HOMELAB_CACHE=<folder> moves the cache"
                    .to_owned(),
            ),
            Self::Busy { .. } => Some("repeat the command when that has ended".to_owned()),
            Self::NotBuilt { command, .. } => Some(format!("`{command}`")),
            Self::Archive(error) => error.hint(),
            Self::File(error) if error.source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free disk space, then repeat the command: finished parts are kept".to_owned())
            }
            Self::Step { source, .. } if source.to_string().contains("No space left on device") => {
                Some("free disk space, then repeat the command: finished parts are kept".to_owned())
            }
            Self::Step { .. } | Self::File(_) => {
                Some("`sudo homelab assets build` continues where it stopped".to_owned())
            }
            Self::Version { .. } => None,
        }
    }
}

impl Assets {
    /// The assets in this cache folder, which need not exist yet.
    pub fn in_cache(folder: impl Into<Utf8PathBuf>) -> Self {
        Self { cache: Cache::in_folder(folder.into()) }
    }

    /// The cache folder.
    pub fn folder(&self) -> &Utf8Path {
        self.cache.folder()
    }

    /// The node image of a Kubernetes version; `None` if it is not built. Takes milliseconds and changes nothing.
    pub fn find(&self, kubernetes: &str) -> Option<NodeImage> {
        let image = NodeImage::in_cache(&self.cache, Recipe::of(kubernetes).ok()?);
        (image.root.exists() && image.containerd_store.exists()).then_some(image)
    }

    /// The archive of [`TOOLBOX_IMAGE`], in which an audit's witnesses and probers run, in the format of `docker save`.
    /// `None` if it is not built: an imported node image has no archives.
    pub fn find_toolbox(&self, kubernetes: &str) -> Option<Utf8PathBuf> {
        let folder = self.cache.path(&Recipe::of(kubernetes).ok()?.images);
        images::toolbox(&folder, kubernetes).filter(|archive| archive.exists())
    }

    /// The box of a Kubernetes version for a provider; `None` if it is not built. Takes milliseconds and changes
    /// nothing.
    pub fn find_box(&self, kubernetes: &str, provider: Provider) -> Option<NodeBox> {
        let node_box = NodeBox::in_cache(&self.cache, Recipe::of(kubernetes).ok()?, provider);
        node_box.catalogue.exists().then_some(node_box)
    }

    /// Holds the cache: `prune` removes nothing while the value lives. A caller that is going to use the result of
    /// [`Self::find`] holds the cache until the host shows the use, by a mount or a container.
    ///
    /// # Errors
    /// The file system's error for the lock.
    pub async fn hold(&self) -> std::io::Result<Held> {
        match self.cache.hold().await {
            Err(AssetsError::File(error)) => Err(error.source),
            held => held.map_err(std::io::Error::other),
        }
    }

    /// The paths of a box, whether it is built or not.
    #[cfg(test)]
    pub(crate) fn box_at(&self, kubernetes: &str, provider: Provider) -> NodeBox {
        NodeBox::in_cache(&self.cache, Recipe::of(kubernetes).unwrap(), provider)
    }

    /// Builds the missing parts of the box of a Kubernetes version for a provider, including its node image, with
    /// events for each part.
    ///
    /// # Errors
    /// [`AssetsError`] with the part that failed; finished parts are kept.
    pub async fn build_box(
        &self,
        kubernetes: &str,
        provider: Provider,
        runner: &dyn Runner,
        events: &Events,
    ) -> Result<NodeBox, AssetsError> {
        let node = self.build(kubernetes, runner, events).await?;
        if let Some(node_box) = self.find_box(kubernetes, provider) {
            return Ok(node_box);
        }
        let missing = tools::missing_to_build_boxes();
        if !missing.is_empty() {
            return Err(AssetsError::Tools(missing));
        }
        self.cache.demand_space(BOX_SPACE)?;
        let _held = self.cache.hold().await?;
        let recipe = Recipe::of(kubernetes)?;
        build::node_box(&self.cache, recipe, provider, &node, runner, events).await?;
        Ok(NodeBox::in_cache(&self.cache, recipe, provider))
    }

    /// Builds the missing parts of the node image of a Kubernetes version, with events for each part.
    ///
    /// # Errors
    /// [`AssetsError`] with the part that failed; finished parts are kept.
    pub async fn build(
        &self,
        kubernetes: &str,
        runner: &dyn Runner,
        events: &Events,
    ) -> Result<NodeImage, AssetsError> {
        let recipe = Recipe::of(kubernetes)?;
        if let Some(image) = self.find(kubernetes) {
            return Ok(image);
        }
        let missing = tools::missing_to_build(runner).await;
        if !missing.is_empty() {
            return Err(AssetsError::Tools(missing));
        }
        self.cache.demand_space(DISK_SPACE)?;
        let _held = self.cache.hold().await?;
        self.cache.sweep()?;
        build::all(&self.cache, recipe, runner, events).await
    }
}
