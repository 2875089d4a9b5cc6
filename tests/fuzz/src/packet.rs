//! Packets that a witness captures: all traffic of a link. The parser is in the probe's program, not in its library.

use std::net::Ipv4Addr;

#[path = "../../../crates/probe/src/packet/seen.rs"]
mod seen;

/// A frame, and the same bytes as a packet without a link-layer header.
///
/// # Panics
/// When a packet has no protocol.
pub fn packet(data: &[u8]) {
    for hardware in [1, 772, 65534] {
        assert!(!seen::seen(data, hardware).protocol.is_empty());
    }
    seen::arp_reply(data, Ipv4Addr::new(192, 168, 48, 1));
    if let Some((_, left)) = seen::without_ip_header(data) {
        assert!(left.len() + 20 <= data.len(), "an IP header has at least 20 bytes");
    }
}
