//! Sends the packets of a scan: by the kernel's routes, or in frames to a neighbour.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{bind, setsockopt, sockopt};
use probe::{Mac, NextHop};
use socket2::{Domain, SockAddr, Type};
use tokio::time::sleep;

use crate::links::{self, Link};
use crate::packet::{ethernet, unspecified};
use crate::prober::wire::Wire;

/// IPPROTO_RAW: packets come with their IP header, and none is received (raw(7)).
const WITH_HEADER: i32 = 255;
/// EtherTypes.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// The pause while the link's queue is full.
const FULL: Duration = Duration::from_millis(1);

/// The destination of a scan, and the way there.
#[derive(Debug)]
pub(in crate::prober) struct Target {
    pub(in crate::prober) to: IpAddr,
    pub(in crate::prober) via: Option<NextHop>,
    pub(in crate::prober) from: Option<IpAddr>,
}

impl Target {
    /// The source address: the given one, or that of the link, or the one from which the kernel would send.
    pub(super) fn own(&self) -> io::Result<IpAddr> {
        if let Some(from) = self.from {
            let fits = from.is_ipv4() == self.to.is_ipv4();
            let wrong = || io::Error::other(format!("{from} cannot send to {}: another family", self.to));
            return fits.then_some(from).ok_or_else(wrong);
        }
        if let Some(via) = &self.via {
            let link = ethernet_link(&via.link)?.0;
            let own =
                if self.to.is_ipv4() { link.ipv4().map(IpAddr::V4) } else { link.ipv6().map(IpAddr::V6) };
            if let Some(own) = own {
                return Ok(own);
            }
        }
        let way = UdpSocket::bind((unspecified(self.to), 0))?;
        way.connect((self.to, 9))?; // sends nothing (udp(7))
        Ok(way.local_addr()?.ip())
    }

    /// The outlet towards this target.
    pub(super) fn outlet(&self) -> io::Result<Outlet> {
        match &self.via {
            Some(NextHop { link, mac }) => {
                let (wire, own) = bound(link)?;
                let ether_type = if self.to.is_ipv4() { IPV4 } else { IPV6 };
                Ok(Outlet { wire, header: ethernet(*mac, own, ether_type, &[]), is_resolving: false })
            }
            None => {
                let needs_a_link = matches!(self.to, IpAddr::V6(to) if to.is_unicast_link_local());
                if needs_a_link || self.to.is_multicast() {
                    return Err(io::Error::other(format!("{} needs a next hop", self.to)));
                }
                let to = SocketAddr::new(self.to, 0);
                let wire = Wire::open(Domain::for_address(to), Type::RAW, Some(WITH_HEADER))?;
                match self.to {
                    IpAddr::V4(to) => {
                        // Reports a packet that the link's queue drops (ip(7), IP_RECVERR).
                        setsockopt(wire.socket(), sockopt::Ipv4RecvErr, &true)?;
                        wire.socket().set_broadcast(to == Ipv4Addr::BROADCAST)?;
                    }
                    IpAddr::V6(_) => setsockopt(wire.socket(), sockopt::Ipv6RecvErr, &true)?,
                }
                wire.socket().connect(&SockAddr::from(to))?;
                Ok(Outlet { wire, header: Vec::new(), is_resolving: true })
            }
        }
    }
}

/// A socket that sends packets of a scan.
#[derive(Debug)]
pub(super) struct Outlet {
    wire: Wire,
    /// What is sent before each packet: an Ethernet header, or nothing.
    header: Vec<u8>,
    is_resolving: bool,
}

impl Outlet {
    /// Sends whole frames on a link, and returns the link's own hardware address.
    pub(super) fn frames(link: &str) -> io::Result<(Self, Mac)> {
        let (wire, own) = bound(link)?;
        Ok((Self { wire, header: Vec::new(), is_resolving: false }, own))
    }

    /// Whether the kernel may have to resolve the next hop's address first.
    pub(super) fn is_resolving(&self) -> bool {
        self.is_resolving
    }

    /// Sends all packets, and tells `sent` how many the kernel took, each time it takes some.
    pub(super) async fn send(&self, packets: &[Vec<u8>], sent: impl Fn(u32)) -> io::Result<()> {
        let mut rest = packets;
        while !rest.is_empty() {
            match self.wire.send_all(&self.header, rest).await {
                Ok(count) => {
                    sent(u32::try_from(count).unwrap_or(u32::MAX));
                    rest = &rest[count..];
                }
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => sleep(FULL).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A packet socket that sends on a link and receives nothing (packet(7): protocol 0), and the link's address.
fn bound(link: &str) -> io::Result<(Wire, Mac)> {
    let (link, own) = ethernet_link(link)?;
    let wire = Wire::open(Domain::PACKET, Type::RAW, Some(0))?;
    let hardware = link.hardware.ok_or_else(|| io::Error::other("the link has no hardware address"))?;
    bind(wire.socket().as_raw_fd(), &hardware)?;
    Ok((wire, own))
}

/// The Ethernet link of this name, and its hardware address.
pub(super) fn ethernet_link(name: &str) -> io::Result<(Link, Mac)> {
    let found = links::all()?.into_iter().find(|link| link.name == name);
    let found = found.and_then(|link| link.mac().map(|mac| (link, Mac(mac))));
    found.ok_or_else(|| io::Error::other(format!("{name} is not an Ethernet link here")))
}
