//! Packets that a witness captures, all traffic of a link, and packets that a prober receives. The parsers are in the
//! probe's program, not in its library.

use std::net::Ipv4Addr;

#[path = "../../../crates/probe/src/packet/seen.rs"]
mod seen;

#[path = "../../../crates/probe/src/packet/ip.rs"]
#[expect(dead_code, reason = "the prober also builds packets")]
mod ip;

#[path = "../../../crates/probe/src/packet/peer.rs"]
mod peer;

#[path = "../../../crates/probe/src/packet/netlink.rs"]
#[expect(dead_code, reason = "the walk reads more of a message")]
mod netlink;

#[path = "../../../crates/probe/src/packet/neighbour.rs"]
#[expect(dead_code, reason = "the prober also builds the request")]
mod neighbour;

/// A frame, and the same bytes as a packet without a link-layer header.
///
/// # Panics
/// When a packet has no protocol.
pub fn packet(data: &[u8]) {
    for hardware in [1, 772, 65534] {
        assert!(!seen::seen(data, hardware).protocol.is_empty());
    }
    seen::arp_reply(data, Ipv4Addr::new(192, 168, 48, 1));
    for tag in [None, Some(7)] {
        let (ends, _) = peer::of_frame(data, tag);
        assert!(ends.vlan.is_some() || tag.is_none(), "the kernel's tag is the first one");
    }
    peer::of_packet(data, 0x0800);
    neighbour::neighbours(data, 1);
    if let Some(packet) = ip::received(data) {
        assert!(packet.payload.len() + 20 <= data.len(), "an IP header has at least 20 bytes");
        if let Some((_, quoted)) = ip::refusal(&packet) {
            assert!(quoted.payload.len() < packet.payload.len(), "an error quotes less than it has");
            ip::ports(quoted.payload);
        }
    }
    if let Some((_, left)) = seen::without_ip_header(data) {
        assert!(left.len() + 20 <= data.len(), "an IP header has at least 20 bytes");
    }
}
