//! Reads who sent a frame, from its headers alone. Cheap, because a witness does it for every frame. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe::Mac;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// The first EtherType; lower numbers are lengths (IEEE 802.3, clause 3.2.6).
const FIRST_TYPE: u16 = 0x0600;

/// The ends of a frame, as in [`probe::Peer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) mac: Option<Mac>,
    pub(crate) ether_type: u16,
    pub(crate) vlan: Option<u16>,
    pub(crate) from: Option<IpAddr>,
}

/// The ends of a frame with an Ethernet header, and the address to which it goes. `tag` is the tag control information
/// of a tag that the kernel has removed (packet(7), PACKET_AUXDATA).
pub(crate) fn of_frame(frame: &[u8], tag: Option<u16>) -> (Ends, Option<IpAddr>) {
    const VLAN: u16 = 0x0fff;
    let mac = frame.get(6..12).and_then(|mac| mac.try_into().ok()).map(Mac);
    let number = |place: usize| frame.get(place..place + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let (mut vlan, mut ether_type, mut payload) = (tag.map(|tag| tag & VLAN), number(12).unwrap_or(0), 14);
    while matches!(ether_type, 0x8100 | 0x88a8) && payload <= 18 {
        vlan = vlan.or_else(|| number(payload).map(|tag| tag & VLAN));
        (ether_type, payload) = (number(payload + 2).unwrap_or(0), payload + 4);
    }
    if ether_type < FIRST_TYPE {
        ether_type = 0;
    }
    let (from, to) = addresses(ether_type, frame.get(payload..).unwrap_or_default());
    (Ends { mac, ether_type, vlan, from }, to)
}

/// The ends of a packet without an Ethernet header.
pub(crate) fn of_packet(packet: &[u8], ether_type: u16) -> (Ends, Option<IpAddr>) {
    let (from, to) = addresses(ether_type, packet);
    (Ends { mac: None, ether_type, vlan: None, from }, to)
}

fn addresses(ether_type: u16, packet: &[u8]) -> (Option<IpAddr>, Option<IpAddr>) {
    let four = |place: usize| {
        let bytes: Option<[u8; 4]> = packet.get(place..place + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)))
    };
    let six = |place: usize| {
        let bytes: Option<[u8; 16]> = packet.get(place..place + 16).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)))
    };
    match ether_type {
        IPV4 => (four(12), four(16)),
        IPV6 => (six(8), six(24)),
        ARP => (four(14), four(24)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use probe::Nonce;

    use super::*;
    use crate::packet::{Kind, arp_request, framed};

    #[test]
    fn a_frame_has_a_sender_a_type_a_vlan_and_an_address_as_far_as_it_says() {
        let (nonce, to, mac) = (Nonce::new(1, 1), Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 1]));
        let none = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let own: IpAddr = "fe80::ff:fe00:1".parse().unwrap();
        for (kind, tag, ether_type, vlan, from) in [
            (Kind::Type(0x88b5), None, 0x88b5, None, None),
            (Kind::Type(0x88b5), Some(0x6007), 0x88b5, Some(7), None),
            (Kind::Type(IPV4), None, IPV4, None, Some(none)),
            (Kind::Type(IPV6), Some(5), IPV6, Some(5), Some(own)),
            (Kind::Tagged(9), None, 0x88b5, Some(9), None),
            (Kind::TwiceTagged(9), None, 0x88b5, Some(9), None),
            (Kind::Tagged(9), Some(4), 0x88b5, Some(4), None),
            (Kind::Sap(0x42), None, 0, None, None),
        ] {
            let (ends, _) = of_frame(&framed(&nonce, kind, to, mac), tag);
            assert_eq!(ends, Ends { mac: Some(mac), ether_type, vlan, from }, "{kind:?}");
        }
        let (one, two) = (Ipv4Addr::new(192, 168, 48, 1), Ipv4Addr::new(192, 168, 48, 2));
        let (ends, target) = of_frame(&arp_request(&nonce, mac.0, one, two), None);
        assert_eq!((ends.ether_type, ends.from, target), (ARP, Some(one.into()), Some(two.into())));
        let packet = crate::packet::ip(one.into(), two.into(), 47, b"x");
        let ends = Ends { mac: None, ether_type: IPV4, vlan: None, from: Some(one.into()) };
        assert_eq!(of_packet(&packet, IPV4), (ends, Some(two.into())));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_witness(frame: Vec<u8>, tag: Option<u16>) {
            of_frame(&frame, tag);
            for ether_type in [IPV4, ARP, IPV6] {
                of_packet(&frame, ether_type);
            }
        }
    }
}
