//! Addresses, routes, policy rules and neighbours of a network namespace.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use probe::structure::{Address, Neighbour, PolicyRule, Route};

use super::links::mac;
use crate::packet::netlink::{address, after, text, u8_at, u16_at, u32_at};
use crate::walk::netlink::Netlink;

const GETADDR: u16 = 22;
const GETROUTE: u16 = 26;
const GETNEIGH: u16 = 30;
const GETRULE: u16 = 34;
/// Lengths of `ifaddrmsg`, `rtmsg`, `ndmsg` and `fib_rule_hdr`.
const OF_ADDRESS: usize = 8;
const OF_ROUTE: usize = 12;
/// The flag of proxy entries in the table of neighbours (NTF_PROXY).
const PROXY: u8 = 8;

pub(super) fn addresses(route: &Netlink) -> io::Result<Vec<Address>> {
    let read = |body: &[u8]| {
        // The local address is an own attribute on links whose other attribute is the peer's address.
        let of = |wanted| after(body, OF_ADDRESS).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let address = address(of(2).or_else(|| of(1))?)?;
        Some(Address { link: u32_at(body, 4)?, address: IpNet::new(address, u8_at(body, 1)?).ok()? })
    };
    Ok(route.dump(GETADDR, &[0; OF_ADDRESS])?.iter().filter_map(|(_, body)| read(body)).collect())
}

pub(super) fn routes(route: &Netlink) -> io::Result<Vec<Route>> {
    const CLONED: u32 = 0x200;
    let all = route.dump(GETROUTE, &[0; OF_ROUTE])?;
    let routes = all.iter().map(|(_, body)| body.as_slice());
    Ok(routes.filter(|body| u32_at(body, 8).unwrap_or(0) & CLONED == 0).map(read_route).collect())
}

fn read_route(body: &[u8]) -> Route {
    let byte = |at| u8_at(body, at).unwrap_or(0);
    let mut route = Route {
        family: byte(0),
        table: byte(4).into(),
        protocol: byte(5),
        kind: byte(7),
        ..Route::default()
    };
    let (mut gateway, mut link) = (None, None);
    for (kind, value) in after(body, OF_ROUTE) {
        match kind {
            1 => route.to = net(value, byte(1)),
            2 => route.from = net(value, byte(2)),
            4 => link = u32_at(value, 0),
            5 => gateway = address(value),
            // RTA_VIA: a gateway of another family.
            18 => gateway = value.get(2..).and_then(address),
            9 => route.hops.extend(hops(value)),
            15 => route.table = u32_at(value, 0).unwrap_or(route.table),
            22 => route.wrapped = true,
            _ => {}
        }
    }
    if gateway.is_some() || link.is_some() {
        route.hops.push((gateway, link));
    }
    // A prefix of 0 bits is a default route, with an address or without.
    route.to = route.to.filter(|to| to.prefix_len() != 0);
    route
}

/// RTA_MULTIPATH: several `rtnexthop` with attributes.
fn hops(mut value: &[u8]) -> Vec<(Option<IpAddr>, Option<u32>)> {
    const FIXED: usize = 8;
    let mut all = Vec::new();
    while let Some(length) = u16_at(value, 0).map(usize::from).filter(|length| *length >= FIXED) {
        let Some(hop) = value.get(..length) else { break };
        let gateway = after(hop, FIXED).find_map(|(kind, value)| match kind {
            5 => address(value),
            18 => value.get(2..).and_then(address),
            _ => None,
        });
        all.push((gateway, u32_at(hop, 4)));
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

pub(super) fn rules(route: &Netlink) -> io::Result<Vec<PolicyRule>> {
    let all = route.dump(GETRULE, &[0; OF_ROUTE])?;
    Ok(all.iter().map(|(_, body)| read_rule(body)).collect())
}

fn read_rule(body: &[u8]) -> PolicyRule {
    let byte = |at| u8_at(body, at).unwrap_or(0);
    let mut rule =
        PolicyRule { family: byte(0), table: byte(4).into(), action: byte(7), ..PolicyRule::default() };
    for (kind, value) in after(body, OF_ROUTE) {
        match kind {
            1 => rule.to = net(value, byte(1)),
            2 => rule.from = net(value, byte(2)),
            3 => rule.incoming = Some(text(value)),
            6 => rule.priority = u32_at(value, 0).unwrap_or(0),
            10 => rule.mark = u32_at(value, 0),
            15 => rule.table = u32_at(value, 0).unwrap_or(rule.table),
            17 => rule.outgoing = Some(text(value)),
            _ => {}
        }
    }
    rule
}

/// A network with a prefix of so many bits.
fn net(value: &[u8], bits: u8) -> Option<IpNet> {
    IpNet::new(address(value)?, bits).ok()
}

/// The neighbours of all families, the proxy entries, and the tables of bridges.
pub(super) fn neighbours(route: &Netlink) -> io::Result<Vec<Neighbour>> {
    const AF_BRIDGE: u8 = 7;
    let request = |family, flags| {
        let mut body = [0; OF_ROUTE];
        (body[0], body[10]) = (family, flags);
        body
    };
    let mut all = Vec::new();
    for request in [request(0, 0), request(0, PROXY), request(AF_BRIDGE, 0)] {
        all.extend(route.dump(GETNEIGH, &request)?.iter().map(|(_, body)| read_neighbour(body)));
    }
    Ok(all)
}

fn read_neighbour(body: &[u8]) -> Neighbour {
    const PERMANENT: u16 = 0x80;
    let mut neighbour = Neighbour {
        family: u8_at(body, 0).unwrap_or(0),
        link: u32_at(body, 4).unwrap_or(0),
        permanent: u16_at(body, 8).unwrap_or(0) & PERMANENT != 0,
        proxy: u8_at(body, 10).unwrap_or(0) & PROXY != 0,
        ..Neighbour::default()
    };
    for (kind, value) in after(body, OF_ROUTE) {
        match kind {
            1 => neighbour.address = address(value),
            2 => neighbour.mac = Some(mac(value)),
            _ => {}
        }
    }
    neighbour
}
