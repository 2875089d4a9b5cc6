//! Builds the disk of a node that is a VM, from the programs and the container store of the node image and a Debian
//! that boots.

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

/// The packages of the VM's Debian, one per line.
pub(super) const PACKAGES: &str = include_str!("../../../../assets/box/packages");
/// The script that makes the tree bootable; runs in the tree by `chroot`.
const PREPARE: &str = include_str!("../../../../assets/box/prepare.sh");
/// The script that makes a disk from the tree; runs outside of it.
const DISK: &str = include_str!("../../../../assets/box/disk.sh");
/// The disk's size in MiB. The node's programs and images take half of it; the other half is for pods and logs. Its
/// file on the host grows as the VM writes.
pub(super) const SIZE: u32 = 8192;

macro_rules! recipe {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../assets/box/", $path)))),*]
    };
}

/// Files that are added to the packages or replace theirs.
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

/// Folders of the container nodes' root that a VM has unchanged.
const SHARED: [&str; 4] = ["etc/service", "opt/cni", "usr/local/bin", "usr/local/share/cilium"];

/// The digest of the disk's inputs, given those of the node's root file system and container store.
pub(super) fn digest(root: &str, store: &str) -> String {
    let recipe: String = RECIPE.iter().map(|(path, text)| format!("{path}\n{text}")).collect();
    let parts = [PACKAGES, PREPARE, DISK, &recipe, VAGRANT_KEY, &SHARED.join(" "), &SIZE.to_string()];
    digest_of([root, store].into_iter().chain(parts))
}

/// Makes the raw disk in the folder `part`, and removes the tree from which it was made.
pub(super) async fn disk(
    cache: &Cache,
    recipe: &Recipe,
    node: &NodeImage,
    part: &Utf8Path,
    runner: &dyn Runner,
) -> Result<Utf8PathBuf, AssetsError> {
    let (debian, _) = root::debian(cache, &recipe.vm_debian, PACKAGES, runner).await?;
    let (tree, image) = (part.join("tree"), part.join("disk.raw"));
    let step = |source| AssetsError::Step { artefact: "the disk of a VM".to_owned(), source };
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

/// Copies a tree as hard links. Both trees are only read, and a file is written only after its link is removed.
fn linked(from: &Utf8Path, to: &Utf8Path) -> Command {
    let copy = Command::within(Duration::from_secs(120), "cp").args([
        "--archive",
        "--link",
        "--no-target-directory",
    ]);
    copy.args([from.as_str(), to.as_str()])
}
