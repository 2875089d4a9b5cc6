//! The links of this network namespace with their addresses, from getifaddrs(3).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{LinkAddr, SockaddrStorage};

/// One link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: String,
    /// Its index and hardware address, as packet sockets take it.
    pub(crate) hardware: Option<LinkAddr>,
    /// Whether it is up.
    pub(crate) up: bool,
    /// Whether it is a loopback.
    pub(crate) loopback: bool,
    /// Its addresses with the lengths of their prefixes.
    pub(crate) addresses: Vec<(IpAddr, u32)>,
}

impl Link {
    /// Its number; 0, which no link has, if the kernel did not say.
    pub(crate) fn index(&self) -> u32 {
        self.hardware.and_then(|hardware| u32::try_from(hardware.ifindex()).ok()).unwrap_or(0)
    }

    /// Its hardware address, if it is of the Ethernet kind.
    pub(crate) fn mac(&self) -> Option<[u8; 6]> {
        const ETHER: u16 = 1; // ARPHRD_ETHER, linux/if_arp.h
        self.hardware.filter(|hardware| hardware.hatype() == ETHER).and_then(|hardware| hardware.addr())
    }

    /// Its first IPv4 address.
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|(address, _)| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// Its first IPv6 address.
    pub(crate) fn ipv6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    }
}

/// All links, by name.
pub(crate) fn all() -> io::Result<Vec<Link>> {
    let mut links: BTreeMap<String, Link> = BTreeMap::new();
    for entry in getifaddrs()? {
        let name = entry.interface_name;
        let link = links.entry(name.clone()).or_insert_with(|| Link {
            name,
            hardware: None,
            up: entry.flags.contains(InterfaceFlags::IFF_UP),
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            addresses: Vec::new(),
        });
        let Some(address) = entry.address else { continue };
        link.hardware = link.hardware.or_else(|| address.as_link_addr().copied());
        if let Some(ip) = ip(&address) {
            let bits = match entry.netmask.as_ref().and_then(self::ip) {
                Some(IpAddr::V4(mask)) => mask.to_bits().count_ones(),
                Some(IpAddr::V6(mask)) => mask.to_bits().count_ones(),
                None => 0,
            };
            link.addresses.push((ip, bits));
        }
    }
    Ok(links.into_values().collect())
}

/// The IP address in a socket's address.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
