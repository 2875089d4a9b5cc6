//! The neighbours on a link: those that answer ARP or an echo request to all nodes, and those that the kernel knows.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etherparse::{LaxNetSlice, LaxSlicedPacket};
use nix::sys::socket::{MsgFlags, recv};
use probe::{Mac, Nonce, ProbeOutcome};
use socket2::{Domain, Protocol, Socket, Type};

use super::inlet::Inlet;
use super::outlet::{Outlet, ethernet_link};
use super::{Scan, rounds, run};
use crate::packet::{
    ALL_NODES, arp_request, echo6, ethernet, ip, link_local, neighbour_request, neighbours, number, seal,
};
use crate::prober::attempt::Attempt;

/// The largest net, as its prefix length.
const LARGEST: u8 = 20;

/// Asks each address of a net, and all IPv6 nodes.
pub(in crate::prober) async fn ask(
    attempt: &Attempt,
    link: &str,
    net: Ipv4Addr,
    prefix: u8,
) -> io::Result<ProbeOutcome> {
    if !(LARGEST..=32).contains(&prefix) {
        return Err(io::Error::other(format!("a /{prefix} is larger than a /{LARGEST}, or no net")));
    }
    let (outlet, own) = Outlet::frames(link)?;
    let link = ethernet_link(link)?.0;
    let six = link.addresses.iter().find_map(|(address, _)| match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
        _ => None,
    });
    let count = 1_u32 << (32 - prefix);
    let hops = Hops {
        nonce: attempt.nonce.clone(),
        mac: own,
        four: link.ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED),
        six: six.unwrap_or_else(|| link_local(own)),
        first: net.to_bits() & !(count - 1),
        count: count as usize,
        found: Mutex::default(),
    };
    let inlet = Inlet::neighbours(link.index())?;
    let outcome = run(attempt, &hops, rounds(hops.packets()), &outlet, Some(&inlet)).await?;
    let ProbeOutcome::Seen { boot, .. } = outcome else { return Ok(outcome) };
    hops.found().extend(known(link.index())?);
    Ok(ProbeOutcome::Seen { boot, lines: hops.lines() })
}

struct Hops {
    nonce: Nonce,
    mac: Mac,
    four: Ipv4Addr,
    six: Ipv6Addr,
    first: u32,
    count: usize,
    found: Mutex<BTreeSet<(IpAddr, Mac)>>,
}

impl Hops {
    fn found(&self) -> MutexGuard<'_, BTreeSet<(IpAddr, Mac)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, place: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first | place as u32)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.found().iter().map(|(address, mac)| format!("{address} {mac}")).collect();
        lines.sort();
        lines
    }
}

impl Scan for Hops {
    fn packets(&self) -> usize {
        self.count + 1
    }

    fn packet(&self, place: usize) -> Vec<u8> {
        const IPV6: u16 = 0x86dd;
        const GROUP: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]); // RFC 2464, section 7
        if place < self.count {
            return arp_request(&self.nonce, self.mac.0, self.four, self.address(place));
        }
        let (from, to) = (self.six.into(), ALL_NODES.into());
        let mut echo = echo6(1, self.nonce.as_str().as_bytes());
        seal(from, to, number::ICMPV6, &mut echo, 2);
        ethernet(GROUP, self.mac, IPV6, &ip(from, to, number::ICMPV6, &echo))
    }

    fn is_answered(&self, place: usize) -> bool {
        let address = IpAddr::V4(self.address(place));
        place < self.count
            && self.found().range((address, Mac([0; 6]))..=(address, Mac::BROADCAST)).next().is_some()
    }

    fn hear(&self, frame: &[u8]) {
        if let Some((address, mac)) = neighbour(frame)
            && mac != self.mac
        {
            self.found().insert((address, mac));
        }
    }

    fn outcome(&self) -> Option<ProbeOutcome> {
        Some(ProbeOutcome::Seen { boot: None, lines: self.lines() })
    }
}

/// The sender of a frame of ARP or ICMPv6, with its hardware address.
fn neighbour(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let source = Mac(frame.get(6..12)?.try_into().ok()?);
    let found: (IpAddr, Mac) = match LaxSlicedPacket::from_ethernet(frame).ok()?.net? {
        LaxNetSlice::Arp(arp) => {
            let address: [u8; 4] = arp.sender_protocol_addr().try_into().ok()?;
            (Ipv4Addr::from(address).into(), Mac(arp.sender_hw_addr().try_into().ok()?))
        }
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), source),
        LaxNetSlice::Ipv4(_) => return None,
    };
    (!found.0.is_unspecified()).then_some(found)
}

/// The kernel's neighbours on a link (rtnetlink(7), RTM_GETNEIGH).
fn known(link: u32) -> io::Result<Vec<(IpAddr, Mac)>> {
    const NETLINK: i32 = 16; // AF_NETLINK
    const ROUTE: i32 = 0; // NETLINK_ROUTE
    let socket = Socket::new(Domain::from(NETLINK), Type::RAW, Some(Protocol::from(ROUTE)))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?; // the kernel answers at once
    socket.send(&neighbour_request())?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let (some, is_last) = neighbours(&buffer[..length], link);
        found.extend(some);
        if is_last {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_asks_each_address_of_the_net_and_hears_every_sender() {
        let hops = Hops {
            nonce: Nonce::new(1, 1),
            mac: Mac([2; 6]),
            four: [192, 168, 48, 1].into(),
            six: link_local(Mac([2; 6])),
            first: Ipv4Addr::new(192, 168, 48, 0).to_bits(),
            count: 4,
            found: Mutex::default(),
        };
        let targets: Vec<Vec<u8>> = (0..4).map(|place| hops.packet(place)[38..42].to_vec()).collect();
        assert_eq!(targets, (0..4).map(|last| vec![192, 168, 48, last]).collect::<Vec<_>>());
        let six = hops.packet(4);
        assert_eq!(
            (&six[..6], Nonce::find_all(&six)),
            (&[0x33, 0x33, 0, 0, 0, 1][..], vec![Nonce::new(1, 1)])
        );
        hops.hear(&six);
        assert_eq!(hops.lines(), Vec::<String>::new(), "its own packet");
        let mut other = six;
        other[6..12].copy_from_slice(&[4; 6]);
        hops.hear(&other);
        hops.hear(&arp_request(&hops.nonce, [6; 6], Ipv4Addr::new(192, 168, 48, 2), hops.four));
        hops.hear(&arp_request(&hops.nonce, [6; 6], Ipv4Addr::UNSPECIFIED, hops.four));
        assert_eq!(
            hops.lines(),
            ["192.168.48.2 06:06:06:06:06:06", "fe80::2:2ff:fe02:202 04:04:04:04:04:04"]
        );
        assert!((0..5).map(|place| hops.is_answered(place)).eq([false, false, true, false, false]));
    }

    #[test]
    fn the_kernel_lists_its_neighbours_without_root() {
        known(1).unwrap(); // loopback has none
    }
}
