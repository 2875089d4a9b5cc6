//! Vagrant's boxes: the disk of a machine in the form that a provider takes, and the catalogue that names it.
//!
//! A box is named after the digest of everything in it, so that one name never means two things. Formats:
//! vagrant-libvirt's README ("Box Format") and Vagrant's documentation ("VirtualBox Boxes", OVF 1.0).

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::digest::digest_of;
use crate::exec::{Command, Runner};
use crate::spec::Provider;

use super::cache::{Cache, failed};
use super::recipe::Recipe;
use super::sandbox::contained;
use super::{AssetsError, NodeImage, machine};

/// What VirtualBox reads beside the disk.
const OVF: &str = include_str!("../../../../assets/box/box.ovf");

/// A box that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBox {
    /// Its name in Vagrant's store, `homelab/` and the digest of what it is made of.
    pub name: String,
    /// Its version there: that of Kubernetes, without the `v`.
    pub version: String,
    /// The file that `vagrant box add` takes.
    pub catalogue: Utf8PathBuf,
    /// The disk that is in it, in the provider's format.
    pub disk: Utf8PathBuf,
}

impl NodeBox {
    /// Where it is, finished or not.
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

/// What decides a box, beside the disk.
pub(super) fn digest(disk: &str, provider: Provider) -> String {
    let files: String = files(provider).into_iter().map(|(name, text)| format!("{name}\n{text}")).collect();
    digest_of([disk, provider.as_str(), &files, &convert("".into(), "".into(), provider).to_string()])
}

/// Builds a box; says whether it was there.
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
        let raw = machine::disk(cache, recipe, node, part, runner).await?;
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

/// Packs what a box consists of into the archive that Vagrant takes, and writes the catalogue that says where it is.
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

/// The disk in a provider's format, compressed: it is stored three times on its way to a machine, and read once by
/// each.
fn convert(raw: &Utf8Path, to: &Utf8Path, provider: Provider) -> Command {
    let format: &[&str] = match provider {
        Provider::Libvirt => &["-c", "-o", "compression_type=zstd", "-O", "qcow2"],
        Provider::Virtualbox => &["-o", "subformat=streamOptimized", "-O", "vmdk"],
    };
    let convert = Command::within(Duration::from_secs(600), "qemu-img").args(["convert", "-W", "-m", "4"]);
    contained(&convert.args(format.iter().copied()).args([raw.as_str(), to.as_str()]))
}

/// What is in a box beside the disk.
fn files(provider: Provider) -> Vec<(&'static str, String)> {
    let metadata = match provider {
        Provider::Libvirt => {
            json!({ "provider": "libvirt", "format": "qcow2", "virtual_size": machine::SIZE / 1024 })
        }
        Provider::Virtualbox => json!({ "provider": "virtualbox" }),
    };
    let mut files = vec![
        ("metadata.json", format!("{metadata:#}\n")),
        // Everything is in the instance's own.
        ("Vagrantfile", "Vagrant.configure(\"2\") do |config|\nend\n".to_owned()),
    ];
    if provider == Provider::Virtualbox {
        let bytes = u64::from(machine::SIZE) << 20;
        files.push(("box.ovf", OVF.replace("@BYTES@", &bytes.to_string())));
    }
    files
}

/// What `vagrant box add` reads: name, version, and where the archive is (Vagrant's documentation, "Box Metadata").
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
