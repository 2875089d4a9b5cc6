//! The ports of the instances' bridges: one to the host, one for each node, and no other.

use std::collections::BTreeSet;

use probe::structure::{Link, Network};

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, PlannedInstance};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for (place, instance) in ground.instances() {
        if instance.is_virtual {
            of_vms(ground, place, instance, &mut all);
        } else {
            of_switch(ground, place, instance, &mut all);
        }
    }
    all
}

/// The end that a port of a switch may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Host,
    Node(usize),
}

fn of_switch(ground: &Ground<'_>, place: usize, instance: &PlannedInstance, all: &mut Vec<Difference>) {
    let name = instance.name.as_str();
    let difference = |effect, found: String| Difference::of(DifferenceKind::Ports, [name], effect, found);
    let Some((_, switch)) = ground.owned().find(|(owner, _)| *owner == Owner::Switch(place)) else {
        let planned = format!("the namespace {} with its bridge", instance.switch);
        return all.push(
            difference(Effect::Unplanned, "no such namespace was found".to_owned()).instead_of(planned),
        );
    };
    let is_bridge = |link: &&Link| link.kind.as_deref() == Some("bridge");
    let bridges: Vec<u32> = switch.links.iter().filter(is_bridge).map(|link| link.index).collect();
    if bridges.len() != 1 {
        let found = format!("the switch has {} bridges", bridges.len());
        all.push(difference(Effect::Unplanned, found).instead_of("one bridge"));
    }
    let mut ends = BTreeSet::new();
    for port in switch.links.iter().filter(|link| link.controller.is_some()) {
        let end = end(ground, place, instance, port);
        match end {
            Some(end) if ends.insert(end) => vlans(port, &difference, all),
            _ => {
                let to = port.peer.and_then(|peer| peer.namespace).map_or_else(
                    || format!("a {}", port.kind.as_deref().unwrap_or("device")),
                    |inode| format!("the link to {}", ground.place(inode)),
                );
                let peer = port.peer.and_then(|peer| ground.owners.get(&peer.namespace?));
                let other = peer.and_then(|owner| owner.instance()).map(|instance| ground.name(instance));
                let found = format!("port {} of the switch is {to}", port.name);
                let names = [name].into_iter().chain(other);
                all.push(
                    Difference::of(DifferenceKind::Ports, names, Effect::OpensPath, found)
                        .instead_of("a port to the host and one for each node"),
                );
            }
        }
    }
    if !ends.contains(&End::Host) {
        let planned = format!("a port to the host's link {}", instance.link);
        all.push(
            difference(Effect::Unplanned, "the switch has no port to the host".to_owned())
                .instead_of(planned),
        );
    }
    for (_, planned) in
        instance.nodes.iter().enumerate().filter(|(node, _)| !ends.contains(&End::Node(*node)))
    {
        let found = format!("the switch has no port to node {}", planned.name);
        all.push(difference(Effect::Unplanned, found).instead_of("a port to each node"));
    }
    on_host(ground, instance, all);
}

/// The planned end of a port; `None` for any other.
fn end(ground: &Ground<'_>, place: usize, instance: &PlannedInstance, port: &Link) -> Option<End> {
    let peer = port.peer.filter(|_| port.kind.as_deref() == Some("veth"))?;
    match ground.owners.get(&peer.namespace?)? {
        Owner::Host => {
            let link = ground.link(ground.seen.host.net, peer.index)?;
            (link.name == instance.link).then_some(End::Host)
        }
        Owner::Node(of, node) if *of == place => Some(End::Node(*node)),
        _ => None,
    }
}

fn vlans(port: &Link, difference: &dyn Fn(Effect, String) -> Difference, all: &mut Vec<Difference>) {
    if !port.vlans.iter().all(|vlan| *vlan == 1) {
        let found = format!("port {} of the switch passes VLANs {:?}", port.name, port.vlans);
        all.push(difference(Effect::Unplanned, found).instead_of("no VLAN"));
    }
}

/// The host's end of a cable is no port of anything.
fn on_host(ground: &Ground<'_>, instance: &PlannedInstance, all: &mut Vec<Difference>) {
    let Some(host) = ground.host() else { return };
    let own = host.links.iter().find(|link| link.name == instance.link);
    if let Some(controller) = own.and_then(|link| link.controller) {
        let bridge = name_of(host, controller);
        let found = format!("the host's link {} is a port of {bridge}", instance.link);
        let difference =
            Difference::of(DifferenceKind::Ports, [instance.name.as_str()], Effect::OpensPath, found);
        all.push(difference.instead_of("a link that is a port of nothing"));
    }
}

