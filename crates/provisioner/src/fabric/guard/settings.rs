//! The kernel's settings of our links: what they must be, and what they are.
//!
//! A link's own settings hold whatever Docker, libvirt or a VPN do to the global switches, with two exceptions: some
//! switches for all interfaces hold beside a link's own (`IN_DEV_ORCONF` in Linux), and writing `net.ipv4.ip_forward`
//! resets `forwarding` of every interface.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::super::FabricError;

/// What is closed on a link, below `/proc/sys/net`; `*` is its name.
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

/// Switches for all interfaces that open each of them, whatever its own setting is. They are not ours to change.
const OPEN_ALL: [(&str, &str); 2] = [("ipv4/conf/all/route_localnet", "0"), ("ipv4/conf/all/proxy_arp", "0")];

/// Settings by their path below `/proc/sys/net`.
pub(super) type Settings = BTreeMap<String, String>;

/// What the settings of these links must be. Pure.
pub(super) fn wanted(links: &BTreeSet<String>) -> Settings {
    let of = |link: &String| CLOSED.map(|(key, value)| (key.replace('*', link), value.to_owned()));
    links.iter().flat_map(of).collect()
}

/// What the global switches must be. Pure.
pub(super) fn wanted_of_all() -> Settings {
    OPEN_ALL.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What those of `wanted` are. One that is not there is left out: its link has just gone, or the kernel lacks IPv6.
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

/// Closes what the host opens on a link of its own by default. The settings go with the link, so whoever makes it anew
/// closes them anew.
///
/// # Errors
/// [`FabricError::Sysctl`], also where there is no such link.
pub(super) fn close(link: &str) -> Result<(), FabricError> {
    write(&wanted(&BTreeSet::from([link.to_owned()])))
}

/// The same for all of these links that are still there.
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
            // A kernel without IPv6 has nothing to switch off.
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
