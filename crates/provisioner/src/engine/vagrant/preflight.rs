//! What a host needs before Vagrant can make machines on it, found all at once.

use camino::Utf8Path;

use crate::exec::is_installed;

use super::super::Lack;

/// A program, and the Debian package that brings it.
pub(super) type Needed = (&'static str, &'static str);

/// What machines on libvirt take.
pub(super) const LIBVIRT: [Needed; 5] = [
    ("vagrant", "vagrant"),
    ("virsh", "libvirt-clients"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ssh", "openssh-client"),
    ("nft", "nftables"),
];

/// Those of these programs that are not there, and the rights to use them.
pub(super) fn programs(needed: &[Needed]) -> Vec<Lack> {
    let is_root = rustix::process::geteuid().is_root();
    let root = (!is_root)
        .then(|| lack("root", "run the same command with sudo: the guard and the networks need it"));
    let missing = needed.iter().filter(|(program, _)| !is_installed(program));
    let missing = missing.map(|(program, package)| lack(program, &format!("apt-get install {package}")));
    root.into_iter().chain(missing).collect()
}

/// A libvirt that does not answer.
pub(super) fn no_daemon() -> Lack {
    lack(
        "libvirtd: nobody answers at qemu:///system",
        "systemctl start libvirtd, or where no systemd runs: virtlogd --daemon && libvirtd --daemon; it comes with \
         `apt-get install libvirt-daemon-system`",
    )
}

/// Vagrant's plugin for libvirt, if it is not among those that a Vagrant with this home has.
pub(super) fn plugin(plugins: &str, home: &Utf8Path) -> Option<Lack> {
    let remedy = format!(
        "apt-get install vagrant-libvirt, or VAGRANT_HOME={home} vagrant plugin install vagrant-libvirt: a user's own \
         ~/.vagrant.d is not looked at"
    );
    (!plugins.contains("vagrant-libvirt")).then(|| lack("vagrant-libvirt", &remedy))
}

fn lack(what: &str, remedy: &str) -> Lack {
    Lack { what: what.to_owned(), remedy: remedy.to_owned() }
}
