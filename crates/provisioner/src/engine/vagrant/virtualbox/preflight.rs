//! The requirements for VMs on VirtualBox.

use std::fs;

use ipnet::Ipv4Net;

use crate::error::Hint;

use super::super::super::MissingRequirement;
use super::super::networks_conf;
use super::super::preflight::{Needed, programs};
use super::{VirtualBox, adapters, conf_at, error};

/// The address of VirtualBox's packages; Debian 12 has none.
pub(super) const DOWNLOADS: &str = "https://www.virtualbox.org/wiki/Linux_Downloads";
/// The commands that load its kernel modules.
pub(super) const LOAD: &str = "`modprobe --all vboxdrv vboxnetflt vboxnetadp`, or `/sbin/vboxconfig`, which builds them for this kernel";

/// The programs that VMs on VirtualBox need.
const PROGRAMS: [Needed; 4] = [
    ("vagrant", "vagrant"),
    ("VBoxManage", "virtualbox-7.0, from https://www.virtualbox.org/wiki/Linux_Downloads"),
    ("ssh", "openssh-client"),
    ("nft", "nftables"),
];
/// The kernel modules for VMs, for their networks, and for host-only adapters.
const MODULES: [&str; 3] = ["vboxdrv", "vboxnetflt", "vboxnetadp"];

impl VirtualBox {
    /// All requirements that this host does not meet. If programs are missing, only these: nothing else can be checked.
    pub(super) async fn lacks(&self) -> Vec<MissingRequirement> {
        let mut lacks = programs(&PROGRAMS);
        if !lacks.is_empty() {
            return lacks;
        }
        match self.tool.tell("read", "the version of VirtualBox", ["--version"]).await {
            Ok(answer) => lacks.extend(version(&answer)),
            Err(error) => {
                let what = crate::error::chain(&error);
                lacks.push(MissingRequirement {
                    what,
                    remedy: error.hint().unwrap_or_else(|| LOAD.to_owned()),
                });
            }
        }
        lacks.extend(modules(&fs::read_to_string("/proc/modules").unwrap_or_default()));
        match conf_at(&self.networks_conf) {
            Ok(conf) => lacks.extend(self.subnets.and_then(|subnets| ranges(conf.as_deref(), subnets))),
            Err(error) => {
                let remedy = format!("make {} readable", networks_conf::PATH);
                lacks.push(MissingRequirement { what: crate::error::chain(&error), remedy });
            }
        }
        lacks
    }
}

/// The missing requirement if VirtualBox is too old to seal VMs: `--nat-localhostreachable1` came with 7.0. Warnings
/// may come before the version. Pure.
fn version(answer: &str) -> Option<MissingRequirement> {
    let version =
        answer.lines().rev().map(str::trim).find(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let major: u32 = version.and_then(|version| version.split('.').next()?.parse().ok()).unwrap_or(0);
    (major < 7).then(|| MissingRequirement {
        what: format!("VirtualBox 7.0 (installed: {})", version.unwrap_or("unknown version")),
        remedy: DOWNLOADS.to_owned(),
    })
}

/// Reads an answer as a version, and as a list of modules.
#[cfg(feature = "fuzzing")]
pub(super) fn read(answer: &str) {
    drop(version(answer));
    drop(modules(answer));
}

/// The missing requirement if a kernel module is not in `loaded`, the text of `/proc/modules`. Pure.
fn modules(loaded: &str) -> Option<MissingRequirement> {
    let is_loaded = |module: &str| loaded.lines().any(|line| line.split(' ').next() == Some(module));
    let missing: Vec<&str> = MODULES.into_iter().filter(|module| !is_loaded(module)).collect();
    (!missing.is_empty()).then(|| MissingRequirement {
        what: format!("kernel modules {}", missing.join(", ")),
        remedy: LOAD.to_owned(),
    })
}

/// The missing requirement if VirtualBox allows no host-only network in the pool `subnets` at all. Pure.
fn ranges(conf: Option<&str>, subnets: Ipv4Net) -> Option<MissingRequirement> {
    let some = networks_conf::allowed(conf).into_iter().any(|range| adapters::overlap(range, subnets));
    (!some).then(|| MissingRequirement {
        what: format!("{} allows no host-only network in {subnets}", networks_conf::PATH),
        remedy: error::add(&networks_conf::lines_to_add(conf, subnets)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_requirements_are_reported_with_the_remedy() {
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let lacks = [
            version("6.1.50r161033\n"),
            version("WARNING: The vboxdrv kernel module is not loaded.\n"),
            modules("vboxdrv 663552 1 vboxnetflt, Live 0x0 (OE)\nkvm 1 0 - Live 0x0\n"),
            ranges(Some("* 10.0.0.0/8"), net("192.168.48.0/20")),
            ranges(None, net("10.99.0.0/16")),
        ];
        let lacks = lacks.map(|lack| lack.unwrap().to_string());
        insta::assert_snapshot!(lacks.join("\n"));
    }

    #[test]
    fn a_host_with_everything_misses_no_requirement() {
        let warned = "WARNING: The vboxdrv kernel module is not loaded.\n\n7.0.20r163906\n";
        assert_eq!(version(warned), None);
        assert_eq!(modules("vboxnetadp 1\nvboxnetflt 1\nvboxdrv 1\n"), None);
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        assert_eq!(ranges(None, net("192.168.48.0/20")), None, "half of the pool will do");
    }
}
