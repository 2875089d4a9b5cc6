//! What a host needs before Vagrant can make machines on it, found all at once.

use std::time::Duration;

use crate::exec::{Command, Runner};

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
    if !rustix::process::geteuid().is_root() {
        // Said alone: the rest can only be found out as root.
        return vec![lack("root", "run the same command with sudo: the guard and the networks need it")];
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there =
        |name: &str| path.split(':').any(|folder| std::path::Path::new(folder).join(name).is_file());
    let missing = needed.iter().filter(|(program, _)| !is_there(program));
    missing.map(|(program, package)| lack(program, &format!("apt-get install {package}"))).collect()
}

/// A libvirt that does not answer.
pub(super) fn no_daemon() -> Lack {
    lack(
        "libvirtd: nobody answers at qemu:///system",
        "systemctl start libvirtd, or where no systemd runs: virtlogd --daemon && libvirtd --daemon; it comes with \
         `apt-get install libvirt-daemon-system`",
    )
}

/// Vagrant's plugin for libvirt, if it is missing. Asked last: it takes Vagrant a second or two.
pub(super) async fn plugin(host: &dyn Runner) -> Option<Lack> {
    let ask =
        Command::within(Duration::from_secs(120), "vagrant").args(["plugin", "list", "--machine-readable"]);
    let answer = host.run(&ask).await.map(|output| output.text()).unwrap_or_default();
    let remedy = "apt-get install vagrant-libvirt, or vagrant plugin install vagrant-libvirt";
    (!answer.contains("vagrant-libvirt")).then(|| lack("vagrant-libvirt", remedy))
}

fn lack(what: &str, remedy: &str) -> Lack {
    Lack { what: what.to_owned(), remedy: remedy.to_owned() }
}
