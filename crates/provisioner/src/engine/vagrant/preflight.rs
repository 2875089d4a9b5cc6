//! The requirements for VMs made by Vagrant that both hypervisors share, and those of libvirt.

use camino::Utf8Path;

use crate::exec::is_installed;

use super::super::MissingRequirement;

/// A program, and the Debian package that it comes with.
pub(super) type Needed = (&'static str, &'static str);

/// The programs that VMs on libvirt need.
pub(super) const LIBVIRT: [Needed; 5] = [
    ("vagrant", "vagrant"),
    ("virsh", "libvirt-clients"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ssh", "openssh-client"),
    ("nft", "nftables"),
];

/// The missing ones of these programs, and root if this process does not run as root.
pub(super) fn programs(needed: &[Needed]) -> Vec<MissingRequirement> {
    let is_root = rustix::process::geteuid().is_root();
    let root = (!is_root)
        .then(|| lack("root", "run the same command with sudo: the guard and the networks need it"));
    let missing = needed.iter().filter(|(program, _)| !is_installed(program));
    let missing = missing.map(|(program, package)| lack(program, &format!("apt-get install {package}")));
    root.into_iter().chain(missing).collect()
}

/// The missing requirement where libvirt does not answer.
pub(super) fn no_daemon() -> MissingRequirement {
    lack(
        "libvirtd does not answer at qemu:///system",
        "systemctl start libvirtd, or without systemd: virtlogd --daemon && libvirtd --daemon; if it is not installed: \
         apt-get install libvirt-daemon-system",
    )
}

/// Vagrant's plugin for libvirt, if it is missing in `plugins`, the answer of `vagrant plugin list` with this
/// `VAGRANT_HOME`.
pub(super) fn plugin(plugins: &str, home: &Utf8Path) -> Option<MissingRequirement> {
    let remedy = format!(
        "apt-get install vagrant-libvirt, or VAGRANT_HOME={home} vagrant plugin install vagrant-libvirt: homelab does \
         not use ~/.vagrant.d"
    );
    (!plugins.contains("vagrant-libvirt")).then(|| lack("vagrant-libvirt", &remedy))
}

fn lack(what: &str, remedy: &str) -> MissingRequirement {
    MissingRequirement { what: what.to_owned(), remedy: remedy.to_owned() }
}
