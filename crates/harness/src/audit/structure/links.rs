//! Links, by their other ends and never by their names: of switches, nodes and pods, and of every namespace that has a
//! link into one of them.

use std::collections::BTreeSet;

use probe::structure::{Link, Network};
use provisioner::request::CniKind;

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for network in &ground.seen.networks {
        match ground.owners.get(&network.inode) {
            Some(Owner::Host) | None => elsewhere(ground, network, &mut all),
            Some(owner) => of_instance(ground, *owner, network, &mut all),
        }
    }
    all
}

/// The links of a switch, a node or a pod.
fn of_instance(ground: &Ground<'_>, owner: Owner, network: &Network, all: &mut Vec<Difference>) {
    let mut uplinks = 0;
    for link in &network.links {
        if is_kernels_own(link, network) {
            continue;
        }
        match meaning(ground, owner, network.inode, link) {
            Meaning::Uplink => {
                uplinks += 1;
                if uplinks > 1 {
                    all.push(unplanned(ground, owner, network, link));
                }
            }
            Meaning::Planned => {}
            Meaning::Unknown => all.push(unplanned(ground, owner, network, link)),
        }
    }
}

enum Meaning {
    /// The one link towards the switch (of a node), or towards the node (of a pod).
    Uplink,
    Planned,
    Unknown,
}

fn meaning(ground: &Ground<'_>, owner: Owner, own: u64, link: &Link) -> Meaning {
    let kind = link.kind.as_deref();
    let peer = link.peer.filter(|_| kind == Some("veth")).and_then(|peer| peer.namespace);
    let end = peer.and_then(|inode| ground.owners.get(&inode)).copied();
    match (owner, end) {
        // The ports of a switch are compared by `ports`.
        (Owner::Switch(_), _) if link.controller.is_some() || kind == Some("bridge") => Meaning::Planned,
        (Owner::Node(instance, _), Some(Owner::Switch(other))) if instance == other => Meaning::Uplink,
        (Owner::Node(instance, node), Some(Owner::Pod(other, on))) if (instance, node) == (other, on) => {
            Meaning::Planned
        }
        (Owner::Pod(instance, node), Some(Owner::Node(other, on))) if (instance, node) == (other, on) => {
            Meaning::Uplink
        }
        // Cilium's own pair, cilium_host and cilium_net.
        (Owner::Node(instance, _), Some(_))
            if peer == Some(own) && ground.instance(instance).cni == CniKind::Cilium =>
        {
            Meaning::Planned
        }
        _ => Meaning::Unknown,
    }
}

/// Loopback, and the devices that modules for tunnels make in each namespace, as long as they are off and without an
/// address.
pub(super) fn is_kernels_own(link: &Link, network: &Network) -> bool {
    const FALLBACK: [(&str, &str); 10] = [
        ("tunl0", "ipip"),
        ("gre0", "gre"),
        ("gretap0", "gretap"),
        ("erspan0", "erspan"),
        ("ip_vti0", "vti"),
        ("ip6_vti0", "vti6"),
        ("sit0", "sit"),
        ("ip6tnl0", "ip6tnl"),
        ("ip6gre0", "ip6gre"),
        ("teql0", ""),
    ];
    let is_fallback = FALLBACK
        .iter()
        .any(|(name, kind)| link.name == *name && link.kind.as_deref().unwrap_or_default() == *kind);
    let has_address = network.addresses.iter().any(|address| address.link == link.index);
    link.loopback
        || (is_fallback && !link.up && !has_address && link.leads.is_empty() && link.controller.is_none())
}

fn unplanned(ground: &Ground<'_>, owner: Owner, network: &Network, link: &Link) -> Difference {
    let mut instances: BTreeSet<usize> = owner.instance().into_iter().collect();
    let (to, effect) = end(ground, owner, network, link, &mut instances);
    let found = format!("link {} in {}: {to}", link.name, ground.place(network.inode));
    let planned = match owner {
        Owner::Switch(_) => "a bridge and its ports",
        Owner::Node(..) => "one link to the switch, and links to the node's pods",
        Owner::Pod(..) => "one link to the pod's node",
        Owner::Host => "",
    };
    let names = instances.into_iter().map(|instance| ground.name(instance));
    Difference::of(DifferenceKind::Links, names, effect, found).instead_of(planned)
}

