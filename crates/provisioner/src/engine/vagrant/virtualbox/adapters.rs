//! Host-only adapters: what VBoxManage says of them, and the marks by which ours are known. Pure.
//!
//! VirtualBox names adapters by counting, gives a new one the address that belongs to its number, and hands a name out
//! again as soon as it is free. A name alone tells nothing, therefore. Nor does it help to look where machines of ours
//! are plugged in: anybody can plug one into his own adapter, and the removal comes when the machines are gone. So each
//! adapter of ours has a mark in VirtualBox's own memory (`setextradata global`), the same for all processes and gone
//! with VirtualBox itself: `homelab/<scope>` is its name and address. An adapter whose address is not the marked one is
//! somebody else's by now.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::plan::InstanceId;

/// How the keys of marks begin.
const KEY: &str = "homelab/";

/// A host-only adapter, as `VBoxManage list hostonlyifs` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    pub(super) name: String,
    /// The host's address in its network.
    pub(super) address: Option<Ipv4Net>,
}

/// All adapters.
pub(super) fn adapters(answer: &str) -> Vec<Adapter> {
    let mut adapters: Vec<Adapter> = Vec::new();
    let mut address: Option<Ipv4Addr> = None;
    for line in answer.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match (key, adapters.last_mut()) {
            ("Name", _) => adapters.push(Adapter { name: value.to_owned(), address: None }),
            ("IPAddress", _) => address = value.parse().ok(),
            ("NetworkMask", Some(adapter)) => {
                let mask: Option<Ipv4Addr> = value.parse().ok();
                adapter.address =
                    address.zip(mask).and_then(|(address, mask)| Ipv4Net::with_netmask(address, mask).ok());
                address = None;
            }
            _ => {}
        }
    }
    adapters
}

/// The name in `Interface 'vboxnet0' was successfully created`, if it is one that can be used anywhere.
pub(super) fn created(answer: &str) -> Option<String> {
    let name = answer.split_once("Interface '")?.1.split_once('\'')?.0;
    let number = name.strip_prefix("vboxnet")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_owned())
}

/// Whether `VBoxManage list dhcpservers` has one for this adapter.
pub(super) fn has_dhcp(answer: &str, adapter: &str) -> bool {
    let network = format!("HostInterfaceNetworking-{adapter}");
    let names = answer.lines().filter_map(|line| line.strip_prefix("NetworkName:"));
    names.map(str::trim).any(|name| name == network)
}

/// Which adapter an instance has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: InstanceId,
    pub(super) adapter: String,
    /// Nothing as long as the adapter is being made.
    pub(super) address: Option<Ipv4Net>,
}

impl Mark {
    /// All marks in `VBoxManage getextradata global enumerate`, one a line: `Key: …, Value: …`.
    pub(super) fn all(answer: &str) -> Vec<Self> {
        let read = |line: &str| {
            let (scope, value) = line.strip_prefix("Key: ")?.strip_prefix(KEY)?.split_once(", Value: ")?;
            let (adapter, address) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            let id = InstanceId::of_scope(scope)?;
            Some(Self { id, adapter: adapter.to_owned(), address: address.parse().ok() })
        };
        answer.lines().filter_map(read).collect()
    }

    /// Its key.
    pub(super) fn key(id: &InstanceId) -> String {
        format!("{KEY}{}", id.scope())
    }

    /// Its value.
    pub(super) fn value(&self) -> String {
        match self.address {
            Some(address) => format!("{} {address}", self.adapter),
            None => self.adapter.clone(),
        }
    }

    /// Whether it is the mark of this adapter, as it is now.
    pub(super) fn is_of(&self, adapter: &Adapter) -> bool {
        self.adapter == adapter.name && (self.address.is_none() || self.address == adapter.address)
    }
}

/// Whether two networks have an address in common.
pub(super) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    let (a, b) = (a.trunc(), b.trunc());
    a.contains(&b) || b.contains(&a)
}
