//! Computes the digests of all artefacts, once per process. Pure.
//!
//! Each artefact is cached under the digest of its inputs, and is an input of the next one: the root file system, the
//! images and the container store are made from packages and binaries, and boxes are made from these. A changed digest
//! costs every user a build of half an hour, so a snapshot test shows which changes do. Next in the flow: `cache`.

use std::fmt::{self, Display};
use std::sync::LazyLock;

use crate::request::{KUBERNETES_VERSIONS, Provider};

use super::pins::{CILIUM_PACKAGES, Component, PACKAGES, components};
use super::{AssetsError, boxes, images, root, store, vm_disk};

/// A kind of artefact. Each kind has its folder in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Debian tree of packages.
    Debian,
    /// The binaries of one Go module.
    Binaries,
    /// A node's root file system.
    Root,
    /// Container images as archives.
    Images,
    /// A containerd store with all images unpacked.
    Store,
    /// A box for virtual machines.
    Boxes,
}

impl Kind {
    /// All kinds, in the order in which they are built.
    pub const ALL: [Self; 6] =
        [Self::Debian, Self::Binaries, Self::Root, Self::Images, Self::Store, Self::Boxes];

    /// The name of its folder in the cache, and its name in JSON: `debian`, `binaries`, `root` …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Binaries => "binaries",
            Self::Root => "root",
            Self::Images => "images",
            Self::Store => "store",
            Self::Boxes => "boxes",
        }
    }

    /// Its name in messages: `Debian packages`, `binaries`, `root file system` …
    pub fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian packages",
            Self::Binaries => "binaries",
            Self::Root => "root file system",
            Self::Images => "image archives",
            Self::Store => "container store",
            Self::Boxes => "box",
        }
    }
}

/// One artefact by its kind and the digest of its inputs, whether it is built or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// SHA-256 in hex.
    pub(super) digest: String,
}

impl Part {
    /// The first 16 digits of the digest, which name the artefact's folder.
    pub(super) fn key(&self) -> &str {
        &self.digest[..16]
    }
}

/// `root/0123456789abcdef`, its path in the cache.
impl Display for Part {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.kind.as_str(), self.key())
    }
}

/// All artefacts for nodes of one Kubernetes version, with their digests.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) kubernetes: &'static str,
    /// The Debian trees of the node, of Cilium's agent, and of VMs.
    pub(super) node_debian: Part,
    pub(super) cilium_debian: Part,
    pub(super) vm_debian: Part,
    binaries: Vec<(&'static Component, Part)>,
    pub(super) root: Part,
    pub(super) images: Part,
    pub(super) store: Part,
    boxes: [(Provider, Part); Provider::ALL.len()],
}

static RECIPES: LazyLock<Vec<Recipe>> =
    LazyLock::new(|| KUBERNETES_VERSIONS.into_iter().map(Recipe::new).collect());

impl Recipe {
    /// The recipe of a Kubernetes version.
    pub(super) fn of(kubernetes: &str) -> Result<&'static Self, AssetsError> {
        let found = RECIPES.iter().find(|recipe| recipe.kubernetes == kubernetes);
        found.ok_or_else(|| AssetsError::Version { version: kubernetes.to_owned() })
    }

    /// The recipes of all supported Kubernetes versions.
    pub(super) fn all() -> &'static [Self] {
        &RECIPES
    }

    fn new(kubernetes: &'static str) -> Self {
        let part = |kind, digest| Part { kind, digest };
        let debian = |packages| part(Kind::Debian, root::debian_digest(packages));
        let node_debian = debian(PACKAGES);
        let binaries: Vec<(&Component, Part)> =
            components(kubernetes).map(|it| (it, part(Kind::Binaries, it.digest()))).collect();
        let of_binaries: String = binaries.iter().map(|(_, part)| part.digest.as_str()).collect();
        let root = part(Kind::Root, root::digest(&node_debian.digest, &of_binaries));
        let images = part(Kind::Images, images::digest(kubernetes, &of_binaries));
        let store = part(Kind::Store, store::digest(&images.digest));
        let disk = vm_disk::digest(&root.digest, &store.digest);
        let boxes =
            Provider::ALL.map(|provider| (provider, part(Kind::Boxes, boxes::digest(&disk, provider))));
        Self {
            kubernetes,
            node_debian,
            cilium_debian: debian(CILIUM_PACKAGES),
            vm_debian: debian(vm_disk::PACKAGES),
            binaries,
            root,
            images,
            store,
            boxes,
        }
    }

    /// All components with their binaries, in the order in which they are built.
    pub(super) fn components(&self) -> &[(&'static Component, Part)] {
        &self.binaries
    }

    /// A component's binaries.
    pub(super) fn binaries(&self, component: &str) -> &Part {
        let found = self.binaries.iter().find(|(it, _)| it.name == component);
        &found.expect("only names of the table are asked for").1
    }

    /// The box for a provider.
    pub(super) fn node_box(&self, provider: Provider) -> &Part {
        let found = self.boxes.iter().find(|(of, _)| *of == provider);
        &found.expect("there is a box for each provider").1
    }

    /// Every artefact.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        let trees = [&self.node_debian, &self.cilium_debian, &self.vm_debian];
        let built = [&self.root, &self.images, &self.store];
        let binaries = self.binaries.iter().map(|(_, part)| part);
        trees.into_iter().chain(binaries).chain(built).chain(self.boxes.iter().map(|(_, part)| part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_makes_every_user_rebuild_changes_this_snapshot() {
        // Images, stores and boxes are left out: the probe's sources decide them as well.
        let told = Recipe::all().iter().map(|recipe| {
            let binaries = recipe.components().iter().map(|(it, part)| format!("  {part}  {}\n", it.name));
            let trees = [&recipe.node_debian, &recipe.cilium_debian, &recipe.vm_debian, &recipe.root];
            let trees: String = trees.map(|part| format!("  {part}\n")).concat();
            format!("{}\n{trees}{}", recipe.kubernetes, binaries.collect::<String>())
        });
        insta::assert_snapshot!(told.collect::<String>());
    }

    #[test]
    fn versions_share_only_artefacts_that_do_not_depend_on_kubernetes() {
        let [newest, other] = Recipe::all() else { panic!("there are two versions") };
        assert_eq!(newest.node_debian, other.node_debian);
        assert_eq!(newest.binaries("etcd"), other.binaries("etcd"));
        assert_ne!(newest.binaries("kubernetes"), other.binaries("kubernetes"));
        for (one, another) in [
            (&newest.root, &other.root),
            (&newest.store, &other.store),
            (newest.node_box(Provider::Libvirt), other.node_box(Provider::Libvirt)),
            (newest.node_box(Provider::Libvirt), newest.node_box(Provider::Virtualbox)),
        ] {
            assert_ne!(one, another);
        }
    }

    #[test]
    fn a_version_that_no_module_pins_has_no_recipe() {
        let refused = Recipe::of("v1.20.0").map(|_| ()).expect_err("it is not supported");
        assert!(matches!(refused, AssetsError::Version { .. }), "{refused}");
    }
}
