//! Builds packets that contain a nonce. Pure.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IcmpEchoHeader, Icmpv4Header,
    Icmpv4Type, PacketBuilder, TcpHeader,
};
use probe::{Nonce, Overlay};

use super::ip::{number, seal};

/// Source and destination of a flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The source.
    pub(crate) from: SocketAddrV4,
    /// The destination.
    pub(crate) to: SocketAddrV4,
}

/// The nonce and a line feed, repeated up to `size` bytes, so that each fragment of a packet contains a whole nonce. At
/// least one nonce, even if `size` is smaller.
pub(crate) fn filled(nonce: &Nonce, size: usize) -> Vec<u8> {
    let one = format!("{nonce}\n");
    one.bytes().cycle().take(size.max(one.len())).collect()
}

/// An ICMP echo request without its IP header (RFC 792).
pub(crate) fn echo4(sequence: u16, data: &[u8]) -> Vec<u8> {
    let kind = Icmpv4Type::EchoRequest(IcmpEchoHeader { id: std::process::id() as u16, seq: sequence });
    let mut packet = Icmpv4Header::with_checksum(kind, data).to_bytes().to_vec();
    packet.extend_from_slice(data);
    packet
}

/// An ICMPv6 echo request (RFC 4443, section 4.1) without its IP header; the kernel fills in the checksum (RFC 3542,
/// section 3.1).
pub(crate) fn echo6(sequence: u16, data: &[u8]) -> Vec<u8> {
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let [first, last] = sequence.to_be_bytes();
    [&[128, 0, 0, 0, high, low, first, last], data].concat()
}

/// A broadcast frame that asks for the owner of an address (RFC 826), with the nonce as its trailer. An `own` address
/// of 0.0.0.0 claims no address (RFC 5227, section 1.1).
pub(crate) fn arp_request(nonce: &Nonce, mac: [u8; 6], own: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let ether = Ethernet2Header { source: mac, destination: [0xff; 6], ether_type: EtherType::ARP };
    let question = ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: mac,
        sender_ipv4: own.octets(),
        target_mac: [0; 6],
        target_ipv4: target.octets(),
    };
    let mut frame = ether.to_bytes().to_vec();
    frame.extend_from_slice(&ArpPacket::from(question).to_bytes());
    frame.extend_from_slice(nonce.as_str().as_bytes());
    frame
}

/// A neighbour solicitation without its IP header (RFC 4861, section 4.3). The nonce is in an option whose type is
/// reserved for experiments (253, RFC 4727): receivers must skip options that they do not know.
pub(crate) fn neighbour_solicitation(nonce: &Nonce, mac: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    let mut packet = vec![135, 0, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&target.octets());
    with_options(packet, nonce, mac)
}

/// A router advertisement without its IP header (RFC 4861, section 4.2). A lifetime of 0 means that the sender is no
/// default router, and 0 in all other fields that nothing is specified, so receivers change nothing.
pub(crate) fn router_advertisement(nonce: &Nonce, mac: [u8; 6]) -> Vec<u8> {
    let mut packet = vec![134];
    packet.resize(16, 0);
    with_options(packet, nonce, mac)
}

/// Appends the options of neighbour discovery: the sender's link-layer address, and the nonce.
fn with_options(mut packet: Vec<u8>, nonce: &Nonce, mac: [u8; 6]) -> Vec<u8> {
    packet.extend_from_slice(&[1, 1]); // source link-layer address, one unit of 8 bytes
    packet.extend_from_slice(&mac);
    packet.extend_from_slice(&[253, 3]);
    packet.extend_from_slice(nonce.as_str().as_bytes());
    packet.resize(packet.len().next_multiple_of(8), 0);
    packet
}

/// The solicited-node multicast address of a neighbour (RFC 4291, section 2.7.1).
pub(crate) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | target.to_bits() & 0x00ff_ffff)
}

