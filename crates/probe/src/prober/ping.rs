//! ICMP and ICMPv6 echo requests.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use probe::{Nonce, ProbeOutcome};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Type};

use super::attempt::{Attempt, TRIES};
use super::reply::answered;
use super::wire::Wire;
use crate::links;
use crate::packet::{echo4, echo6, filled, without_ip_header};

const ICMP: i32 = 1;
const ICMPV6: i32 = 58;

/// Sends an echo request and waits for the reply with its nonce. A multicast or link-local address (`ff02::1`,
/// `fe80::1`) means another destination on each link, so it is sent on all links.
pub(super) async fn ask(
    attempt: &Attempt,
    to: IpAddr,
    size: usize,
    dont_fragment: bool,
) -> io::Result<ProbeOutcome> {
    let scopes = match to {
        IpAddr::V6(to) if to.is_unicast_link_local() || to.is_multicast() => scopes(to)?,
        _ => Vec::new(),
    };
    // Members of a group answer from their own addresses, which a socket connected to the group would not receive.
    let (wire, is_raw) = if scopes.is_empty() {
        open(|kind, protocol| Wire::towards(SocketAddr::new(to, 0), kind, Some(protocol)), to)?
    } else {
        open(|kind, protocol| Wire::open(Domain::IPV6, kind, Some(protocol)), to)?
    };
    match (to, dont_fragment) {
        // PROBE: sets DF, and ignores a path MTU that the kernel has cached (ip(7)).
        (IpAddr::V4(_), true) => set_ip_mtu_discover(wire.socket(), Ipv4PathMtuDiscovery::PROBE)?,
        (IpAddr::V4(_), false) => set_ip_mtu_discover(wire.socket(), Ipv4PathMtuDiscovery::DONT)?,
        (IpAddr::V6(_), true) => set_ipv6_mtu_discover(wire.socket(), Ipv6PathMtuDiscovery::PROBE)?,
        (IpAddr::V6(_), false) => set_ipv6_mtu_discover(wire.socket(), Ipv6PathMtuDiscovery::DONT)?,
    }
    let data = filled(&attempt.nonce, size);
    let packet = if to.is_ipv4() { echo4(1, &data) } else { echo6(1, &data) };
    let hear = async {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let (length, from) = wire.receive(&mut buffer).await?;
            let bytes = match (to, is_raw) {
                (IpAddr::V4(_), true) => without_ip_header(&buffer[..length]).map(|(_, rest)| rest),
                _ => Some(&buffer[..length]),
            };
            if bytes.is_some_and(|bytes| is_reply(bytes, to, &attempt.nonce)) {
                return Ok(answered(from, "echo reply"));
            }
        }
    };
    let heard = attempt.insist(TRIES, async || send(attempt, &wire, &packet, &scopes).await, hear).await;
    Ok(heard.unwrap_or_else(|error| wire.outcome(&error)))
}

/// Sends to the connected peer, or to each of `scopes`.
async fn send(attempt: &Attempt, wire: &Wire, packet: &[u8], scopes: &[SocketAddr]) -> io::Result<()> {
    if scopes.is_empty() {
        wire.send(packet).await?;
        attempt.sent(1);
        return Ok(());
    }
    for (place, scope) in scopes.iter().enumerate() {
        if place > 0 {
            attempt.turn().await;
        }
        wire.send_to(packet, *scope).await?;
        attempt.sent(1);
    }
    Ok(())
}

/// A ping socket, which receives only replies to its own requests, where the kernel allows it (ping_group_range,
/// icmp(7)), or else a raw socket.
fn open(open: impl Fn(Type, i32) -> io::Result<Wire>, to: IpAddr) -> io::Result<(Wire, bool)> {
    let protocol = if to.is_ipv4() { ICMP } else { ICMPV6 };
    match open(Type::DGRAM, protocol) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok((open(Type::RAW, protocol)?, true)),
        opened => Ok((opened?, false)),
    }
}

/// Whether a packet is an echo reply (type 0 in RFC 792, 129 in RFC 4443) with this nonce as its data.
fn is_reply(packet: &[u8], to: IpAddr, nonce: &Nonce) -> bool {
    const HEADER: usize = 8;
    let kind = if to.is_ipv4() { 0 } else { 129 };
    packet.first() == Some(&kind) && packet.get(HEADER..).and_then(Nonce::parse).as_ref() == Some(nonce)
}

/// The address with the scope of each link that is up, has an IPv6 address and is no loopback.
fn scopes(to: Ipv6Addr) -> io::Result<Vec<SocketAddr>> {
    let links = links::all()?;
    let speaking = links.iter().filter(|link| link.up && !link.loopback && link.ipv6().is_some());
    let scopes: Vec<_> = speaking.map(|link| SocketAddrV6::new(to, 0, 0, link.index()).into()).collect();
    if scopes.is_empty() { Err(io::Error::other("no link has an IPv6 address")) } else { Ok(scopes) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_reply_has_the_kind_and_the_nonce() {
        let (nonce, to) = (Nonce::new(1, 1), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut packet = echo4(1, &filled(&nonce, 100));
        assert!(!is_reply(&packet, to, &nonce), "a request is no reply");
        packet[0] = 0;
        assert!(is_reply(&packet, to, &nonce));
        assert!(!is_reply(&packet, to, &Nonce::new(1, 2)), "the nonce of another probe");
        assert!(!is_reply(&packet[..8], to, &nonce));
    }
}
