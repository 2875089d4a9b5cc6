//! Builds whole IP packets for scans, and parses what answers them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

/// IANA numbers of protocols that have a header of their own in a scan.
pub(crate) mod number {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

/// A packet with this header and payload. Both addresses must be of one family.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    const HOPS: u8 = 64;
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (20 + payload.len() as u16).to_be_bytes();
            // RFC 791, section 3.1: version and length, DF, no options.
            packet.extend_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            let sum = folded(added(0, &packet)).to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
        }
        (from, to) => {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            packet.extend_from_slice(&[0x60, 0, 0, 0, high, low, protocol, HOPS]); // RFC 8200, section 3
            packet.extend_from_slice(&six(from).octets());
            packet.extend_from_slice(&six(to).octets());
        }
    }
    packet.extend_from_slice(payload);
    packet
}

fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Writes the checksum of TCP, UDP or ICMPv6 to `place` in a segment whose checksum is 0: the sum over a pseudo header
/// and the segment (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(crate) fn seal(from: IpAddr, to: IpAddr, protocol: u8, segment: &mut [u8], place: usize) {
    let ends = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => added(added(0, &from.octets()), &to.octets()),
        (from, to) => added(added(0, &six(from).octets()), &six(to).octets()),
    };
    let sum = added(ends + u32::from(protocol) + segment.len() as u32, segment);
    // RFC 768: a UDP checksum of 0 would mean that there is none.
    let sum = if folded(sum) == 0 { 0xffff } else { folded(sum) };
    segment[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Adds bytes to an Internet checksum (RFC 1071).
fn added(sum: u32, bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(2);
    let whole: u32 = words.by_ref().map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    sum + whole + words.remainder().first().map_or(0, |last| u32::from(*last) << 8)
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    !((once & 0xffff) + (once >> 16)) as u16
}

/// A UDP datagram (RFC 768) without its IP header.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + data.len());
    datagram.extend_from_slice(&from.port().to_be_bytes());
    datagram.extend_from_slice(&to.port().to_be_bytes());
    datagram.extend_from_slice(&(8 + data.len() as u16).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(data);
    seal(from.ip(), to.ip(), number::UDP, &mut datagram, 6);
    datagram
}

/// A received packet without its IP header. IPv6 extension headers are not skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) protocol: u8,
    /// May be incomplete: an ICMP error quotes only the start of a packet.
    pub(crate) payload: &'a [u8],
}

/// Parses a packet that begins with its IP header.
pub(crate) fn received(packet: &[u8]) -> Option<Received<'_>> {
    if packet.first()? >> 4 == 4 {
        let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
        let end = usize::from(header.total_len()).clamp(header.slice().len(), packet.len());
        let whole = header.fragments_offset().value() == 0;
        return whole.then(|| Received {
            from: header.source_addr().into(),
            to: header.destination_addr().into(),
            protocol: header.protocol().0,
            payload: &packet[header.slice().len()..end],
        });
    }
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    Some(Received {
        from: header.source_addr().into(),
        to: header.destination_addr().into(),
        protocol: header.next_header().0,
        payload: packet.get(header.slice().len()..)?,
    })
}

/// What an ICMP error says of the packet that it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No program listens on the port.
    Port,
    /// The system does not know the protocol.
    Protocol,
    /// A router, or the system itself, does not deliver the packet, for this reason.
    Unreachable(&'static str),
}

