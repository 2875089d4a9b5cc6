//! Receives what answers a scan: a packet socket with a filter.
//!
//! A packet socket (packet(7)) receives packets before the packet filter of the prober's own kernel, which might drop
//! answers to packets that it did not send by its own routes.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use socket2::{Domain, SockFilter, Type};
use tokio::time::{Instant, timeout_at};

use crate::arrivals::{
    self, ANY_BIT, EQUAL, EVERYTHING, HEADER_LENGTH, LINK, LOAD, LOAD_BYTE, LOAD_HALF, LOAD_HALF_BEHIND,
    PACKET_TYPE, RETURN,
};
use crate::packet::number;
use crate::prober::wire::Wire;

/// ETH_P_IP and ETH_P_IPV6, in network order as packet(7) wants them. A socket of one protocol receives no
/// outgoing packets.
const IPV4: i32 = 0x0800_u16.to_be() as i32;
const IPV6: i32 = 0x86dd_u16.to_be() as i32;
/// The most packets that are read before the deadline is checked.
const AT_ONCE: usize = 4096;
/// The longest packet that is read whole, in bytes.
const PACKET: usize = 4096;

/// A socket that receives answers.
#[derive(Debug)]
pub(super) struct Inlet {
    wire: Wire,
    /// The kernel's count of packets that the buffer had no room for.
    dropped: Cell<u32>,
}

/// Which packets may be answers. ICMP errors may, in any case.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Those of this protocol to this port.
    Port(u8, u16),
    /// Those from this address.
    From(IpAddr),
}

impl Inlet {
    /// Receives packets without their link-layer header, from all links.
    pub(super) fn open(family: IpAddr, wanted: Wanted) -> io::Result<Self> {
        let (kind, filter) = match family {
            IpAddr::V4(_) => (IPV4, filter4(wanted)),
            IpAddr::V6(_) => (IPV6, filter6(wanted)),
        };
        Self::of(Wire::open(Domain::PACKET, Type::DGRAM, Some(kind))?, &addressed(filter))
    }

    /// Receives the frames of ARP and ICMPv6 that arrive on a link, and those that leave from it.
    pub(super) fn neighbours(link: u32) -> io::Result<Self> {
        Self::of(Wire::open(Domain::PACKET, Type::RAW, Some(EVERYTHING))?, &neighbours(link))
    }

    fn of(wire: Wire, filter: &[SockFilter]) -> io::Result<Self> {
        wire.socket().attach_filter(filter)?;
        arrivals::make_room(wire.socket())?;
        Ok(Self { wire, dropped: Cell::new(0) })
    }

    /// Reads the packets that have arrived, up to [`AT_ONCE`] of them. Returns whether it read all.
    pub(super) fn drain(&self, mut hear: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut buffer = [0; PACKET];
        for _ in 0..AT_ONCE {
            match self.wire.try_receive(&mut buffer) {
                Ok((length, dropped)) => {
                    self.dropped.set(dropped.unwrap_or(self.dropped.get()));
                    hear(&buffer[..length.min(PACKET)]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                // A link that goes down causes one ENETDOWN.
                Err(error) if matches!(error.kind(), ErrorKind::NetworkDown | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Waits for a packet, at most until `end`.
    pub(super) async fn wait(&self, end: Instant) -> io::Result<()> {
        timeout_at(end, self.wire.readable()).await.unwrap_or(Ok(()))
    }

    /// How many packets the buffer had no room for, as far as the kernel has told: it does so with the next packet.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped.get()
    }
}

/// One step of a filter. Offsets count from the IP header, or from the Ethernet header for neighbours.
fn step(code: u16, yes: u8, no: u8, value: u32) -> SockFilter {
    SockFilter::new(code, yes, no, value)
}

/// A filter that ends with "accept" and "drop", in that order.
fn ending<const N: usize>(steps: [SockFilter; N]) -> Vec<SockFilter> {
    let ends = [step(RETURN, 0, 0, u32::MAX), step(RETURN, 0, 0, 0)];
    steps.into_iter().chain(ends).collect()
}

/// The filter without packets that are addressed to another system. A switch that does not know a scan's next hop floods
/// the whole scan to all ports, and no answer is among these packets.
fn addressed(filter: Vec<SockFilter>) -> Vec<SockFilter> {
    const OTHER_SYSTEM: u32 = 3; // PACKET_OTHERHOST, linux/if_packet.h
    let others = [step(LOAD, 0, 0, PACKET_TYPE), step(EQUAL, 0, 1, OTHER_SYSTEM), step(RETURN, 0, 0, 0)];
    others.into_iter().chain(filter).collect()
}

fn filter4(wanted: Wanted) -> Vec<SockFilter> {
    const PROTOCOL: u32 = 9;
    const OFFSET: u32 = 6;
    const SOURCE: u32 = 12;
    match wanted {
        Wanted::Port(protocol, port) => ending([
            step(LOAD_BYTE, 0, 0, PROTOCOL),
            step(EQUAL, 6, 0, number::ICMP.into()),
            step(EQUAL, 0, 6, protocol.into()),
            step(LOAD_HALF, 0, 0, OFFSET),
            step(ANY_BIT, 4, 0, 0x1fff), // a later fragment
            step(HEADER_LENGTH, 0, 0, 0),
            step(LOAD_HALF_BEHIND, 0, 0, 2),
            step(EQUAL, 0, 1, port.into()),
        ]),
        Wanted::From(IpAddr::V4(from)) => ending([
            step(LOAD_BYTE, 0, 0, PROTOCOL),
            step(EQUAL, 2, 0, number::ICMP.into()),
            step(LOAD, 0, 0, SOURCE),
            step(EQUAL, 0, 1, from.to_bits()),
        ]),
        Wanted::From(IpAddr::V6(_)) => ending([]),
    }
}

fn filter6(wanted: Wanted) -> Vec<SockFilter> {
    const NEXT_HEADER: u32 = 6;
    const SOURCE_END: u32 = 20;
    const PORT: u32 = 40 + 2;
    match wanted {
        Wanted::Port(protocol, port) => ending([
            step(LOAD_BYTE, 0, 0, NEXT_HEADER),
            step(EQUAL, 3, 0, number::ICMPV6.into()),
            step(EQUAL, 0, 3, protocol.into()),
            step(LOAD_HALF, 0, 0, PORT),
            step(EQUAL, 0, 1, port.into()),
        ]),
        Wanted::From(IpAddr::V6(from)) => ending([
            step(LOAD_BYTE, 0, 0, NEXT_HEADER),
            step(EQUAL, 2, 0, number::ICMPV6.into()),
            // The last four bytes suffice: `hear` compares the whole address.
            step(LOAD, 0, 0, SOURCE_END),
            step(EQUAL, 0, 1, from.to_bits() as u32),
        ]),
        Wanted::From(IpAddr::V4(_)) => ending([]),
    }
}

fn neighbours(link: u32) -> Vec<SockFilter> {
    const TYPE: u32 = 12;
    const NEXT_HEADER: u32 = 14 + 6;
    ending([
        step(LOAD, 0, 0, LINK),
        step(EQUAL, 0, 6, link),
        step(LOAD_HALF, 0, 0, TYPE),
        step(EQUAL, 3, 0, 0x0806),
        step(EQUAL, 0, 3, 0x86dd),
        step(LOAD_BYTE, 0, 0, NEXT_HEADER),
        step(EQUAL, 0, 1, number::ICMPV6.into()),
    ])
}
