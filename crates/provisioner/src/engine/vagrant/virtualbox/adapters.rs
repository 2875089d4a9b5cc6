//! Host-only adapters in VBoxManage's answers, and the marks that tell which of them belong to instances. Pure.
//!
//! VirtualBox numbers its adapters, gives a new adapter the address that belongs to its number, and uses a free number
//! again. So a name alone does not identify an adapter. The VMs on an adapter do not either: any user can attach a VM
//! to any adapter, and when an instance's adapter is to be removed, its VMs are gone. Therefore each adapter of ours
//! has a mark in VirtualBox's own settings (`setextradata global`), which all processes see and which are removed with
//! VirtualBox: the key `homelab/<scope>` has the adapter's name and address as its value. If an adapter has another
//! address than its mark, the name belongs to an adapter that is not ours by now.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::plan::InstanceId;

/// The prefix of the keys of marks.
const KEY: &str = "homelab/";

/// A host-only adapter, as `VBoxManage list hostonlyifs` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    pub(super) name: String,
    /// The host's address on it, with the prefix length; `None` if it has none.
    pub(super) address: Option<Ipv4Net>,
}

/// All adapters in the answer of `VBoxManage list hostonlyifs`.
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

/// The name in `Interface 'vboxnet0' was successfully created`; `None` unless it is `vboxnet` with a number, because
/// the name is used in commands and rules.
pub(super) fn created(answer: &str) -> Option<String> {
    let name = answer.split_once("Interface '")?.1.split_once('\'')?.0;
    let number = name.strip_prefix("vboxnet")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_owned())
}

/// Whether the answer of `VBoxManage list dhcpservers` has a DHCP server for this adapter.
pub(super) fn has_dhcp(answer: &str, adapter: &str) -> bool {
    let network = format!("HostInterfaceNetworking-{adapter}");
    let names = answer.lines().filter_map(|line| line.strip_prefix("NetworkName:"));
    names.map(str::trim).any(|name| name == network)
}

/// The mark of an adapter: the instance that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: InstanceId,
    pub(super) adapter: String,
    /// The host's address on the adapter; `None` while the adapter is being made.
    pub(super) address: Option<Ipv4Net>,
}

impl Mark {
    /// All marks in the answer of `VBoxManage getextradata global enumerate`, which has lines `Key: …, Value: …`.
    pub(super) fn all(answer: &str) -> Vec<Self> {
        let read = |line: &str| {
            let (scope, value) = line.strip_prefix("Key: ")?.strip_prefix(KEY)?.split_once(", Value: ")?;
            let mut words = value.split_whitespace();
            let (id, adapter) = (InstanceId::of_scope(scope)?, words.next()?.to_owned());
            Some(Self { id, adapter, address: words.next().and_then(|address| address.parse().ok()) })
        };
        answer.lines().filter_map(read).collect()
    }

    /// The key of an instance's mark: `homelab/homelab-8fc76b.acme`.
    pub(super) fn key(id: &InstanceId) -> String {
        format!("{KEY}{}", id.scope())
    }

    /// The value of the mark: `vboxnet0 192.168.60.1/24`, or the name alone.
    pub(super) fn value(&self) -> String {
        match self.address {
            Some(address) => format!("{} {address}", self.adapter),
            None => self.adapter.clone(),
        }
    }

    /// Whether this is the mark of the adapter: the names are equal, and the addresses if the mark has one.
    pub(super) fn is_of(&self, adapter: &Adapter) -> bool {
        self.adapter == adapter.name && (self.address.is_none() || self.address == adapter.address)
    }
}

/// Whether two networks have an address in common.
pub(super) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    let (a, b) = (a.trunc(), b.trunc());
    a.contains(&b) || b.contains(&a)
}
