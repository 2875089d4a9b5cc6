//! The disk of a node that is a virtual machine: the node's own programs and container store, and what a machine needs
//! beside them to boot.

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::digest_of;
use crate::exec::{Command, Runner};

use super::cache::{Cache, failed};
use super::pins::PAUSE_IMAGE;
use super::recipe::Recipe;
use super::root::{self, write};
use super::sandbox::contained;
use super::{AssetsError, NodeImage};

/// The packages of the machine's Debian, one a line.
pub(super) const PACKAGES: &str = include_str!("../../../../assets/box/packages");
/// What makes the tree one that boots, run in it.
const PREPARE: &str = include_str!("../../../../assets/box/prepare.sh");
/// What makes a disk of the tree, run beside it.
const DISK: &str = include_str!("../../../../assets/box/disk.sh");
/// The disk's size in MiB: the node's programs and images take half of it, pods and logs have the rest. It grows on the
/// host as it is written to.
pub(super) const SIZE: u32 = 8192;

macro_rules! recipe {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../assets/box/", $path)))),*]
    };
}

/// Files that are laid over the packages.
const RECIPE: [(&str, &str); 17] = recipe![
    "boot/grub/grub.cfg",
    "etc/containerd/config.toml",
    "etc/fstab",
    "etc/initramfs-tools/conf.d/homelab",
    "etc/initramfs-tools/modules",
    "etc/modules-load.d/homelab.conf",
    "etc/ssh/sshd_config.d/homelab.conf",
    "etc/sudoers.d/vagrant",
    "etc/sysctl.d/homelab.conf",
    "etc/systemd/journald.conf.d/homelab.conf",
    "etc/systemd/network/10-hypervisor.network",
    "etc/systemd/system-generators/emulated",
    "etc/systemd/system/containerd.service",
    "etc/systemd/system/host-keys.service",
    "etc/systemd/system/keepalived.service",
    "etc/systemd/system/kubelet.service",
    "etc/systemd/system/run-cilium-cgroupv2.mount",
];

/// Vagrant's well-known public key, which it expects in every box and replaces at the first boot.
const VAGRANT_KEY: &str = include_str!("../../../../assets/box/vagrant.pub");

/// What of the container nodes' root a machine has as it is.
const SHARED: [&str; 4] = ["etc/service", "opt/cni", "usr/local/bin", "usr/local/share/cilium"];

/// What decides the disk, beside the root file system and the store of nodes.
pub(super) fn digest(root: &str, store: &str) -> String {
    let recipe: String = RECIPE.iter().map(|(path, text)| format!("{path}\n{text}")).collect();
    let parts = [PACKAGES, PREPARE, DISK, &recipe, VAGRANT_KEY, &SHARED.join(" "), &SIZE.to_string()];
    digest_of([root, store].into_iter().chain(parts))
}

/// Makes the disk, raw, in a folder whose tree is removed again.
pub(super) async fn disk(
    cache: &Cache,
    recipe: &Recipe,
    node: &NodeImage,
    part: &Utf8Path,
    runner: &dyn Runner,
) -> Result<Utf8PathBuf, AssetsError> {
    let (debian, _) = root::debian(cache, &recipe.machine_debian, PACKAGES, runner).await?;
    let (tree, image) = (part.join("tree"), part.join("disk.raw"));
    let step = |source| AssetsError::Step { artefact: "the disk of a machine".to_owned(), source };
    runner.run(&linked(&debian, &tree)).await.map_err(step)?;
    for shared in SHARED {
        let (from, to) = (node.root.join(shared), tree.join(shared));
        fs::create_dir_all(&to).map_err(failed("make", &to))?;
        runner.run(&linked(&from, &to)).await.map_err(step)?;
    }
    let images = tree.join("var/lib/containerd");
    fs::create_dir_all(&images).map_err(failed("make", &images))?;
    runner.run(&linked(&node.containerd_store, &images)).await.map_err(step)?;
    for (path, text) in RECIPE {
        write(&tree.join(path), 0o644, &text.replace("@PAUSE_IMAGE@", PAUSE_IMAGE))?;
    }
    write(&tree.join("tmp/vagrant.pub"), 0o644, VAGRANT_KEY)?;
    for path in ["etc/resolv.conf", "etc/hostname"] {
        write(&tree.join(path), 0o644, "")?;
    }
    let prepare =
        Command::within(Duration::from_secs(300), "chroot").args([tree.as_str(), "sh", "-c", PREPARE]);
    runner.run(&contained(&prepare)).await.map_err(step)?;
    let make = Command::within(Duration::from_secs(300), "sh").args(["-c", DISK, "disk.sh"]);
    let make = make.args([tree.as_str(), image.as_str(), &SIZE.to_string()]);
    runner.run(&contained(&make)).await.map_err(step)?;
    fs::remove_dir_all(&tree).map_err(failed("remove", &tree))?;
    Ok(image)
}

/// Hard links to a tree's files at another place: both are only ever read, and what is written replaces its link first.
fn linked(from: &Utf8Path, to: &Utf8Path) -> Command {
    let copy = Command::within(Duration::from_secs(120), "cp").args([
        "--archive",
        "--link",
        "--no-target-directory",
    ]);
    copy.args([from.as_str(), to.as_str()])
}
