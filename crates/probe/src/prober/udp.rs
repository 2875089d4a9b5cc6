//! UDP datagrams, including those that contain overlay frames.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use probe::{Overlay, ProbeOutcome};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::Type;

use super::attempt::{Attempt, TRIES};
use super::reply::said;
use super::wire::Wire;
use crate::packet::{self, Ends, filled};

/// The discard port (RFC 863). The inner datagram needs no receiver, because the witness captures it.
const INNER_PORT: u16 = 9;

/// Sends a datagram of nonces and waits for a datagram in return.
pub(super) async fn ask(attempt: &Attempt, to: SocketAddr, size: usize) -> io::Result<ProbeOutcome> {
    let wire = Wire::towards(to, Type::DGRAM, None)?;
    // Only the link's MTU decides about fragmentation, not a path MTU that a router reported earlier (ip(7),
    // IP_MTU_DISCOVER).
    match to {
        SocketAddr::V4(_) => set_ip_mtu_discover(wire.socket(), Ipv4PathMtuDiscovery::DONT)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(wire.socket(), Ipv6PathMtuDiscovery::DONT)?,
    }
    exchange(attempt, &wire, to, &filled(&attempt.nonce, size)).await
}

/// Sends a hand-made overlay packet. An answer to the inner datagram goes to the inner source address, but a refusal of
/// the outer datagram arrives here.
pub(super) async fn overlay(
    attempt: &Attempt,
    to: SocketAddr,
    overlay: Overlay,
    inner: Ipv4Addr,
) -> io::Result<ProbeOutcome> {
    let wire = Wire::towards(to, Type::DGRAM, None)?;
    let own = wire.socket().local_addr()?.as_socket_ipv4().map_or(Ipv4Addr::UNSPECIFIED, |own| *own.ip());
    let ends = Ends { from: SocketAddrV4::new(own, INNER_PORT), to: SocketAddrV4::new(inner, INNER_PORT) };
    exchange(attempt, &wire, to, &packet::overlay(&attempt.nonce, overlay, ends)).await
}

async fn exchange(attempt: &Attempt, wire: &Wire, to: SocketAddr, packet: &[u8]) -> io::Result<ProbeOutcome> {
    let mut buffer = [0; 1024];
    let send = async || attempt.counted(wire.send(packet)).await;
    let heard = attempt.insist(TRIES, send, wire.receive(&mut buffer)).await;
    Ok(match heard {
        Ok((length, _)) => said(&attempt.nonce, Some(to.ip()), &buffer[..length]),
        Err(error) => wire.outcome(&error),
    })
}
