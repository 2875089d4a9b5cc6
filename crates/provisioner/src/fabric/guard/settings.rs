//! The kernel's settings of our links: the values that they must have, and the values that they have.
//!
//! A link's own settings hold independently of the global switches that Docker, libvirt or a VPN set, with two
//! exceptions: some switches for all interfaces apply in addition to a link's own (`IN_DEV_ORCONF` in Linux), and a
//! write to `net.ipv4.ip_forward` resets `forwarding` of every interface.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::super::FabricError;

/// The closed values of a link's settings, by their path below `/proc/sys/net`; `*` stands for the link's name.
const CLOSED: [(&str, &str); 8] = [
    ("ipv4/conf/*/forwarding", "0"),
    ("ipv4/conf/*/rp_filter", "1"),
    ("ipv4/conf/*/arp_ignore", "1"),
    ("ipv4/conf/*/route_localnet", "0"),
    ("ipv4/conf/*/proxy_arp", "0"),
    ("ipv6/conf/*/forwarding", "0"),
    ("ipv6/conf/*/accept_ra", "0"),
    ("ipv6/conf/*/disable_ipv6", "1"),
];

/// The switches for all interfaces that open each interface, also against its own setting, with their closed values.
/// They are not part of the guard, and homelab does not change them.
const OPEN_ALL: [(&str, &str); 2] = [("ipv4/conf/all/route_localnet", "0"), ("ipv4/conf/all/proxy_arp", "0")];

/// The values of settings, by their path below `/proc/sys/net`.
pub(super) type Settings = BTreeMap<String, String>;

/// The closed values of the settings of these links. Pure.
pub(super) fn wanted(links: &BTreeSet<String>) -> Settings {
    let of = |link: &String| CLOSED.map(|(key, value)| (key.replace('*', link), value.to_owned()));
    links.iter().flat_map(of).collect()
}

/// The closed values of the global switches. Pure.
pub(super) fn wanted_of_all() -> Settings {
    OPEN_ALL.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The present values of the settings in `wanted`. A missing one is left out: its link was removed, or the kernel has
/// no IPv6.
pub(super) fn found(wanted: &Settings) -> Result<Settings, FabricError> {
    let mut found = Settings::new();
    for key in wanted.keys() {
        let path = path(key);
        match fs::read_to_string(&path) {
            Ok(value) => {
                found.insert(key.clone(), value.trim().to_owned());
            }
            Err(error) if is_gone(&error) => {}
            Err(source) => return Err(FabricError::Sysctl { path, source }),
        }
    }
    Ok(found)
}

/// Sets the closed values of a link. The kernel forgets them with the link, so this is repeated for a new link.
///
/// # Errors
/// [`FabricError::Sysctl`], also when the host has no such link.
pub(super) fn close(link: &str) -> Result<(), FabricError> {
    write(&wanted(&BTreeSet::from([link.to_owned()])))
}

/// Sets the closed values of all these links that still exist.
pub(super) fn close_all(links: &BTreeSet<String>) -> Result<(), FabricError> {
    for link in links {
        match close(link) {
            Err(FabricError::Sysctl { source, .. }) if is_gone(&source) => {}
            closed => closed?,
        }
    }
    Ok(())
}

/// Writes kernel settings below `/proc/sys/net` of the namespace that this thread is in.
pub(in crate::fabric) fn write(all: &Settings) -> Result<(), FabricError> {
    for (key, value) in all {
        let path = path(key);
        match fs::write(&path, value) {
            // A kernel without IPv6 does not have this setting.
            Err(error) if is_gone(&error) && key.starts_with("ipv6/") => {}
            Err(source) => return Err(FabricError::Sysctl { path, source }),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn path(key: &str) -> String {
    format!("/proc/sys/net/{key}")
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
