//! Builds Vagrant's boxes: a VM's disk in the provider's format, and the catalogue for `vagrant box add`.
//!
//! A box is named after the digest of its inputs, so that a name never has two meanings. Formats: vagrant-libvirt's
//! README ("Box Format") and Vagrant's documentation ("VirtualBox Boxes", OVF 1.0).

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::digest::digest_of;
use crate::exec::{Command, Runner};
use crate::request::Provider;

use super::cache::{Cache, failed};
use super::recipe::Recipe;
use super::sandbox::contained;
use super::{AssetsError, NodeImage, vm_disk};

/// The description of the VM that VirtualBox reads beside the disk.
const OVF: &str = include_str!("../../../../assets/box/box.ovf");

/// A box in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBox {
    /// Its name in Vagrant's store: `homelab/` and the first 16 digits of its digest.
    pub name: String,
    /// Its version in Vagrant's store: that of Kubernetes, without the `v`.
    pub version: String,
    /// The file that `vagrant box add` takes.
    pub catalogue: Utf8PathBuf,
    /// The disk in the box, in the provider's format.
    pub disk: Utf8PathBuf,
}

impl NodeBox {
    /// Its names and paths, whether it is built or not.
    pub(super) fn in_cache(cache: &Cache, recipe: &Recipe, provider: Provider) -> Self {
        let part = recipe.node_box(provider);
        let folder = cache.path(part);
        Self {
            name: format!("homelab/{}", part.key()),
            version: recipe.kubernetes.trim_start_matches('v').to_owned(),
            catalogue: folder.join("box.json"),
            disk: folder.join(disk_name(provider)),
        }
    }
}

fn disk_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Libvirt => "box.img",
        Provider::Virtualbox => "box.vmdk",
    }
}

/// The digest of a box's inputs, given that of the disk.
pub(super) fn digest(disk: &str, provider: Provider) -> String {
    let files: String = files(provider).into_iter().map(|(name, text)| format!("{name}\n{text}")).collect();
    digest_of([disk, provider.as_str(), &files, &convert("".into(), "".into(), provider).to_string()])
}

/// Builds a box if it is missing; returns whether it was in the cache.
pub(super) async fn build(
    cache: &Cache,
    recipe: &Recipe,
    provider: Provider,
    node: &NodeImage,
    runner: &dyn Runner,
) -> Result<bool, AssetsError> {
    let finished = NodeBox::in_cache(cache, recipe, provider);
    let make = async |part: &Utf8Path| {
        let step = |source| AssetsError::Step { artefact: format!("the box for {provider}"), source };
        let raw = vm_disk::disk(cache, recipe, node, part, runner).await?;
        runner.run(&convert(&raw, &part.join(disk_name(provider)), provider)).await.map_err(step)?;
        fs::remove_file(&raw).map_err(failed("remove", &raw))?;
        for (name, text) in files(provider) {
            let path = part.join(name);
            fs::write(&path, text).map_err(failed("write", &path))?;
        }
        seal(&finished, provider, part, runner).await
    };
    Ok(cache.artefact(recipe.node_box(provider), make).await?.1)
}

/// Packs the files of a box into the archive for Vagrant, and writes the catalogue with the archive's path.
pub(super) async fn seal(
    finished: &NodeBox,
    provider: Provider,
    part: &Utf8Path,
    runner: &dyn Runner,
) -> Result<(), AssetsError> {
    let step = |source| AssetsError::Step { artefact: format!("the box for {provider}"), source };
    let names = files(provider).into_iter().map(|(name, _)| name);
    let archive = Command::within(Duration::from_secs(300), "tar").args(["--create", "--file", "node.box"]);
    let archive = archive.arg(disk_name(provider)).args(names).in_directory(part.as_str());
    runner.run(&archive).await.map_err(step)?;
    let path = part.join("box.json");
    let folder = finished.catalogue.parent().unwrap_or(part);
    fs::write(&path, catalogue(finished, provider, folder)).map_err(failed("write", &path))
}

/// Converts the disk to a provider's format, compressed: it is stored three times on its way to a VM, and each VM reads
/// it once.
fn convert(raw: &Utf8Path, to: &Utf8Path, provider: Provider) -> Command {
    let format: &[&str] = match provider {
        Provider::Libvirt => &["-c", "-o", "compression_type=zstd", "-O", "qcow2"],
        Provider::Virtualbox => &["-o", "subformat=streamOptimized", "-O", "vmdk"],
    };
    let convert = Command::within(Duration::from_secs(600), "qemu-img").args(["convert", "-W", "-m", "4"]);
    contained(&convert.args(format.iter().copied()).args([raw.as_str(), to.as_str()]))
}

/// The files in a box beside the disk, with their contents.
fn files(provider: Provider) -> Vec<(&'static str, String)> {
    let metadata = match provider {
        Provider::Libvirt => {
            json!({ "provider": "libvirt", "format": "qcow2", "virtual_size": vm_disk::SIZE / 1024 })
        }
        Provider::Virtualbox => json!({ "provider": "virtualbox" }),
    };
    let mut files = vec![
        ("metadata.json", format!("{metadata:#}\n")),
        // Empty: all settings are in the instance's Vagrantfile.
        ("Vagrantfile", "Vagrant.configure(\"2\") do |config|\nend\n".to_owned()),
    ];
    if provider == Provider::Virtualbox {
        let bytes = u64::from(vm_disk::SIZE) << 20;
        files.push(("box.ovf", OVF.replace("@BYTES@", &bytes.to_string())));
    }
    files
}

/// The catalogue for `vagrant box add`: name, version and URL of the archive (Vagrant's documentation, "Box Metadata").
fn catalogue(node_box: &NodeBox, provider: Provider, folder: &Utf8Path) -> String {
    let catalogue = json!({
        "name": node_box.name,
        "versions": [{
            "version": node_box.version,
            "providers": [{ "name": provider.as_str(), "url": format!("file://{folder}/node.box") }],
        }],
    });
    format!("{catalogue:#}\n")
}