/// VMs have their bridges on the host. Each port is a TAP that the process of one of the instance's VMs holds.
fn of_vms(ground: &Ground<'_>, place: usize, instance: &PlannedInstance, all: &mut Vec<Difference>) {
    let Some(host) = ground.host() else { return };
    let management = instance.management.map(|_| instance.management_link.as_str());
    for bridge in [Some(instance.link.as_str()), management].into_iter().flatten() {
        let Some(bridge) = host.links.iter().find(|link| link.name == bridge) else {
            let found = format!("the host has no bridge {bridge}");
            let difference =
                Difference::of(DifferenceKind::Ports, [instance.name.as_str()], Effect::Unplanned, found);
            all.push(difference.instead_of("a bridge for each network of the instance"));
            continue;
        };
        for port in host.links.iter().filter(|link| link.controller == Some(bridge.index)) {
            let mut holders =
                ground.seen.processes.iter().filter(|process| process.taps.contains(&port.name));
            let others: BTreeSet<usize> = holders.clone().filter_map(|it| ground.of_guest(it)).collect();
            let is_own =
                holders.clone().next().is_some() && holders.all(|it| ground.of_guest(it) == Some(place));
            if is_own {
                continue;
            }
            let found =
                format!("port {} of bridge {} is no link of a VM of the instance", port.name, bridge.name);
            let names = others.iter().map(|other| ground.name(*other)).chain([instance.name.as_str()]);
            let difference = Difference::of(DifferenceKind::Ports, names, Effect::OpensPath, found);
            all.push(difference.instead_of("a TAP of each VM of the instance"));
        }
        if let Some(controller) = bridge.controller {
            let found = format!("bridge {} is a port of {}", bridge.name, name_of(host, controller));
            let difference =
                Difference::of(DifferenceKind::Ports, [instance.name.as_str()], Effect::OpensPath, found);
            all.push(difference.instead_of("a bridge that is a port of nothing"));
        }
    }
}

fn name_of(network: &Network, index: u32) -> String {
    let link = network.links.iter().find(|link| link.index == index);
    link.map_or_else(|| format!("link {index}"), |link| link.name.clone())
}

#[cfg(test)]
mod tests {
    use probe::structure::Peer;

    use super::super::sample::{self, ACME_CP, ACME_SWITCH, HOST, found_by, network, vms};
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn planned_ports_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn a_port_to_any_other_place_is_told_whatever_it_is_called() {
        insta::assert_snapshot!(found(|seen| {
            let links = &mut network(seen, ACME_SWITCH).links;
            let bridge =
                links.iter().find(|link| link.kind.as_deref() == Some("bridge")).map(|link| link.index);
            let port =
                |index, name: &str, peer| Link { controller: bridge, ..sample::veth(index, name, peer) };
            links.push(port(70, "port-12", (70, HOST)));
            links.push(port(71, "port-13", (4, ACME_CP)));
            links.push(Link { kind: Some("vxlan".to_owned()), peer: None, ..port(72, "port-14", (0, HOST)) });
        }));
    }

    #[test]
    fn a_port_that_is_gone_and_a_vlan_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let links = &mut network(seen, ACME_SWITCH).links;
            links.retain(|link| link.peer.is_none_or(|peer| peer.namespace != Some(ACME_CP)));
            let port = links.iter_mut().find(|link| link.controller.is_some()).unwrap();
            port.vlans = vec![1, 100];
        }));
    }

    #[test]
    fn the_hosts_end_of_a_cable_must_not_be_in_a_bridge() {
        insta::assert_snapshot!(found(|seen| {
            let links = &mut network(seen, HOST).links;
            links.iter_mut().find(|link| link.name == "hl-a").unwrap().controller = Some(1);
        }), @"acme: the host's link hl-a is a port of lo; planned: a link that is a port of nothing (opens a path)");
    }

    #[test]
    fn ports_of_vms_are_taps_of_their_own_processes() {
        let (planned, mut seen) = vms();
        assert_eq!(sample::told(&compare(&Ground::of(&planned, &seen))), "");
        let host = network(&mut seen, HOST);
        let bridge =
            |name: &str, links: &[Link]| links.iter().find(|link| link.name == name).map(|it| it.index);
        let (own, other) = (bridge("hl-a", &host.links), bridge("hl-g", &host.links));
        host.links.iter_mut().find(|link| link.name == "vnet-g").unwrap().controller = own;
        host.links.push(Link { controller: other, ..sample::veth(90, "veth7", (3, 999)) });
        let peer = Some(Peer { index: 3, namespace: Some(999) });
        assert!(host.links.iter().any(|link| link.peer == peer));
        insta::assert_snapshot!(sample::told(&compare(&Ground::of(&planned, &seen))));
    }
}
