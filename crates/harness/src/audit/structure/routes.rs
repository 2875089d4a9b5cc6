//! Routes of all tables, policy rules, neighbours, and settings that make a system answer for others.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use probe::structure::{Neighbour, Network, PolicyRule, Route};
use provisioner::fabric::ROUTE_PROTOCOL;
use provisioner::request::CniKind;

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, Explanation, PlannedInstance};

const INET: u8 = 2;
const INET6: u8 = 10;
/// Types of routes (linux/rtnetlink.h).
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
/// Blackhole, unreachable, prohibit: they lead nowhere.
const REFUSING: std::ops::RangeInclusive<u8> = 6..=8;

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for (owner, network) in ground.owned() {
        let place = ground.place(network.inode);
        let Some(instance) = owner.instance() else {
            of_host(ground, network, &mut all);
            continue;
        };
        let plan = ground.instance(instance);
        let told = |effect, found: String| {
            Difference::of(
                DifferenceKind::Routes,
                [plan.name.as_str()],
                effect,
                format!("{found} in {place}"),
            )
        };
        for route in &network.routes {
            if let Some(effect) = strays(ground, plan, owner, network, route) {
                let planned = match owner {
                    Owner::Pod(..) => "routes to the node",
                    _ => "routes to the instance's own networks",
                };
                all.push(told(effect, said(route, network)).instead_of(planned));
            }
        }
        for rule in network.rules.iter().filter(|rule| !is_default(rule)) {
            let of_cilium = plan.cni == CniKind::Cilium && [9, 10, 100].contains(&rule.priority);
            let explained = of_cilium.then_some(Explanation::PodNetwork);
            let found = format!("policy rule {} (table {})", rule.priority, rule.table);
            all.push(
                told(Effect::Unplanned, found).instead_of("the kernel's own rules").explained(explained),
            );
        }
        for neighbour in &network.neighbours {
            if let Some(effect) = strange(plan, neighbour) {
                all.push(
                    told(effect, entry(neighbour)).instead_of("neighbours of the instance's own networks"),
                );
            }
        }
        all.extend(answering(network).map(|setting| told(Effect::OpensPath, setting).instead_of("0")));
    }
    all
}

/// The settings with which a system answers for others or forwards multicast. Inside of an instance as well as on the
/// host's links into it.
fn answering(network: &Network) -> impl Iterator<Item = String> {
    const KEYS: [&str; 4] = ["proxy_arp", "proxy_arp_pvlan", "proxy_ndp", "mc_forwarding"];
    network.settings.iter().filter_map(|(key, value)| {
        let is = KEYS.iter().any(|wanted| key.rsplit('/').next() == Some(*wanted)) && value != "0";
        is.then(|| format!("setting {key} is {value}"))
    })
}

/// What is wrong with a route of a switch, a node or a pod; `None` if it stays in the instance.
fn strays(
    ground: &Ground<'_>,
    plan: &PlannedInstance,
    owner: Owner,
    network: &Network,
    route: &Route,
) -> Option<Effect> {
    match route.kind {
        _ if ![INET, INET6].contains(&route.family) => return Some(Effect::OpensPath),
        kind if REFUSING.contains(&kind) => return None,
        LOCAL => {
            let own = |to: IpNet| {
                to.addr().is_loopback() || network.addresses.iter().any(|it| it.address.addr() == to.addr())
            };
            // The host's own part of its address 0 in the subnets of IPv6 (anycast) is of another type.
            return (!route.to.is_some_and(own)).then_some(Effect::Unplanned);
        }
        UNICAST => {}
        // Broadcast, anycast and multicast go to the link itself.
        _ => {
            return (!route.to.is_none_or(|to| plan.has_all(to) || is_of_links(to.addr())))
                .then_some(Effect::Unplanned);
        }
    }
    let is_own = |address: IpAddr| plan.has(address) && address != IpAddr::V4(plan.gateway);
    let hops_own = route.hops.iter().all(|(gateway, _)| gateway.is_none_or(is_own));
    let to_own = route.to.is_some_and(|to| plan.has_all(to) || is_of_links(to.addr()));
    let is_pods_default = matches!(owner, Owner::Pod(..)) && route.to.is_none() && route.family == INET;
    if route.wrapped {
        return Some(Effect::Unplanned);
    }
    if hops_own && (to_own || (is_pods_default && route.hops.iter().all(|(gateway, _)| gateway.is_some()))) {
        return None;
    }
    // A packet for a network of no instance stays on the instance's own link, or goes to its own node.
    let to_none = route.to.is_some_and(|to| ground.with_address(to.addr()).is_none());
    Some(if hops_own && to_none { Effect::Unplanned } else { Effect::OpensPath })
}

/// Addresses that do not leave a link: loopback, link-local, multicast.
fn is_of_links(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_multicast() || address.is_unicast_link_local()
        }
    }
}

