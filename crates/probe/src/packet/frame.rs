//! Builds Ethernet frames of every kind with a nonce. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe::{Mac, Nonce};

use super::build::arp_request;
use super::ip::{ip, number, udp};

/// The smallest frame without its checksum, in bytes (IEEE 802.3, clause 3.2.8). A nonce fits in.
const SMALLEST: usize = 60;
/// The EtherType for experiments on a link (IEEE 802, clause 9.2.3).
const EXPERIMENT: u16 = 0x88b5;
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// EtherType of a tag, and of the outer one of two tags (IEEE 802.1Q, 802.1ad).
const TAG: u16 = 0x8100;
const OUTER_TAG: u16 = 0x88a8;
/// The discard port (RFC 863).
const DISCARD: u16 = 9;

/// A kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An EtherType.
    Type(u16),
    /// One tag with this VLAN.
    Tagged(u16),
    /// Two tags with this VLAN.
    TwiceTagged(u16),
    /// A length in place of the EtherType, and this service access point (IEEE 802.2).
    Sap(u8),
}

/// A frame with this payload, and without padding.
pub(crate) fn ethernet(to: Mac, from: Mac, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(SMALLEST.max(14 + payload.len()));
    frame.extend_from_slice(&to.0);
    frame.extend_from_slice(&from.0);
    frame.extend_from_slice(&ether_type.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A frame of this kind with the nonce, padded to Ethernet's smallest frame.
pub(crate) fn framed(nonce: &Nonce, kind: Kind, to: Mac, from: Mac) -> Vec<u8> {
    let text = nonce.as_str().as_bytes();
    let tagged = |vlan: u16, inner: u16, rest: &[u8]| {
        [&(vlan & 0x0fff).to_be_bytes()[..], &inner.to_be_bytes(), rest].concat()
    };
    let datagram = |source: IpAddr, group: IpAddr| {
        let (from, to) = (SocketAddr::new(source, DISCARD), SocketAddr::new(group, DISCARD));
        ip(source, group, number::UDP, &udp(from, to, text))
    };
    let (ether_type, payload) = match kind {
        Kind::Type(ARP) => {
            let none = Ipv4Addr::UNSPECIFIED;
            (ARP, arp_request(nonce, from.0, none, none).split_off(14))
        }
        Kind::Type(IPV4) => (IPV4, datagram(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into())),
        Kind::Type(IPV6) => (IPV6, datagram(link_local(from).into(), ALL_NODES.into())),
        Kind::Type(tag @ (TAG | OUTER_TAG)) => (tag, tagged(0, EXPERIMENT, text)),
        Kind::Type(other) => (other, text.to_vec()),
        Kind::Tagged(vlan) => (TAG, tagged(vlan, EXPERIMENT, text)),
        Kind::TwiceTagged(vlan) => (OUTER_TAG, tagged(vlan, TAG, &tagged(vlan, EXPERIMENT, text))),
        Kind::Sap(sap) => {
            const UNNUMBERED: u8 = 0x03; // unnumbered information
            const SNAP: u8 = 0xaa;
            let mut packet = vec![sap, sap, UNNUMBERED];
            if sap == SNAP {
                packet.extend_from_slice(&[0, 0, 0]); // what follows is an EtherType (RFC 1042)
                packet.extend_from_slice(&EXPERIMENT.to_be_bytes());
            }
            packet.extend_from_slice(text);
            (packet.len() as u16, packet)
        }
    };
    let mut frame = ethernet(to, from, ether_type, &payload);
    if frame.len() < SMALLEST {
        frame.resize(SMALLEST, 0);
    }
    frame
}

/// All nodes on a link (RFC 4291, section 2.7.1).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The link-local address that a hardware address makes (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use etherparse::{LaxNetSlice, LaxSlicedPacket};

    use super::*;

    #[test]
    fn a_frame_of_every_kind_has_its_type_the_nonce_and_the_smallest_size() {
        let (nonce, to, from) = (Nonce::new(1, 1), Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 1]));
        for (kind, start) in [
            (Kind::Type(0x88b5), &[0x88, 0xb5, b'h'][..]),
            (Kind::Type(0x0600), &[6, 0, b'h']),
            (Kind::Type(0x0806), &[8, 6, 0, 1]),
            (Kind::Type(0x0800), &[8, 0, 0x45]),
            (Kind::Type(0x86dd), &[0x86, 0xdd, 0x60]),
            (Kind::Type(0x8100), &[0x81, 0, 0, 0, 0x88, 0xb5, b'h']),
            (Kind::Tagged(4094), &[0x81, 0, 0x0f, 0xfe, 0x88, 0xb5, b'h']),
            (Kind::TwiceTagged(7), &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 7, 0x88, 0xb5, b'h']),
            (Kind::Sap(0x42), &[0, 22, 0x42, 0x42, 3, b'h']),
            (Kind::Sap(0xaa), &[0, 27, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0xb5, b'h']),
        ] {
            let frame = framed(&nonce, kind, to, from);
            assert_eq!((&frame[..6], &frame[6..12]), (&to.0[..], &from.0[..]));
            assert!(frame[12..].starts_with(start), "{kind:?}: {:02x?}", &frame[12..]);
            assert_eq!((Nonce::find_all(&frame), frame.len() >= SMALLEST), (vec![nonce.clone()], true));
            let net = LaxSlicedPacket::from_ethernet(&frame).unwrap().net;
            match kind {
                Kind::Type(ARP) => assert!(matches!(net, Some(LaxNetSlice::Arp(_))), "{net:?}"),
                Kind::Type(IPV4) => assert!(matches!(net, Some(LaxNetSlice::Ipv4(_))), "{net:?}"),
                Kind::Type(IPV6) => assert!(matches!(net, Some(LaxNetSlice::Ipv6(_))), "{net:?}"),
                _ => assert_eq!(net, None),
            }
        }
        assert_eq!(link_local(from), "fe80::ff:fe00:1".parse::<Ipv6Addr>().unwrap());
    }
}
