//! The record of what the guard was built for, across all homes of the host. A reboot removes both.
//!
//! Once only the kernel had this data, in the guard's own sets, and `nft flush ruleset` removed it together with the
//! guard. The record is changed under the guard's lock, and before the kernel is changed.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::files;

use super::super::FabricError;
use super::FOLDER;
use super::ruleset::{LINK_PREFIX, NamedLinks};

const FILE: &str = "/run/homelab/guard.json";

/// The pools and links for which the guard was built.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The ranges of the pools, which get `unreachable` routes.
    pub(super) pools: BTreeSet<Ipv4Net>,
    /// The links that the rules name.
    #[serde(flatten)]
    pub(super) told: NamedLinks,
    /// The links whose kernel settings were set to the closed values.
    pub(super) closed: BTreeSet<String>,
}

impl Record {
    /// Reads the record; `None` if there is none, or it is damaged: then the record is derived again from the host.
    pub(super) fn read() -> Result<Option<Self>, FabricError> {
        match fs::read(FILE) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Another program has changed the folder's mode, and this process is not root.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(source) => Err(failed("read", source)),
        }
    }

    /// Derives a record where there is none, as after an update of homelab or a removal of the file: from the host's
    /// links (name, and whether it is a bridge), the pools of one home, and the guard's sets in the kernel. `None` if
    /// there is no link of ours. Pure.
    pub(super) fn found(links: &[(String, bool)], pools: &[Ipv4Net], kernel: NamedLinks) -> Option<Self> {
        let all: BTreeSet<String> = links.iter().map(|(name, _)| name.clone()).collect();
        let ours = |(name, _): &&(String, bool)| name.starts_with(LINK_PREFIX);
        let mut told = kernel.still_in(&all);
        let bridges = links.iter().filter(ours).filter(|(_, is_bridge)| *is_bridge);
        told.bridges.extend(bridges.map(|(name, _)| name.clone()));
        let mut closed: BTreeSet<String> = links.iter().filter(ours).map(|(name, _)| name.clone()).collect();
        closed.extend(told.named.iter().cloned());
        (!closed.is_empty()).then(|| Self { pools: pools.iter().copied().collect(), told, closed })
    }

    /// A copy with only the links that are in `all`.
    pub(super) fn still_in(&self, all: &BTreeSet<String>) -> Self {
        let closed = self.closed.intersection(all).cloned().collect();
        Self { pools: self.pools.clone(), told: self.told.still_in(all), closed }
    }

    /// Replaces the file.
    pub(super) fn write(&self) -> Result<(), FabricError> {
        let text = serde_json::to_vec_pretty(self).expect("keys of a record are strings");
        fs::create_dir_all(FOLDER).map_err(|source| failed("write", source))?;
        // The file is readable by all: it has no secret, and `status` and `doctor` work for every user.
        files::replace_public(FILE.into(), &text).map_err(|error| failed("write", error.source))
    }

    /// Removes the file, if it exists.
    pub(super) fn remove() -> Result<(), FabricError> {
        match fs::remove_file(FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", error)),
            _ => Ok(()),
        }
    }
}

fn failed(attempt: &'static str, source: io::Error) -> FabricError {
    FabricError::Record { attempt, path: FILE.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_a_record_the_guarded_links_are_found_on_the_host() {
        let pools = ["192.168.48.0/20".parse().expect("a range")];
        let link = |name: &str, is_bridge| (name.to_owned(), is_bridge);
        let links =
            [link("eth0", false), link("hl-0a1b2c", false), link("hl-virt", true), link("vboxnet0", false)];
        let kernel = NamedLinks { named: set(&["vboxnet0", "vboxnet7"]), bridges: set(&["hl-gone"]) };
        let record = Record::found(&links, &pools, kernel).expect("links of ours are there");
        assert_eq!(record.told, NamedLinks { named: set(&["vboxnet0"]), bridges: set(&["hl-virt"]) });
        assert_eq!(record.closed, set(&["hl-0a1b2c", "hl-virt", "vboxnet0"]));
        assert_eq!(record.pools, BTreeSet::from(pools));
        assert_eq!(Record::found(&links[..1], &pools, NamedLinks::default()), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_drops_links_that_do_not_exist() {
        let record = Record {
            pools: BTreeSet::from(["10.96.0.0/12".parse().expect("a range")]),
            told: NamedLinks { named: set(&["vboxnet0"]), bridges: set(&["hl-virt"]) },
            closed: set(&["hl-virt", "vboxnet0"]),
        };
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), record);
        let left = record.still_in(&set(&["hl-virt", "eth0"]));
        assert_eq!(
            (left.told.named, left.told.bridges, left.closed),
            (set(&[]), set(&["hl-virt"]), set(&["hl-virt"]))
        );
    }
}