/// The rules that the kernel has in every namespace. The last one of IPv6 multicast routes leads to the main table, as
/// IPv6 has no default table (`ip6mr_rules_init` in Linux).
fn is_default(rule: &PolicyRule) -> bool {
    const IP6MR: u8 = 129;
    let plain = rule.from.is_none() && rule.to.is_none() && rule.mark.is_none();
    let plain = plain && rule.incoming.is_none() && rule.outgoing.is_none() && rule.action == 1;
    let known = [(0, 255), (32766, 254), (32767, if rule.family == IP6MR { 254 } else { 253 })];
    plain && known.contains(&(rule.priority, rule.table))
}

/// What is wrong with a neighbour of a system of an instance. An entry that the kernel has learned or made is none: it
/// tells what was on the link at some time, and `links` and `ports` tell what is there now.
fn strange(plan: &PlannedInstance, neighbour: &Neighbour) -> Option<Effect> {
    if neighbour.proxy {
        return Some(Effect::OpensPath);
    }
    let address = neighbour.address?;
    // In the table of a bridge or a tunnel, an address is the other end of the tunnel.
    if neighbour.family == 7 {
        return (!plan.has(address)).then_some(Effect::OpensPath);
    }
    let is_plain = plan.has(address) || address.is_unspecified() || is_of_links(address);
    (!is_plain && neighbour.permanent).then_some(Effect::OpensPath)
}

fn entry(neighbour: &Neighbour) -> String {
    let address = neighbour.address.map_or_else(|| "all addresses".to_owned(), |address| address.to_string());
    if neighbour.proxy { format!("answers for {address} (proxy)") } else { format!("neighbour {address}") }
}

/// The host leads into an instance by one connected route for each network, and in no other way.
fn of_host(ground: &Ground<'_>, host: &Network, all: &mut Vec<Difference>) {
    let name = |index: u32| host.links.iter().find(|link| link.index == index).map(|link| link.name.as_str());
    for route in host
        .routes
        .iter()
        .filter(|route| !(REFUSING.contains(&route.kind) && route.protocol == ROUTE_PROTOCOL))
    {
        let into = route
            .to
            .and_then(|to| ground.instances().find(|(_, plan)| plan.has_all(to)))
            .map(|(place, _)| place);
        let by_hop = route.hops.iter().find_map(|(gateway, link)| {
            let by_gateway = gateway.and_then(|gateway| ground.with_address(gateway));
            by_gateway.or_else(|| ground.host_link(name((*link)?)?))
        });
        let Some(instance) = into.or(by_hop) else { continue };
        let plan = ground.instance(instance);
        let is_connected = route.to.is_some_and(|to| is_connected(plan, to))
            && route.hops.iter().all(|(gateway, link)| {
                let link = link.and_then(name);
                gateway.is_none() && link.is_some_and(|link| ground.host_link(link) == Some(instance))
            });
        if !is_connected && !(REFUSING.contains(&route.kind)) {
            let found = format!("{} on the host", said(route, host));
            let difference =
                Difference::of(DifferenceKind::Routes, [plan.name.as_str()], Effect::OpensPath, found);
            all.push(difference.instead_of(format!("{} by {}", plan.subnet, plan.link)));
        }
    }
    for rule in host.rules.iter().filter(|rule| !is_default(rule)) {
        let link =
            [&rule.incoming, &rule.outgoing].into_iter().flatten().find_map(|link| ground.host_link(link));
        let range =
            || [rule.from, rule.to].into_iter().flatten().find_map(|range| overlapping(ground, range));
        if let Some(instance) = link.or_else(range) {
            let found = format!("policy rule {} (table {}) on the host", rule.priority, rule.table);
            all.push(Difference::of(
                DifferenceKind::Routes,
                [ground.name(instance)],
                Effect::OpensPath,
                found,
            ));
        }
    }
    for neighbour in &host.neighbours {
        let on = name(neighbour.link).and_then(|link| ground.host_link(link));
        let of = neighbour.address.and_then(|address| ground.with_address(address));
        let Some(instance) = on.or(of) else { continue };
        let plain = on == of || neighbour.address.is_none_or(is_of_links);
        if neighbour.proxy || (!plain && neighbour.family != 7 && neighbour.permanent) {
            let found = format!("{} on the host", entry(neighbour));
            let names =
                [on, of].into_iter().flatten().chain([instance]).map(|instance| ground.name(instance));
            all.push(Difference::of(DifferenceKind::Routes, names, Effect::OpensPath, found));
        }
    }
}

/// Whether a range is a network of which the host has an address, or an address of the host or for all in it.
fn is_connected(plan: &PlannedInstance, to: IpNet) -> bool {
    let is = |net: Ipv4Net| {
        let own = [net.network(), net.broadcast(), net.hosts().next().unwrap_or(net.network())];
        to == net.trunc().into() || own.into_iter().any(|address| to == IpAddr::V4(address).into())
    };
    is(plan.subnet) || plan.management.is_some_and(is) || is_of_links(to.addr())
}

