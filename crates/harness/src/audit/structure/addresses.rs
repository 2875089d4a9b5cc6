//! Addresses of all families, and hardware addresses that exist twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use probe::structure::{Address, Link, Network, Peer};

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for network in &ground.seen.networks {
        match ground.owners.get(&network.inode) {
            Some(Owner::Host) => of_host(ground, network, &mut all),
            Some(owner) => of_instance(ground, *owner, network, &mut all),
            None => of_others(ground, network, &mut all),
        }
    }
    all.extend(missing(ground));
    all.extend(twice(ground));
    all
}

fn link<'a>(network: &'a Network, address: &Address) -> Option<&'a Link> {
    network.links.iter().find(|link| link.index == address.link)
}

/// The addresses of a switch, a node or a pod.
fn of_instance(ground: &Ground<'_>, owner: Owner, network: &Network, all: &mut Vec<Difference>) {
    let Some(own) = owner.instance() else { return };
    for address in &network.addresses {
        let Some(link) = link(network, address) else { continue };
        if is_planned(ground, owner, link, address.address) {
            continue;
        }
        let other = ground.with_address(address.address.addr()).filter(|other| *other != own);
        let of_host = ground.is_of_host(address.address.addr());
        let effect = if other.is_some() || of_host { Effect::OpensPath } else { Effect::Unplanned };
        let found =
            format!("address {} on {} in {}", address.address, link.name, ground.place(network.inode));
        let names = [Some(own), other].into_iter().flatten().map(|instance| ground.name(instance));
        all.push(
            Difference::of(DifferenceKind::Addresses, names, effect, found)
                .instead_of(planned(ground, owner)),
        );
    }
}

fn is_planned(ground: &Ground<'_>, owner: Owner, link: &Link, range: IpNet) -> bool {
    let to = link.peer.and_then(|peer| peer.namespace).and_then(|inode| ground.owners.get(&inode)).copied();
    match (range.addr(), owner) {
        _ if link.loopback => range.addr().is_loopback(),
        (_, Owner::Switch(_) | Owner::Host) => false,
        (IpAddr::V6(address), _) => {
            range.prefix_len() == 64 && Some(address) == link.mac.as_deref().and_then(link_local)
        }
        (IpAddr::V4(address), Owner::Node(instance, node)) => {
            let (plan, node) = (ground.instance(instance), ground.node((instance, node)));
            let is_uplink = to == Some(Owner::Switch(instance));
            let is_own = address == node.address && range.prefix_len() == plan.subnet.prefix_len();
            let is_virtual = node.is_control_plane && plan.virtual_address == Some(address);
            if is_uplink { is_own || is_virtual } else { node.pod_cidr.contains(&address) }
        }
        (IpAddr::V4(address), Owner::Pod(instance, node)) => {
            let is_uplink = to == Some(Owner::Node(instance, node));
            is_uplink && ground.node((instance, node)).pod_cidr.contains(&address)
        }
    }
}

/// The link-local address that the kernel makes from a hardware address (RFC 4291, appendix A).
fn link_local(mac: &str) -> Option<Ipv6Addr> {
    let bytes: Vec<u8> =
        mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?;
    let [a, b, c, d, e, f] = <[u8; 6]>::try_from(bytes).ok()?;
    let pair = u16::from_be_bytes;
    Some(Ipv6Addr::new(0xfe80, 0, 0, 0, pair([a ^ 2, b]), pair([c, 0xff]), pair([0xfe, d]), pair([e, f])))
}

fn planned(ground: &Ground<'_>, owner: Owner) -> String {
    match owner {
        Owner::Node(instance, node) => {
            let (plan, node) = (ground.instance(instance), ground.node((instance, node)));
            format!("{}/{} and addresses of {}", node.address, plan.subnet.prefix_len(), node.pod_cidr)
        }
        Owner::Pod(instance, node) => format!("an address of {}", ground.node((instance, node)).pod_cidr),
        Owner::Switch(_) | Owner::Host => "no address".to_owned(),
    }
}

/// The host has one address in each network of an instance, on the link into it.
fn of_host(ground: &Ground<'_>, host: &Network, all: &mut Vec<Difference>) {
    for address in &host.addresses {
        let Some(link) = link(host, address) else { continue };
        let on = ground.host_link(&link.name);
        let Some(instance) = on.or(ground.with_address(address.address.addr())) else { continue };
        let plan = ground.instance(instance);
        let is = |wanted: Ipv4Addr, bits| Ok(address.address) == IpNet::new(wanted.into(), bits);
        let is_gateway = link.name == plan.link && is(plan.gateway, plan.subnet.prefix_len());
        let is_management = plan.management.is_some_and(|net| {
            let first = net.hosts().next().unwrap_or(net.network());
            link.name == plan.management_link && is(first, net.prefix_len())
        });
        if !is_gateway && !is_management {
            let found = format!("address {} on the host's link {}", address.address, link.name);
            let planned = format!("{}/{} on {}", plan.gateway, plan.subnet.prefix_len(), plan.link);
            let difference =
                Difference::of(DifferenceKind::Addresses, [plan.name.as_str()], Effect::OpensPath, found);
            all.push(difference.instead_of(planned));
        }
    }
}

