//! Parses captured packets: protocol, source and destination. A packet may be truncated, forged or no packet at all.
//! Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{
    ArpOperation, IpNumber, Ipv4HeaderSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, SlicedPacket,
    TransportSlice,
};

/// A packet's protocol, source and destination, as in [`probe::Arrival`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `arp`, `protocol 47`, `ethertype 0x88b5`.
    pub(crate) protocol: String,
    /// Address, with a port where there is one.
    pub(crate) from: Option<String>,
    /// Address, with a port where there is one.
    pub(crate) to: Option<String>,
}

/// Parses a frame of a link with this hardware type (linux/if_arp.h). Frames of links without Ethernet headers are bare
/// IP packets.
pub(crate) fn seen(frame: &[u8], hardware: u16) -> Seen {
    const ETHER: u16 = 1;
    const LOOPBACK: u16 = 772;
    let packet = if matches!(hardware, ETHER | LOOPBACK) {
        LaxSlicedPacket::from_ethernet(frame).ok()
    } else {
        LaxSlicedPacket::from_ip(frame).ok()
    };
    packet.map_or_else(|| Seen { protocol: "unknown".to_owned(), from: None, to: None }, |packet| of(&packet))
}

fn of(packet: &LaxSlicedPacket<'_>) -> Seen {
    let (protocol, from, to): (IpNumber, IpAddr, IpAddr) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (ip.payload().ip_number, header.source_addr().into(), header.destination_addr().into())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (ip.payload().ip_number, header.source_addr().into(), header.destination_addr().into())
        }
        Some(LaxNetSlice::Arp(arp)) => {
            return Seen {
                protocol: "arp".to_owned(),
                from: ipv4(arp.sender_protocol_addr()),
                to: ipv4(arp.target_protocol_addr()),
            };
        }
        None => return unknown(packet),
    };
    // Only a whole packet has ports. A fragment is reported with its addresses alone.
    let ports = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        _ => None,
    };
    let end = |address: IpAddr, port: Option<u16>| {
        Some(port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string()))
    };
    Seen {
        protocol: name(protocol),
        from: end(from, ports.map(|ports| ports.0)),
        to: end(to, ports.map(|ports| ports.1)),
    }
}

fn name(protocol: IpNumber) -> String {
    match protocol {
        IpNumber::ICMP => "icmp".to_owned(),
        IpNumber::TCP => "tcp".to_owned(),
        IpNumber::UDP => "udp".to_owned(),
        IpNumber::IPV6_ICMP => "icmpv6".to_owned(),
        IpNumber(number) => format!("protocol {number}"),
    }
}

/// A frame that is neither IP nor ARP: only its hardware addresses are known.
fn unknown(packet: &LaxSlicedPacket<'_>) -> Seen {
    let mac = |mac: [u8; 6]| Some(mac.map(|byte| format!("{byte:02x}")).join(":"));
    match &packet.link {
        Some(LinkSlice::Ethernet2(ether)) => Seen {
            protocol: format!("ethertype {:#06x}", ether.ether_type().0),
            from: mac(ether.source()),
            to: mac(ether.destination()),
        },
        _ => Seen { protocol: "unknown".to_owned(), from: None, to: None },
    }
}

fn ipv4(bytes: &[u8]) -> Option<String> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string())
}

/// The hardware address in an ARP reply for `target`, or `None` if the frame is no such reply.
pub(crate) fn arp_reply(frame: &[u8], target: Ipv4Addr) -> Option<String> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(etherparse::NetSlice::Arp(arp)) = packet.net else { return None };
    let fits = arp.operation() == ArpOperation::REPLY && arp.sender_protocol_addr() == target.octets();
    fits.then(|| arp.sender_hw_addr().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// The source of an IPv4 packet, and its payload. Raw sockets deliver packets with their IP header (raw(7)).
pub(crate) fn without_ip_header(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    Some((header.source_addr(), packet.get(header.slice().len()..)?))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use probe::Nonce;

    use super::*;
    use crate::packet::arp_request;

    fn text(seen: &Seen) -> (&str, &str, &str) {
        (&seen.protocol, seen.from.as_deref().unwrap_or_default(), seen.to.as_deref().unwrap_or_default())
    }

    #[test]
    fn packets_are_described_by_protocol_source_and_destination() {
        let (one, two) = ([192, 168, 48, 1], [192, 168, 48, 2]);
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(one, two, 64)
            .udp(1, 2)
            .write(&mut frame, b"x")
            .unwrap();
        assert_eq!(text(&seen(&frame, 1)), ("udp", "192.168.48.1:1", "192.168.48.2:2"));
        assert_eq!(text(&seen(&frame[14..], 65534)), ("udp", "192.168.48.1:1", "192.168.48.2:2"));

        let fragment = {
            let mut later = frame.clone();
            later[20..22].copy_from_slice(&185_u16.to_be_bytes()); // offset 185 × 8 = 1480 bytes
            later
        };
        assert_eq!(text(&seen(&fragment, 1)), ("udp", "192.168.48.1", "192.168.48.2"));

        let mut bare = Vec::new();
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(one, two, 64);
        ip.write(&mut bare, IpNumber(47), b"hl1").unwrap();
        assert_eq!(text(&seen(&bare, 1)), ("protocol 47", "192.168.48.1", "192.168.48.2"));

        let arp = arp_request(&Nonce::new(1, 1), [2; 6], one.into(), two.into());
        assert_eq!(text(&seen(&arp, 1)), ("arp", "192.168.48.1", "192.168.48.2"));
        assert_eq!(arp_reply(&arp, one.into()), None, "a request is no reply");
        let mut reply = arp.clone();
        reply[21] = 2;
        assert_eq!(arp_reply(&reply, one.into()), Some("02:02:02:02:02:02".to_owned()));
        assert_eq!(arp_reply(&reply, two.into()), None, "a reply for another address");

        let odd = [&[4; 6][..], &[2; 6], &[0x88, 0xb5], b"hl1"].concat();
        assert_eq!(text(&seen(&odd, 1)), ("ethertype 0x88b5", "02:02:02:02:02:02", "04:04:04:04:04:04"));
    }

    proptest::proptest! {
        #[test]
        fn no_frame_makes_the_witness_panic(frame: Vec<u8>, hardware: u16) {
            let seen = seen(&frame, hardware);
            proptest::prop_assert!(!seen.protocol.is_empty());
            arp_reply(&frame, Ipv4Addr::LOCALHOST);
            without_ip_header(&frame);
        }
    }
}