/// Where an unplanned link leads, in words, and what that means.
fn end(
    ground: &Ground<'_>,
    owner: Owner,
    network: &Network,
    link: &Link,
    instances: &mut BTreeSet<usize>,
) -> (String, Effect) {
    let kind = link.kind.as_deref().unwrap_or("device");
    let holders: Vec<u32> = ground
        .seen
        .processes
        .iter()
        .filter(|it| {
            it.taps.contains(&link.name) && ground.nodes.get(&it.pid).map(|node| node.0) != owner.instance()
        })
        .map(|process| process.pid)
        .collect();
    match link.peer {
        Some(peer) => {
            let Some(inode) = peer.namespace else {
                let to =
                    format!("a {kind} whose other end is in a namespace that no process or mount leads to");
                return (to, Effect::OpensPath);
            };
            instances.extend(feet(ground, inode));
            let below = ground.link(inode, peer.index).filter(|_| inode == ground.seen.host.net);
            instances.extend(below.and_then(|below| ground.host_link(&below.name)));
            let within = ground
                .owners
                .get(&inode)
                .is_some_and(|end| end.instance().is_some() && end.instance() == owner.instance());
            let to = format!("a {kind} to {}", ground.place(inode));
            (to, if within { Effect::Unplanned } else { Effect::OpensPath })
        }
        None if !link.leads.is_empty() => (format!("a {kind}, {}", link.leads.join(", ")), Effect::OpensPath),
        None if kind == "tun" && holders.is_empty() => ("a TUN or TAP link".to_owned(), Effect::Unplanned),
        None if kind == "tun" => {
            let holders: Vec<String> = holders.iter().map(|pid| ground.process(*pid)).collect();
            (format!("a TUN or TAP link of {}", holders.join(", ")), Effect::OpensPath)
        }
        // A device without a kind is hardware.
        None if link.kind.is_none() => ("a device of the host".to_owned(), Effect::OpensPath),
        None if link.controller.and_then(|index| ground.link(network.inode, index)).is_some() => {
            (format!("a {kind}, a port"), Effect::Unplanned)
        }
        None => (format!("a {kind}"), Effect::Unplanned),
    }
}

/// All instances to which a namespace has a link.
fn feet(ground: &Ground<'_>, inode: u64) -> BTreeSet<usize> {
    let own = ground.owners.get(&inode).and_then(|owner| owner.instance());
    if own.is_some() || inode == ground.seen.host.net {
        return own.into_iter().collect();
    }
    let ends = ground.network(inode).into_iter().flat_map(|network| &network.links);
    let ends = ends.filter_map(|link| ground.owners.get(&link.peer?.namespace?)?.instance());
    ends.collect()
}

