//! The built inputs: binaries, the node's root file system, its images, kept in a cache.
//!
//! Everything a node consists of comes from Go modules and Debian packages that are pinned here and embedded in
//! the program (`pins`). Each artefact lies in the cache under the digest of its inputs: a finished one is
//! recognised by its path, a killed build goes on where it was, and two builds at once do not spoil each other
//! (`cache`). Next in the flow: an engine starts nodes from the [`NodeImage`].

mod pins;
mod recipe;
mod cache;
mod binaries;
mod root;
mod images;
mod store;
mod machine;
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
use crate::spec::{KUBERNETES_VERSIONS, Provider};

use cache::Cache;
use recipe::Recipe;
use tools::MissingTool;

pub use archive::{ArchiveError, Exported, Imported, Output};
pub use boxes::NodeBox;
pub use cache::Held;
pub use pins::{CILIUM_TAG, COREDNS_TAG, ETCD_TAG, PAUSE_IMAGE, PROBE, TOOLBOX_IMAGE};
pub use prune::{Artefact, Fate, Pruned, Unjudged, User, Users};
pub use recipe::Kind;
pub use root::apt_sources;

/// Disk space that a build from nothing takes, in bytes: Go's own cache is most of it.
pub const DISK_SPACE: u64 = 6 << 30;

/// Disk space that a box takes while it is built, in bytes: its disk, raw, compressed and packed.
const BOX_SPACE: u64 = 8 << 30;

/// The built inputs in a cache folder.
#[derive(Debug, Clone)]
pub struct Assets {
    cache: Cache,
}

/// What nodes of one Kubernetes version are started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// The root file system: a folder that nodes see through an overlay and never write to.
    pub root: Utf8PathBuf,
    /// A `/var/lib/containerd` with all images unpacked: nodes see it through an overlay, too.
    pub containerd_store: Utf8PathBuf,
}

impl NodeImage {
    /// Where it is, finished or not.
    fn in_cache(cache: &Cache, recipe: &Recipe) -> Self {
        Self { root: cache.path(&recipe.root), containerd_store: cache.path(&recipe.store) }
    }
}

/// Why there is no node image.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// Nodes cannot be made of this Kubernetes version: another `homelab` recorded it.
    #[error("there are no nodes of Kubernetes {version}; supported: {}", KUBERNETES_VERSIONS.join(", "))]
    Version {
        /// What was asked for.
        version: String,
    },
    /// Tools are missing, all of them named.
    #[error("tools are missing: {}", listed(.0))]
    Tools(Vec<MissingTool>),
    /// The disk is too full to begin.
    #[error("the disk of {path} has {has} MiB left; {needs} MiB are needed")]
    Disk {
        /// The cache.
        path: Utf8PathBuf,
        /// What is left, in MiB.
        has: u64,
        /// What the work takes, in MiB.
        needs: u64,
    },
    /// Nothing can be removed now.
    #[error("the cache is in use: {path} is locked by a build, an import, an export, or nodes that start")]
    Busy {
        /// The lock.
        path: Utf8PathBuf,
    },
    /// Nothing can be exported that is not built.
    #[error("the {artefact} is not built")]
    NotBuilt {
        /// `node image of Kubernetes v1.36.3`
        artefact: String,
        /// The command that builds it.
        command: String,
    },
    /// A file of exported assets.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A step of the build failed.
    #[error("build {artefact}")]
    Step {
        /// What was being built.
        artefact: String,
        /// What the tool says.
        #[source]
        source: CommandError,
    },
    /// A file or folder of the cache.
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
                "`homelab assets prune` removes what no node uses; HOMELAB_CACHE=<folder> moves the cache"
                    .to_owned(),
            ),
            Self::Busy { .. } => Some("try again when it is done".to_owned()),
            Self::NotBuilt { command, .. } => Some(format!("`{command}`")),
            Self::Archive(error) => error.hint(),
            Self::File(error) if error.source.kind() == std::io::ErrorKind::StorageFull => {
                Some("make room and build again: finished parts are kept".to_owned())
            }
            Self::Step { source, .. } if source.to_string().contains("No space left on device") => {
                Some("make room and build again: finished parts are kept".to_owned())
            }
            Self::Step { .. } | Self::File(_) => {
                Some("`homelab assets build` goes on where it stopped".to_owned())
            }
            Self::Version { .. } => None,
        }
    }
}

impl Assets {
    /// The assets in this cache folder, built or not.
    pub fn in_cache(folder: impl Into<Utf8PathBuf>) -> Self {
        Self { cache: Cache::in_folder(folder.into()) }
    }

    /// The cache folder.
    pub fn folder(&self) -> &Utf8Path {
        self.cache.folder()
    }

    /// The node image of a Kubernetes version, if it is built. Takes milliseconds and changes nothing.
    pub fn find(&self, kubernetes: &str) -> Option<NodeImage> {
        let image = NodeImage::in_cache(&self.cache, Recipe::of(kubernetes).ok()?);
        (image.root.exists() && image.containerd_store.exists()).then_some(image)
    }

    /// The box of a Kubernetes version for a provider, if it is built. Takes milliseconds and changes nothing.
    pub fn find_box(&self, kubernetes: &str, provider: Provider) -> Option<NodeBox> {
        let node_box = NodeBox::in_cache(&self.cache, Recipe::of(kubernetes).ok()?, provider);
        node_box.catalogue.exists().then_some(node_box)
    }

    /// Holds the cache: `prune` removes nothing while the value lives. Whoever is about to use what [`Self::find`]
    /// finds holds it until the host itself shows the use, by a mount or a container.
    ///
    /// # Errors
    /// What the file system says of the lock.
    pub async fn hold(&self) -> std::io::Result<Held> {
        match self.cache.hold().await {
            Err(AssetsError::File(error)) => Err(error.source),
            held => held.map_err(std::io::Error::other),
        }
    }

    /// Where that box is, built or not.
    #[cfg(test)]
    pub(crate) fn box_at(&self, kubernetes: &str, provider: Provider) -> NodeBox {
        NodeBox::in_cache(&self.cache, Recipe::of(kubernetes).unwrap(), provider)
    }

    /// Builds what is missing of the box of a Kubernetes version for a provider, the node image that it is made of
    /// included, with an event for each part.
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

    /// Builds what is missing of the node image of a Kubernetes version, with an event for each part.
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