/// The first instance with which a range has an address in common; the range of all addresses has none.
fn overlapping(ground: &Ground<'_>, range: IpNet) -> Option<usize> {
    let IpNet::V4(range) = range else { return None };
    if range.prefix_len() == 0 {
        return None;
    }
    let overlaps = |net: Ipv4Net| net.contains(&range) || range.contains(&net);
    ground.instances().find(|(_, plan)| plan.networks().any(overlaps)).map(|(place, _)| place)
}

fn said(route: &Route, network: &Network) -> String {
    let to = route.to.map_or_else(|| "default route".to_owned(), |to| format!("route to {to}"));
    let name =
        |index: &u32| network.links.iter().find(|link| link.index == *index).map(|link| link.name.clone());
    let hops = route.hops.iter().map(|(gateway, link)| {
        let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let link = link.as_ref().and_then(name).map(|link| format!(" dev {link}")).unwrap_or_default();
        format!("{via}{link}")
    });
    let hops: String = hops.collect();
    let table =
        if [254, 255].contains(&route.table) { String::new() } else { format!(" in table {}", route.table) };
    let wrapped = if route.wrapped { ", wrapped" } else { "" };
    let family = if [INET, INET6].contains(&route.family) { "" } else { "multicast or MPLS " };
    format!("{family}{to}{hops}{table}{wrapped}")
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn planned_routes_rules_and_neighbours_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn routes_of_a_node_or_pod_that_leave_the_instance_are_told_in_every_table() {
        insta::assert_snapshot!(found(|seen| {
            let node = &mut network(seen, ACME_CP).routes;
            node.push(route(None, Some("192.168.60.1"), 2));
            node.push(Route { table: 77, ..route(Some(("192.168.61.0", 24)), Some("192.168.60.11"), 2) });
            node.push(route(Some(("fd00::", 8)), Some("fe80::99"), 2));
            node.push(Route { family: 128, kind: 5, ..route(Some(("239.1.1.1", 32)), None, 2) });
            network(seen, ACME_POD).routes.push(route(Some(("10.245.0.0", 16)), Some("192.168.61.10"), 2));
        }));
    }

    #[test]
    fn rules_of_a_node_are_told_and_ciliums_are_explained() {
        let rule = PolicyRule { family: INET, priority: 100, table: 255, action: 1, ..PolicyRule::default() };
        insta::assert_snapshot!(found(|seen| network(seen, ACME_CP)
            .rules
            .push(PolicyRule { priority: 50, ..rule.clone() })));
        let (mut planned, mut seen) = pair();
        planned.instances[0].cni = CniKind::Cilium;
        network(&mut seen, ACME_CP).rules.push(rule);
        let all = compare(&Ground::of(&planned, &seen));
        assert_eq!(all.iter().map(|it| it.explained).collect::<Vec<_>>(), [Some(Explanation::PodNetwork)]);
    }

    #[test]
    fn proxies_and_foreign_neighbours_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let neighbour = |address: &str, proxy| Neighbour {
                family: INET,
                link: 2,
                address: address.parse().ok(),
                mac: Some("02:00:00:00:00:99".to_owned()),
                proxy,
                ..Neighbour::default()
            };
            network(seen, ACME_CP).neighbours.push(neighbour("192.168.61.10", false));
            let set = |address| Neighbour { permanent: true, ..neighbour(address, false) };
            network(seen, ACME_W).neighbours.push(set("192.168.61.11"));
            network(seen, ACME_W).neighbours.push(set("fd6c:6162:c0a8:3d00::c0a8:3d0a"));
            network(seen, HOST).neighbours.push(Neighbour { link: HL_A, ..set("192.168.61.12") });
            network(seen, HOST)
                .neighbours
                .push(Neighbour { link: HL_A, ..neighbour("192.168.61.13", false) });
            network(seen, ACME_SWITCH).neighbours.push(neighbour("192.168.60.77", true));
            network(seen, HOST).neighbours.push(Neighbour { link: HL_A, ..neighbour("192.168.61.10", true) });
            network(seen, ACME_POD).settings.insert("ipv6/conf/eth0/proxy_ndp".to_owned(), "1".to_owned());
            network(seen, ACME_CP).settings.insert("ipv4/conf/all/proxy_arp".to_owned(), "1".to_owned());
        }));
    }

    #[test]
    fn routes_and_rules_of_the_host_into_an_instance_are_told_and_wide_ones_are_not() {
        insta::assert_snapshot!(found(|seen| {
            let host = network(seen, HOST);
            host.routes.push(route(Some(("10.0.0.0", 8)), Some("172.16.0.1"), 2));
            host.routes.push(route(Some(("10.244.0.0", 24)), Some("192.168.60.10"), HL_A));
            host.routes.push(route(Some(("8.8.8.8", 32)), None, HL_A));
            host.rules.push(PolicyRule {
                family: INET,
                priority: 10,
                table: 9,
                action: 1,
                incoming: Some("hl-a".to_owned()),
                ..PolicyRule::default()
            });
            let mark = PolicyRule {
                family: INET,
                priority: 20,
                table: 51820,
                action: 1,
                mark: Some(7),
                ..PolicyRule::default()
            };
            host.rules.push(mark);
        }));
    }
}