/// Links of the host, and of namespaces that belong to no instance, that lead into an instance.
fn elsewhere(ground: &Ground<'_>, network: &Network, all: &mut Vec<Difference>) {
    let is_host = network.inode == ground.seen.host.net;
    for link in &network.links {
        let Some(peer) = link.peer else { continue };
        let Some(inode) = peer.namespace else {
            // The other end of the host's own link must be in the switch.
            if let Some(instance) = ground.host_link(&link.name).filter(|_| is_host) {
                let found =
                    format!("the other end of the host's link {} is in an unknown namespace", link.name);
                let difference =
                    Difference::of(DifferenceKind::Links, [ground.name(instance)], Effect::OpensPath, found);
                all.push(difference.instead_of("a veth pair to the switch"));
            }
            continue;
        };
        let there = ground.owners.get(&inode).copied();
        let own = if is_host { ground.host_link(&link.name) } else { None };
        if let Some(instance) = own {
            if there != Some(Owner::Switch(instance)) {
                let found = format!("the host's link {} leads to {}", link.name, ground.place(inode));
                let difference =
                    Difference::of(DifferenceKind::Links, [ground.name(instance)], Effect::OpensPath, found);
                all.push(difference.instead_of("a veth pair to the switch"));
            }
            continue;
        }
        // A link on top of the host's link of an instance (macvlan, VLAN), wherever it is.
        let below = ground.link(inode, peer.index).filter(|_| inode == ground.seen.host.net);
        let below = below.and_then(|below| ground.host_link(&below.name));
        let is_veth = link.kind.as_deref() == Some("veth");
        // The instance's side of a veth pair tells of both ends.
        let into = there.and_then(Owner::instance).filter(|_| !is_veth);
        if let Some(instance) = below.or(into) {
            let kind = link.kind.as_deref().unwrap_or("device");
            let found = format!(
                "link {} in {}: a {kind} on a link of the instance",
                link.name,
                ground.place(network.inode)
            );
            let mut instances = feet(ground, network.inode);
            instances.insert(instance);
            let names = instances.into_iter().map(|instance| ground.name(instance));
            all.push(Difference::of(DifferenceKind::Links, names, Effect::OpensPath, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use probe::structure::{Network, Peer, Process};

    use super::super::sample::{self, *};
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn planned_links_and_the_kernels_own_are_no_difference() {
        assert_eq!(found(|_| {}), "");
        assert_eq!(
            found(|seen| {
                let tunnel = Link {
                    index: 9,
                    name: "tunl0".to_owned(),
                    kind: Some("ipip".to_owned()),
                    ..Link::default()
                };
                network(seen, ACME_CP).links.push(tunnel);
            }),
            ""
        );
    }

    #[test]
    fn a_second_link_of_a_pod_or_of_a_node_is_told_by_its_other_end() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, ACME_POD).links.push(sample::veth(8, "net1", (81, GLOBEX_SWITCH)));
            network(seen, ACME_CP).links.push(sample::veth(8, "lxc0a1b2c", (82, GLOBEX_CP)));
        }));
    }

    #[test]
    fn a_link_on_an_instance_in_a_namespace_that_nothing_leads_to_is_told() {
        let told = found(|seen| {
            let on = |index, of: &str, seen: &probe::structure::Seen| {
                let below = seen.networks[0].links.iter().find(|link| link.name == of).unwrap().index;
                Link {
                    index,
                    name: format!("m{index}"),
                    kind: Some("macvlan".to_owned()),
                    peer: Some(Peer { index: below, namespace: Some(HOST) }),
                    ..Link::default()
                }
            };
            let links = ["hl-a", "hl-g"].iter().zip(7..).map(|(of, index)| on(index, of, seen)).collect();
            let hidden = Network { inode: 1 << 63 | 5, is_hidden: true, links, ..Network::default() };
            seen.networks.push(hidden);
        });
        assert!(told.contains("link m7 in a namespace that no process, file or mount leads to"), "{told}");
        assert!(told.contains("acme: ") && told.contains("globex: "), "{told}");
    }

    #[test]
    fn a_router_with_a_foot_in_both_instances_names_both() {
        insta::assert_snapshot!(found(|seen| {
            add_network(
                seen,
                900,
                &[sample::veth(2, "a", (83, ACME_SWITCH)), sample::veth(3, "b", (83, GLOBEX_CP))],
            );
            network(seen, ACME_SWITCH).links.push(sample::veth(83, "x", (2, 900)));
            network(seen, GLOBEX_CP).links.push(sample::veth(83, "y", (3, 900)));
        }));
    }

    #[test]
    fn a_macvlan_on_the_hosts_link_is_told_wherever_it_is() {
        insta::assert_snapshot!(found(|seen| {
            let below = network(seen, HOST).links.iter().find(|link| link.name == "hl-a").unwrap().index;
            let peer = Some(Peer { index: below, namespace: Some(HOST) });
            let link = Link {
                index: 2,
                name: "eth0".to_owned(),
                kind: Some("macvlan".to_owned()),
                peer,
                ..Link::default()
            };
            add_network(seen, 901, std::slice::from_ref(&link));
            network(seen, GLOBEX_POD).links.push(Link { index: 7, ..link });
        }));
    }

    #[test]
    fn a_tunnel_a_tap_of_a_foreign_process_and_hardware_open_paths_and_a_dummy_is_only_unplanned() {
        insta::assert_snapshot!(found(|seen| {
            let link = |index, name: &str, kind: Option<&str>| Link {
                index,
                name: name.to_owned(),
                kind: kind.map(str::to_owned),
                up: true,
                ..Link::default()
            };
            let links = &mut network(seen, ACME_CP).links;
            links.push(Link { leads: vec!["remote 192.168.61.10".to_owned()], ..link(20, "g", Some("gre")) });
            links.push(link(21, "tap0", Some("tun")));
            links.push(link(22, "ens1", None));
            links.push(link(23, "d", Some("dummy")));
            links
                .push(Link { peer: Some(Peer { index: 1, namespace: None }), ..link(24, "v", Some("veth")) });
            seen.processes.push(Process {
                pid: 5000,
                comm: "vpn".to_owned(),
                taps: vec!["tap0".to_owned()],
                ..Process::default()
            });
        }));
    }

    #[test]
    fn vms_have_no_namespaces_to_compare() {
        let (planned, seen) = vms();
        assert_eq!(told(&compare(&Ground::of(&planned, &seen))), "");
    }
}