/// A SYN with the nonce as its data (RFC 9293, section 3.4) without its IP header.
pub(crate) fn syn(nonce: &Nonce, from: SocketAddr, to: SocketAddr, sequence: u32) -> Vec<u8> {
    const CHECKSUM: usize = 16;
    let mut header = TcpHeader::new(from.port(), to.port(), sequence, 64240);
    header.syn = true;
    let mut segment = Vec::with_capacity(20 + Nonce::LENGTH);
    segment.extend_from_slice(&header.to_bytes());
    segment.extend_from_slice(nonce.as_str().as_bytes());
    seal(from.ip(), to.ip(), number::TCP, &mut segment, CHECKSUM);
    segment
}

/// A port that no service uses, so an answer to it comes from the target's network stack.
pub(crate) const UNUSED_PORT: u16 = 36412;

/// The verification tag that the target must use in its answer.
pub(crate) const INITIATE_TAG: u32 = 0x686c_3101;

/// An SCTP packet with an INIT chunk (RFC 9260, sections 3.1 and 3.3.2). The nonce is in a parameter whose type tells
/// the receiver to skip it without a report (section 3.2.1).
pub(crate) fn sctp_init(nonce: &Nonce, from: u16, to: u16) -> Vec<u8> {
    let text = nonce.as_str().as_bytes();
    let parameter_length = 4 + text.len() as u16;
    let chunk_length = 20 + parameter_length;
    let mut packet = Vec::new();
    packet.extend_from_slice(&from.to_be_bytes());
    packet.extend_from_slice(&to.to_be_bytes());
    packet.extend_from_slice(&[0; 8]); // no verification tag yet; the checksum is filled in below
    packet.extend_from_slice(&[1, 0]);
    packet.extend_from_slice(&chunk_length.to_be_bytes());
    packet.extend_from_slice(&INITIATE_TAG.to_be_bytes());
    packet.extend_from_slice(&65535_u32.to_be_bytes()); // receiver window
    packet.extend_from_slice(&[0, 1, 0, 1]); // one stream in each direction
    packet.extend_from_slice(&1_u32.to_be_bytes()); // initial TSN
    packet.extend_from_slice(&0xbf01_u16.to_be_bytes());
    packet.extend_from_slice(&parameter_length.to_be_bytes());
    packet.extend_from_slice(text);
    packet.resize(packet.len().next_multiple_of(4), 0);
    // RFC 9260, appendix A: the CRC's bytes are in reverse of network order.
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

/// SCTP's checksum (RFC 9260, appendix A), computed bit by bit, because an INIT is short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78; // 0x1edc6f41 with its bits reversed
    let step = |crc: u32| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// The payload of the outer UDP datagram: the overlay's header (network 1, as flannel uses), an Ethernet broadcast
/// frame and a datagram with the nonce.
pub(crate) fn overlay(nonce: &Nonce, overlay: Overlay, inner: Ends) -> Vec<u8> {
    let mut packet = match overlay {
        Overlay::Vxlan => vec![0x08, 0, 0, 0, 0, 0, 1, 0], // RFC 7348, section 5: the flag that the VNI is valid
        Overlay::Geneve => vec![0, 0, 0x65, 0x58, 0, 0, 1, 0], // RFC 8926, section 3.4: the payload is Ethernet
    };
    let mac = [0x02, 0x68, 0x6c, 0x31, 0, 1]; // locally administered, of no device
    let builder = PacketBuilder::ethernet2(mac, [0xff; 6])
        .ipv4(inner.from.ip().octets(), inner.to.ip().octets(), 64)
        .udp(inner.from.port(), inner.to.port());
    let written = builder.write(&mut packet, nonce.as_str().as_bytes());
    debug_assert!(written.is_ok(), "a nonce fits into a datagram, and writing to a vector cannot fail");
    packet
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn nonce() -> Nonce {
        Nonce::new(0x00c0_ffee, 1)
    }

    fn ends() -> Ends {
        let (from, to) = (Ipv4Addr::new(192, 168, 48, 1), Ipv4Addr::new(192, 168, 48, 2));
        Ends { from: SocketAddrV4::new(from, 4000), to: SocketAddrV4::new(to, 22) }
    }

    #[test]
    fn a_payload_is_as_long_as_asked_and_has_a_whole_nonce_in_each_fragment() {
        assert_eq!(filled(&nonce(), 0), b"hl1-00c0ffee-000001\n");
        let long = filled(&nonce(), 4000);
        assert_eq!(long.len(), 4000);
        assert!(long.chunks(1480).all(|fragment| !Nonce::find_all(fragment).is_empty()));
    }

    #[test]
    fn a_syn_parses_with_a_sound_checksum_and_the_nonce_as_its_data() {
        let segment = syn(&nonce(), ends().from.into(), ends().to.into(), 7);
        let (header, data) = TcpHeader::from_slice(&segment).unwrap();
        assert!(header.syn && !header.ack && header.sequence_number == 7);
        assert_eq!((header.source_port, header.destination_port), (4000, 22));
        assert_eq!(Nonce::parse(data), Some(nonce()));
        let ip = etherparse::Ipv4Header::new(
            0,
            64,
            etherparse::IpNumber::TCP,
            [192, 168, 48, 1],
            [192, 168, 48, 2],
        );
        assert_eq!(header.checksum, header.calc_checksum_ipv4(&ip.unwrap(), data).unwrap());
    }

    #[test]
    fn an_arp_request_parses_and_ends_with_the_nonce() {
        let frame = arp_request(&nonce(), [2; 6], *ends().from.ip(), *ends().to.ip());
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP: {packet:?}") };
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!((arp.sender_hw_addr(), arp.sender_protocol_addr()), (&[2; 6][..], &[192, 168, 48, 1][..]));
        assert_eq!(arp.target_protocol_addr(), [192, 168, 48, 2]);
        assert_eq!(Nonce::parse(&frame[frame.len() - Nonce::LENGTH..]), Some(nonce()));
    }

    #[test]
    fn packets_of_neighbour_discovery_have_only_whole_options() {
        let target = "fe80::12:3456".parse().unwrap();
        let solicitation = neighbour_solicitation(&nonce(), [2; 6], target);
        assert_eq!(solicitation[8..24], target.octets());
        let advertisement = router_advertisement(&nonce(), [2; 6]);
        assert_eq!(
            (advertisement[0], &advertisement[1..16]),
            (134, &[0; 15][..]),
            "a router advertisement that announces nothing"
        );
        for (packet, header) in [(solicitation, 24), (advertisement, 16)] {
            let mut options = &packet[header..];
            let mut kinds = Vec::new();
            while let [kind, length, ..] = options {
                kinds.push(*kind);
                options = &options[usize::from(*length) * 8..];
            }
            assert_eq!((kinds, options), (vec![1, 253], &[][..]));
            assert_eq!(Nonce::find_all(&packet), [nonce()]);
        }
        assert_eq!(solicited_node(target), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn an_overlay_packet_has_a_frame_with_the_nonce_behind_eight_bytes() {
        for kind in [Overlay::Vxlan, Overlay::Geneve] {
            let packet = overlay(&nonce(), kind, ends());
            let inner = SlicedPacket::from_ethernet(&packet[8..]).unwrap();
            let Some(TransportSlice::Udp(udp)) = inner.transport else { panic!("no UDP: {inner:?}") };
            assert_eq!((udp.destination_port(), Nonce::parse(udp.payload())), (22, Some(nonce())));
            assert_eq!(packet[4..8], [0, 0, 1, 0], "the network's number");
        }
    }

    #[test]
    fn an_init_is_padded_and_its_checksum_is_that_of_the_packet_without_it() {
        let mut packet = sctp_init(&nonce(), 1, 2);
        assert_eq!((packet.len() % 4, packet[12], Nonce::find_all(&packet)), (0, 1, vec![nonce()]));
        let sum: [u8; 4] = packet[8..12].try_into().unwrap();
        packet[8..12].fill(0);
        assert_eq!(u32::from_le_bytes(sum), crc32c(&packet));
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32/ISCSI");
    }

    #[test]
    fn echo_requests_have_their_type_and_a_sound_checksum() {
        let packet = echo4(3, b"data");
        let (header, data) = Icmpv4Header::from_slice(&packet).unwrap();
        assert!(matches!(header.icmp_type, Icmpv4Type::EchoRequest(echo) if echo.seq == 3));
        assert_eq!((header.checksum, data), (header.icmp_type.calc_checksum(data), &b"data"[..]));
        assert_eq!(echo6(3, b"data")[..2], [128, 0]);
    }
}
