//! The links of this network namespace with their addresses, from getifaddrs(3).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_indextoname};
use nix::sys::socket::{LinkAddr, SockaddrStorage};

/// A network link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The link's name, such as `eth0`.
    pub(crate) name: String,
    /// Index and hardware address, in the form that packet sockets take.
    pub(crate) hardware: Option<LinkAddr>,
    /// Whether the link is up.
    pub(crate) up: bool,
    /// Whether the link is a loopback.
    pub(crate) loopback: bool,
    /// Addresses with their prefix lengths.
    pub(crate) addresses: Vec<(IpAddr, u32)>,
}

impl Link {
    /// The link's index, or 0, which no link has, if the kernel gave none.
    pub(crate) fn index(&self) -> u32 {
        self.hardware.and_then(|hardware| u32::try_from(hardware.ifindex()).ok()).unwrap_or(0)
    }

    /// The link's hardware address, if it is an Ethernet link.
    pub(crate) fn mac(&self) -> Option<[u8; 6]> {
        const ETHER: u16 = 1; // ARPHRD_ETHER, linux/if_arp.h
        self.hardware.filter(|hardware| hardware.hatype() == ETHER).and_then(|hardware| hardware.addr())
    }

    /// The link's first IPv4 address.
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|(address, _)| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// The link's first IPv6 address.
    pub(crate) fn ipv6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    }
}

/// All links, sorted by name.
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

/// The name of the link with this index. `None` if there is none.
pub(crate) fn name(index: u32) -> Option<String> {
    let name = if_indextoname(index).ok()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// Waits until a link, or every link, may send from its IPv6 addresses, that is, until duplicate address detection has
/// ended (RFC 4862, section 5.4). On a new link that takes one or two seconds.
pub(crate) async fn may_send(link: Option<&str>) -> io::Result<()> {
    const AGAIN: Duration = Duration::from_millis(50);
    while asks(&fs::read_to_string("/proc/net/if_inet6")?, link) {
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// Whether duplicate address detection is still running on a link, or on any link. `table` is `/proc/net/if_inet6`:
/// address, index, prefix length, scope, flags, name.
fn asks(table: &str, link: Option<&str>) -> bool {
    // Flags of linux/if_addr.h. An address that another node owns stays tentative for ever.
    const TENTATIVE: u32 = 0x40;
    const TAKEN: u32 = 0x08;
    table.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(4);
        let flags = words.next().and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        let name = words.next();
        (link.is_none() || name == link) && flags & (TENTATIVE | TAKEN) == TENTATIVE
    })
}

/// The IP address in a socket's address.
pub(crate) fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_address_detection_runs_while_an_address_is_tentative_and_has_not_failed() {
        let row = |flags: &str, name: &str| {
            format!("fe80000000000000000000fffe000001 05 40 20 {flags}    {name}\n")
        };
        for (flags, expected) in [("c0", true), ("80", false), ("c8", false), ("40", true)] {
            let table = row("80", "lo") + &row(flags, "eth0");
            assert_eq!(asks(&table, Some("eth0")), expected, "{flags}");
            assert_eq!(asks(&table, None), expected, "{flags}");
            assert!(!asks(&table, Some("eth1")), "{flags}");
        }
        assert!(!asks("", None));
    }
}
