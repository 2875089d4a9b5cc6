//! Probes on the link: ARP and IPv6 neighbour discovery.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use probe::ProbeOutcome;
use socket2::{Domain, Type};

use super::attempt::{Attempt, TRIES};
use super::reply::answered;
use super::wire::Wire;
use crate::links::{self, Link};
use crate::packet::{
    ALL_NODES, arp_reply, arp_request, neighbour_solicitation, router_advertisement, solicited_node,
};

/// ETH_P_ARP, in network order as packet(7) wants it.
const ARP: i32 = 0x0806_u16.to_be() as i32;
const ICMPV6: i32 = 58;
/// The hop limit of neighbour discovery: a packet with a lower one came through a router (RFC 4861, section 7.1).
const NEIGHBOURS: u32 = 255;

/// Sends ARP requests for an address.
pub(super) async fn arp(attempt: &Attempt, target: Ipv4Addr, link: Option<&str>) -> io::Result<ProbeOutcome> {
    let links = ethernets(link, |link| link.ipv4().is_some())?;
    let wire = Wire::open(Domain::PACKET, Type::RAW, Some(ARP))?;
    let send = async || {
        for (place, (link, mac)) in links.iter().enumerate() {
            let own = link.ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED);
            if place > 0 {
                attempt.turn().await;
            }
            if let Some(hardware) = &link.hardware {
                wire.send_frame(&arp_request(&attempt.nonce, *mac, own, target), hardware).await?;
                attempt.sent(1);
            }
        }
        Ok(())
    };
    let hear = async {
        let mut buffer = [0; 2048];
        loop {
            let (length, _) = wire.receive(&mut buffer).await?;
            if let Some(mac) = arp_reply(&buffer[..length], target) {
                return Ok(answered(Some(target.into()), format!("is at {mac}")));
            }
        }
    };
    attempt.insist(TRIES, send, hear).await
}

/// Sends neighbour solicitations for an address.
pub(super) async fn neighbour(
    attempt: &Attempt,
    target: Ipv6Addr,
    link: Option<&str>,
) -> io::Result<ProbeOutcome> {
    let (wire, links) = discovery(attempt, link).await?;
    let send = async || {
        let packet = |mac| neighbour_solicitation(&attempt.nonce, mac, target);
        to_all(attempt, &wire, &links, solicited_node(target), packet).await
    };
    let hear = async {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = wire.receive(&mut buffer).await?;
            if let Some(mac) = advertised(&buffer[..length], target) {
                return Ok(answered(from, format!("is at {mac}")));
            }
        }
    };
    attempt.insist(TRIES, send, hear).await
}

/// Sends router advertisements that announce nothing. All nodes on the link receive them, and none has a reason to
/// answer.
pub(super) async fn router(attempt: &Attempt, link: Option<&str>) -> io::Result<ProbeOutcome> {
    let (wire, links) = discovery(attempt, link).await?;
    let send = async || {
        let packet = |mac| router_advertisement(&attempt.nonce, mac);
        to_all(attempt, &wire, &links, ALL_NODES, packet).await
    };
    attempt.insist(TRIES, send, std::future::pending()).await
}

/// A socket whose packets neighbours accept, and the links on which to send.
async fn discovery(attempt: &Attempt, link: Option<&str>) -> io::Result<(Wire, Vec<(Link, [u8; 6])>)> {
    attempt.first(links::may_send(link)).await?;
    let links = ethernets(link, |link| link.ipv6().is_some())?;
    let wire = Wire::open(Domain::IPV6, Type::RAW, Some(ICMPV6))?;
    wire.socket().set_multicast_hops_v6(NEIGHBOURS)?;
    wire.socket().set_multicast_loop_v6(false)?;
    Ok((wire, links))
}

/// Sends a packet with each link's hardware address to the group on that link.
async fn to_all(
    attempt: &Attempt,
    wire: &Wire,
    links: &[(Link, [u8; 6])],
    group: Ipv6Addr,
    packet: impl Fn([u8; 6]) -> Vec<u8>,
) -> io::Result<()> {
    for (place, (link, mac)) in links.iter().enumerate() {
        if place > 0 {
            attempt.turn().await;
        }
        let to = SocketAddrV6::new(group, 0, 0, link.index());
        wire.send_to(&packet(*mac), to.into()).await?;
        attempt.sent(1);
    }
    Ok(())
}

/// The link-layer address in a neighbour advertisement for this target (RFC 4861, sections 4.4 and 4.6.1).
fn advertised(packet: &[u8], target: Ipv6Addr) -> Option<String> {
    const ADVERTISEMENT: u8 = 136;
    const TARGET_ADDRESS: u8 = 2;
    if packet.first() != Some(&ADVERTISEMENT) || packet.get(8..24)? != target.octets() {
        return None;
    }
    let mac = packet.get(24..32).filter(|option| option[..2] == [TARGET_ADDRESS, 1]);
    let text = |mac: &[u8]| mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    Some(mac.map_or_else(|| "its own address".to_owned(), |option| text(&option[2..])))
}

/// The link of this name, or all links that have an address; in both cases only Ethernet links.
fn ethernets(name: Option<&str>, has_address: impl Fn(&Link) -> bool) -> io::Result<Vec<(Link, [u8; 6])>> {
    let wanted = |link: &Link| match name {
        Some(name) => link.name == name,
        None => link.up && has_address(link),
    };
    let found: Vec<_> = links::all()?
        .into_iter()
        .filter(wanted)
        .filter_map(|link| link.mac().map(|mac| (link, mac)))
        .collect();
    match name {
        _ if !found.is_empty() => Ok(found),
        Some(name) => Err(io::Error::other(format!("{name} is not an Ethernet link here"))),
        None => Err(io::Error::other("no Ethernet link that is up has an address of this kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_advertisement_of_the_target_itself_is_an_answer() {
        let target: Ipv6Addr = "fe80::2".parse().unwrap();
        let packet =
            [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &target.octets(), &[2, 1, 2, 4, 6, 8, 10, 12]].concat();
        assert_eq!(advertised(&packet, target), Some("02:04:06:08:0a:0c".to_owned()));
        assert_eq!(advertised(&packet[..24], target), Some("its own address".to_owned()));
        assert_eq!(advertised(&packet, Ipv6Addr::LOCALHOST), None);
        assert_eq!(advertised(&packet[..12], target), None);
    }
}