/// A namespace that belongs to no instance has no address of one, if it has a link to the host or to an instance. One
/// without such a link may use the same networks: no packet of it gets here.
fn of_others(ground: &Ground<'_>, network: &Network, all: &mut Vec<Difference>) {
    let ends = network.links.iter().filter_map(|link| link.peer);
    let is_linked = |peer: Peer| peer.namespace.is_none_or(|inode| ground.owners.contains_key(&inode));
    if !ends.into_iter().any(is_linked) {
        return;
    }
    for address in &network.addresses {
        if let Some(instance) = ground.with_address(address.address.addr()) {
            let found = format!("address {} in {}", address.address, ground.place(network.inode));
            all.push(Difference::of(
                DifferenceKind::Addresses,
                [ground.name(instance)],
                Effect::OpensPath,
                found,
            ));
        }
    }
}

/// Planned addresses that are nowhere where they should be.
fn missing(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut lacks = |name: &str, address: Ipv4Addr, place: String, network: Option<&Network>| {
        let has = |network: &Network| network.addresses.iter().any(|it| it.address.addr() == address);
        if network.is_some_and(|network| !has(network)) {
            let difference = Difference::of(
                DifferenceKind::Addresses,
                [name],
                Effect::Unplanned,
                format!("no address {address} on {place}"),
            );
            all.push(difference.instead_of(address.to_string()));
        }
    };
    for (instance, plan) in ground.instances() {
        lacks(&plan.name, plan.gateway, "the host".to_owned(), ground.host());
        for (node, planned) in plan.nodes.iter().enumerate() {
            let network = ground.owned().find(|(owner, _)| *owner == Owner::Node(instance, node));
            lacks(&plan.name, planned.address, planned.name.clone(), network.map(|(_, network)| network));
        }
    }
    all
}

/// Hardware addresses that two instances have: a frame for one would reach the other where their links meet.
fn twice(ground: &Ground<'_>) -> Vec<Difference> {
    let mut by_mac: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (owner, network) in ground.owned() {
        for link in network.links.iter().filter(|link| !link.loopback) {
            let instance = owner.instance().or_else(|| ground.host_link(&link.name)).or_else(|| {
                let mut holders =
                    ground.seen.processes.iter().filter(|process| process.taps.contains(&link.name));
                holders.find_map(|process| ground.of_guest(process))
            });
            if let (Some(instance), Some(mac)) = (instance, link.mac.as_deref()) {
                by_mac.entry(mac).or_default().insert(instance);
            }
        }
    }
    by_mac.retain(|mac, instances| {
        instances.len() > 1 && !mac.chars().all(|letter| matches!(letter, '0' | ':'))
    });
    let told = by_mac.into_iter().map(|(mac, instances)| {
        let names = instances.into_iter().map(|instance| ground.name(instance));
        Difference::of(
            DifferenceKind::Addresses,
            names,
            Effect::OpensPath,
            format!("links of several instances have hardware address {mac}"),
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn planned_addresses_and_the_kernels_own_are_no_difference() {
        assert_eq!(found(|_| {}), "");
        assert_eq!(link_local("52:54:00:12:34:56"), "fe80::5054:ff:fe12:3456".parse().ok());
    }

    #[test]
    fn addresses_of_other_families_and_of_other_networks_are_told() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, ACME_CP).addresses.push(address(2, "fd00:60::10", 64));
            network(seen, ACME_POD).addresses.push(address(2, "192.168.61.77", 24));
            network(seen, ACME_SWITCH).addresses.push(address(2, "192.168.60.200", 24));
            network(seen, ACME_POD).addresses.push(address(2, "fe80::1", 64));
        }));
    }

    #[test]
    fn the_hosts_addresses_in_an_instances_networks_are_told_wherever_they_are() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, HOST).addresses.push(address(2, "10.244.0.99", 32));
            network(seen, HOST).addresses.push(address(HL_A, "fd00:60::1", 64));
            add_network(seen, 902, &[veth(2, "eth0", (77, HOST))]).addresses.push(address(
                2,
                "192.168.61.50",
                24,
            ));
            add_network(seen, 903, &[]).addresses.push(address(1, "192.168.61.51", 24));
        }));
    }

    #[test]
    fn an_address_that_is_gone_and_a_hardware_address_that_is_there_twice_are_told() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, ACME_CP).addresses.retain(|it| it.address.addr().to_string() != "192.168.60.10");
            let mac = network(seen, ACME_CP).links[1].mac.clone();
            network(seen, GLOBEX_CP).links[1].mac = mac;
            network(seen, GLOBEX_CP).addresses.retain(|it| it.address.addr().is_ipv4());
        }));
    }
}