/// The refusal in an ICMP error (RFC 792, RFC 4443), and the packet that it quotes.
pub(crate) fn refusal<'a>(packet: &Received<'a>) -> Option<(Refusal, Received<'a>)> {
    const HEADER: usize = 8;
    let [kind, code] = *packet.payload.first_chunk()?;
    let refusal = match (packet.protocol, kind, code) {
        (number::ICMP, 3, 2) | (number::ICMPV6, 4, 1) => Refusal::Protocol,
        (number::ICMP, 3, 3) | (number::ICMPV6, 1, 4) => Refusal::Port,
        (number::ICMP, 3, 0 | 6 | 11) | (number::ICMPV6, 1, 0) => {
            Refusal::Unreachable("Network is unreachable")
        }
        (number::ICMP, 3, 9 | 10 | 13) | (number::ICMPV6, 1, 1 | 5 | 6) => {
            Refusal::Unreachable("Administratively prohibited")
        }
        (number::ICMP, 3, _) | (number::ICMPV6, 1, _) => Refusal::Unreachable("No route to host"),
        (number::ICMP, 11, _) | (number::ICMPV6, 3, _) => Refusal::Unreachable("Time to live exceeded"),
        _ => return None,
    };
    Some((refusal, received(packet.payload.get(HEADER..)?)?))
}

/// Source and destination port of TCP, UDP or SCTP, which stand first in all three.
pub(crate) fn ports(payload: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *payload.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The first address of a family's unspecified kind, for a socket of that family.
pub(crate) fn unspecified(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;

    fn pairs() -> [(SocketAddr, SocketAddr); 2] {
        let pair = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        [pair("192.168.48.1:4000", "192.168.48.2:53"), pair("[fd00::1]:4000", "[fd00::2]:53")]
    }

    #[test]
    fn a_datagram_of_either_family_parses_with_sound_checksums() {
        for (from, to) in pairs() {
            for data in [&b"nonce"[..], b"nonces"] {
                let packet = ip(from.ip(), to.ip(), number::UDP, &udp(from, to, data));
                let sliced = SlicedPacket::from_ip(&packet).unwrap();
                let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("{sliced:?}") };
                assert_eq!((udp.source_port(), udp.destination_port(), udp.payload()), (4000, 53, data));
                let header = udp.to_header();
                let sum = match (&sliced.net, from.ip(), to.ip()) {
                    (Some(etherparse::NetSlice::Ipv4(net)), ..) => {
                        let header = net.header().to_header();
                        assert_eq!(header.header_checksum, header.calc_header_checksum());
                        udp.to_header().calc_checksum_ipv4(&header, data)
                    }
                    (_, IpAddr::V6(from), IpAddr::V6(to)) => {
                        header.calc_checksum_ipv6_raw(from.octets(), to.octets(), data)
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(header.checksum, sum.unwrap());
                let got = received(&packet).unwrap();
                assert_eq!((got.from, got.to, got.protocol), (from.ip(), to.ip(), number::UDP));
                assert_eq!((ports(got.payload), &got.payload[8..]), (Some((4000, 53)), data));
            }
        }
    }

    #[test]
    fn an_error_names_the_packet_that_it_quotes() {
        for ((from, to), icmp, port, protocol, far) in [
            (pairs()[0], number::ICMP, [3, 3], [3, 2], [3, 13]),
            (pairs()[1], number::ICMPV6, [1, 4], [4, 1], [1, 1]),
        ] {
            let sent = ip(from.ip(), to.ip(), number::UDP, &udp(from, to, b"nonce"));
            for (kind, expected) in [
                (port, Some(Refusal::Port)),
                (protocol, Some(Refusal::Protocol)),
                (far, Some(Refusal::Unreachable("Administratively prohibited"))),
                ([8, 0], None),
            ] {
                let error = [&kind[..], &[0; 6], &sent[..sent.len() - 5]].concat();
                let packet = ip(to.ip(), from.ip(), icmp, &error);
                let packet = received(&packet).unwrap();
                let found = refusal(&packet);
                assert_eq!(found.map(|(refusal, _)| refusal), expected);
                if let Some((_, quoted)) = found {
                    assert_eq!(
                        (quoted.to, quoted.protocol, ports(quoted.payload)),
                        (to.ip(), 17, Some((4000, 53)))
                    );
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_a_prober(packet: Vec<u8>, first in proptest::sample::select(vec![0x45, 0x46, 0x60, 0])) {
            let packet: Vec<u8> = std::iter::once(first).chain(packet).collect();
            if let Some(packet) = received(&packet) {
                refusal(&packet);
                ports(packet.payload);
            }
        }
    }
}
