//! Sockets of the host that lead into an instance, serve it, or listen on its links.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use probe::structure::{Process, Socket};
use provisioner::plan::API_PORT;

use super::channels;
use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, Explanation, PlannedInstance};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let relays: BTreeMap<u32, Vec<Difference>> = ground
        .seen
        .processes
        .iter()
        .map(|process| (process.pid, relays(ground, process)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    let clients = ground.seen.processes.iter().filter_map(|process| client_of_two(ground, process));
    let mut all = on_own_addresses(ground, &relays.keys().copied().collect());
    all.extend(relays.into_values().flatten());
    all.extend(clients);
    all.extend(sniffers(ground));
    all.extend(channels::compare(ground));
    all.extend(vsock(ground));
    all
}

fn audit(ground: &Ground<'_>, pid: u32) -> Option<Explanation> {
    ground.of_audit.contains(&pid).then_some(Explanation::Audit)
}

/// Whether others can send to a socket: TCP and SCTP listen, datagram sockets have no peer.
fn listens(socket: &Socket) -> bool {
    const LISTEN: u8 = 10;
    match socket.protocol.as_str() {
        "tcp" | "tcp6" | "dccp" | "sctp" | "vsock" => socket.state == LISTEN,
        "udp" | "udp6" | "udplite" | "udplite6" => {
            socket.remote.is_none() && socket.local.is_some_and(|it| it.1 != 0)
        }
        _ => false,
    }
}

fn said(socket: &Socket) -> String {
    let place = socket.local.map(|(address, port)| match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    });
    let place = place.or(socket.name.clone()).unwrap_or_default();
    format!("{} {place}", socket.protocol)
}

/// A process outside of an instance that is connected to it, or has an address or a folder of it in its command line, and
/// listens for others at the same time. A process that only asks is a client.
fn relays(ground: &Ground<'_>, process: &Process) -> Vec<Difference> {
    let home = ground.nodes.get(&process.pid).map(|(instance, _)| *instance);
    let sockets: Vec<&(u64, &Socket)> =
        process.sockets.iter().filter_map(|inode| ground.sockets.get(inode)).collect();
    let mut led: BTreeMap<usize, String> = BTreeMap::new();
    for address in process.mentions.iter().filter(|address| !ground.is_of_host(**address)) {
        if let Some(instance) = ground.with_address(*address) {
            led.insert(instance, format!("has {address} in its command line"));
        }
    }
    for folder in &process.folders {
        let is_it = |plan: &PlannedInstance| plan.nodes.iter().any(|node| node.scope == *folder);
        if let Some((instance, _)) = ground.instances().find(|(_, plan)| is_it(plan)) {
            led.insert(instance, format!("works in the folder of {folder}, or has it in its command line,"));
        }
    }
    for (net, socket) in &sockets {
        let inside = ground.owners.get(net).and_then(|owner| owner.instance());
        if let Some((address, port)) = socket.remote
            && let Some(instance) = ground.with_address(address)
            && inside != Some(instance)
            && !listens(socket)
        {
            led.insert(instance, format!("is connected to {address}:{port}"));
        }
    }
    led.retain(|instance, _| home != Some(*instance));
    // Addresses of the host itself are in the instances' networks, and no instance is behind them.
    let listeners: Vec<&Socket> =
        sockets.iter().map(|(_, socket)| *socket).filter(|it| listens(it)).collect();
    let is_far = |socket: &&Socket| socket.local.is_none_or(|(address, _)| !address.is_loopback());
    let mut all = Vec::new();
    for (instance, how) in led {
        let plan = ground.instance(instance);
        let listeners: Vec<&Socket> = listeners.clone();
        if listeners.is_empty() {
            continue;
        }
        let far: Vec<&Socket> = listeners.iter().copied().filter(is_far).collect();
        let (effect, told) =
            if far.is_empty() { (Effect::Unplanned, listeners) } else { (Effect::OpensPath, far) };
        // Who can connect: the instances in whose networks it listens.
        let near = told.iter().filter_map(|socket| ground.with_address(socket.local?.0));
        let near: Vec<usize> = near.collect();
        let told: Vec<String> = told.into_iter().map(said).collect();
        let found = format!("{} {how} and listens on {}", ground.process(process.pid), told.join(", "));
        let others = home.into_iter().chain(near).map(|instance| ground.name(instance));
        let names = [plan.name.as_str()].into_iter().chain(others);
        all.push(
            Difference::of(DifferenceKind::Sockets, names, effect, found)
                .explained(audit(ground, process.pid)),
        );
    }
    all
}

/// A process outside of the instances that is connected to two of them: what one of them answers can go to the other. An
/// administrator's program is connected to several API servers, so those connections do not count.
fn client_of_two(ground: &Ground<'_>, process: &Process) -> Option<Difference> {
    let sockets = process.sockets.iter().filter_map(|inode| ground.sockets.get(inode));
    let ends = sockets.filter(|(_, socket)| !listens(socket)).filter_map(|(_, socket)| {
        let (address, port) = socket.remote.filter(|(_, port)| *port != API_PORT)?;
        Some((ground.with_address(address).filter(|_| !ground.is_of_host(address))?, (address, port)))
    });
    let ends: BTreeMap<usize, (IpAddr, u16)> = ends.collect();
    if ends.len() < 2 || ground.nodes.contains_key(&process.pid) {
        return None; // S10 tells of a process of a node with a foot elsewhere
    }
    let words: Vec<String> = ends.values().map(|(address, port)| format!("{address}:{port}")).collect();
    let found = format!("{} is connected to {}", ground.process(process.pid), words.join(" and "));
    let names = ends.keys().map(|instance| ground.name(*instance));
    let difference = Difference::of(DifferenceKind::Sockets, names, Effect::OpensPath, found);
    Some(difference.explained(audit(ground, process.pid)))
}

/// The holders of a socket.
fn holders<'a>(ground: &Ground<'a>, inode: u64) -> Vec<&'a Process> {
    ground.seen.processes.iter().filter(|process| process.sockets.contains(&inode)).collect()
}

/// Sockets on the host's own addresses in the instances' networks. The host offers nothing there, but for the
/// hypervisor's DHCP and DNS in a management network. Sockets of relays are told with them.
fn on_own_addresses(ground: &Ground<'_>, relays: &BTreeSet<u32>) -> Vec<Difference> {
    let Some(host) = ground.host() else { return Vec::new() };
    let mut all = Vec::new();
    for socket in host.sockets.iter().filter(|socket| listens(socket)) {
        let Some(instance) = socket.local.and_then(|(address, _)| ground.with_address(address)) else {
            continue;
        };
        let plan = ground.instance(instance);
        let holders = holders(ground, socket.inode);
        if !holders.is_empty() && holders.iter().all(|process| relays.contains(&process.pid)) {
            continue;
        }
        let port = socket.local.map(|(_, port)| port).unwrap_or_default();
        let in_management = socket.local.is_some_and(|(address, _)| match address {
            IpAddr::V4(address) => plan.management.is_some_and(|net| net.contains(&address)),
            IpAddr::V6(_) => false,
        });
        let by_hypervisor =
            in_management && [53, 67].contains(&port) && holders.iter().any(|it| it.comm == "dnsmasq");
        let by_audit = !holders.is_empty() && holders.iter().all(|it| ground.of_audit.contains(&it.pid));
        let explained = match (by_hypervisor, by_audit) {
            (true, _) => Some(Explanation::Hypervisor),
            (_, true) => Some(Explanation::Audit),
            _ => None,
        };
        let found = format!("{} listens on the host's address {}", who(ground, &holders), said(socket));
        let difference =
            Difference::of(DifferenceKind::Sockets, [plan.name.as_str()], Effect::Unplanned, found);
        all.push(difference.instead_of("no service of the host").explained(explained));
    }
    all
}

fn who(ground: &Ground<'_>, holders: &[&Process]) -> String {
    if holders.is_empty() {
        return "an unknown process".to_owned();
    }
    holders.iter().map(|process| ground.process(process.pid)).collect::<Vec<_>>().join(", ")
}

/// Sockets that take whole frames (packet, XDP) from a link of an instance: outside of it, they can copy its traffic.
fn sniffers(ground: &Ground<'_>) -> Vec<Difference> {
    let Some(host) = ground.host() else { return Vec::new() };
    let mut all = Vec::new();
    for socket in host.sockets.iter().filter(|it| it.protocol == "packet" || it.protocol == "xdp") {
        let link = socket.link.filter(|index| *index != 0);
        let name = link
            .and_then(|index| host.links.iter().find(|link| link.index == index))
            .map(|link| link.name.as_str());
        let instance = name.and_then(|name| ground.host_link(name));
        let (names, on, effect) = match (link, instance) {
            (_, Some(instance)) => (vec![ground.name(instance)], name.unwrap_or_default(), Effect::OpensPath),
            (None, _) => (ground.names().collect(), "all links of the host", Effect::Unplanned),
            (Some(_), None) => continue,
        };
        let holders = holders(ground, socket.inode);
        let by_audit = !holders.is_empty() && holders.iter().all(|it| ground.of_audit.contains(&it.pid));
        let found = format!("{} takes frames from {on} ({} socket)", who(ground, &holders), socket.protocol);
        let difference = Difference::of(DifferenceKind::Sockets, names, effect, found);
        all.push(difference.explained(by_audit.then_some(Explanation::Audit)));
    }
    all
}

/// Services of the host for VMs that need no network. Only VMs with a vsock device reach them.
fn vsock(ground: &Ground<'_>) -> Vec<Difference> {
    let reaching =
        ground.seen.processes.iter().filter(|it| it.open_devices.iter().any(|it| it == "/dev/vhost-vsock"));
    let instances: BTreeSet<usize> = reaching.filter_map(|process| ground.of_guest(process)).collect();
    let host = ground.owned().filter(|(owner, _)| *owner == Owner::Host).flat_map(|(_, host)| &host.sockets);
    let listening = host.filter(|socket| socket.protocol == "vsock" && listens(socket));
    let told = listening.filter(|_| !instances.is_empty()).map(|socket| {
        let names = instances.iter().map(|instance| ground.name(*instance));
        let found = format!("{} listens on {}", who(ground, &holders(ground, socket.inode)), said(socket));
        Difference::of(DifferenceKind::Sockets, names, Effect::OpensPath, found)
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

    fn listening(protocol: &str, inode: u64, local: &str, port: u16) -> Socket {
        let state = if protocol.starts_with("udp") { 7 } else { 10 };
        let local = Some((local.parse().unwrap(), port));
        Socket { protocol: protocol.to_owned(), inode, local, state, ..Socket::default() }
    }

    fn connected(protocol: &str, inode: u64, remote: &str, port: u16) -> Socket {
        let remote = Some((remote.parse().unwrap(), port));
        Socket { protocol: protocol.to_owned(), inode, remote, state: 1, ..Socket::default() }
    }

    #[test]
    fn clients_and_services_that_have_nothing_to_do_with_an_instance_are_no_difference() {
        assert_eq!(
            found(|seen| {
                let host = seen.host;
                network(seen, HOST).sockets.extend([
                    connected("tcp", 1, "192.168.60.10", 6443),
                    listening("tcp", 2, "0.0.0.0", 22),
                    listening("udp6", 3, "::", 53),
                    connected("tcp", 4, "203.0.113.7", 443),
                    listening("tcp", 5, "127.0.0.1", 8001),
                ]);
                seen.processes.push(process(7000, "kubectl", host, &[1]));
                seen.processes.push(process(7001, "sshd", host, &[2, 3, 4]));
                seen.processes.push(process(7002, "ide", host, &[5]));
            }),
            ""
        );
    }

    #[test]
    fn a_process_that_is_connected_to_an_instance_and_listens_is_a_relay() {
        insta::assert_snapshot!(found(|seen| {
            let host = seen.host;
            network(seen, HOST).sockets.extend([
                connected("tcp", 1, "192.168.60.10", 6443),
                listening("tcp6", 2, "::", 8080),
                connected("udp", 3, "10.245.0.7", 53),
                listening("udp", 4, "127.0.0.1", 5353),
                listening("sctp", 5, "0.0.0.0", 7777),
                listening("tcp", 6, "192.168.60.1", 7778),
            ]);
            seen.processes.push(process(7000, "kubectl", host, &[1, 2]));
            seen.processes.push(process(7001, "dns", host, &[3, 4]));
            let mut idle = process(7002, "socat", host, &[5]);
            idle.mentions = vec!["192.168.61.10".parse().unwrap()];
            seen.processes.push(idle);
            let mut between = process(7003, "socat", host, &[6]);
            between.mentions = vec!["192.168.60.1".parse().unwrap(), "192.168.61.10".parse().unwrap()];
            seen.processes.push(between);
        }));
    }

    #[test]
    fn a_process_that_is_connected_to_two_instances_opens_a_path_unless_it_asks_their_api_servers() {
        let between = |ends: [(&str, u16); 2]| {
            found(|seen| {
                let sockets =
                    ends.iter().zip([1, 2]).map(|((to, port), inode)| connected("udp", inode, to, *port));
                network(seen, HOST).sockets.extend(sockets);
                seen.processes.push(process(7000, "dialler", seen.host, &[1, 2]));
            })
        };
        let told = between([("192.168.60.10", 9000), ("192.168.61.10", 9000)]);
        assert!(told.starts_with("acme, globex: process 7000 (dialler) is connected to"), "{told}");
        assert!(told.contains("192.168.60.10:9000 and 192.168.61.10:9000 (opens a path)"), "{told}");
        for harmless in [
            [("192.168.60.10", 6443), ("192.168.61.10", 6443)],
            [("192.168.60.10", 9000), ("192.168.60.21", 9001)],
            [("192.168.60.1", 53), ("192.168.61.10", 9000)],
        ] {
            assert_eq!(between(harmless), "", "{harmless:?}");
        }
    }

    #[test]
    fn a_listener_that_works_in_the_folder_of_a_node_is_a_relay() {
        let told = found(|seen| {
            network(seen, HOST).sockets.push(listening("tcp", 1, "0.0.0.0", 8080));
            let mut server = process(7000, "http", seen.host, &[1]);
            server.folders =
                vec!["homelab-0a1b2c.globex.globex-cp-1".to_owned(), "of-no-instance".to_owned()];
            seen.processes.push(server);
        });
        assert!(
            told.starts_with(
                "globex: process 7000 (http) works in the folder of homelab-0a1b2c.globex.globex-cp-1"
            ),
            "{told}"
        );
        assert!(told.contains("(opens a path)"), "{told}");
    }

    #[test]
    fn a_relay_within_another_instance_names_both() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, GLOBEX_CP)
                .sockets
                .extend([connected("tcp", 1, "192.168.60.10", 6443), listening("tcp", 2, "0.0.0.0", 443)]);
            let globex = seen.processes.iter_mut().find(|process| process.pid == GLOBEX_PID).unwrap();
            globex.sockets = vec![1, 2];
        }));
    }

    #[test]
    fn services_on_the_hosts_own_address_and_sniffers_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let host = seen.host;
            let sniffer = |inode, link| Socket {
                protocol: "packet".to_owned(),
                inode,
                link: Some(link),
                ..Socket::default()
            };
            network(seen, HOST).sockets.extend([
                listening("udp", 1, "192.168.60.1", 53),
                sniffer(2, HL_A),
                sniffer(3, 0),
                sniffer(4, 2),
            ]);
            seen.processes.push(process(7000, "named", host, &[1]));
            seen.processes.push(process(7001, "tcpdump", host, &[2, 3, 4]));
        }));
    }

    #[test]
    fn a_hypervisors_dhcp_is_explained_and_a_vsock_service_is_not() {
        let (planned, mut seen) = vms();
        let host = seen.host;
        let gateway = planned.instances[0].management.and_then(|net| net.hosts().next()).unwrap().to_string();
        network(&mut seen, HOST).sockets.extend([
            listening("udp", 1, &gateway, 67),
            Socket {
                protocol: "vsock".to_owned(),
                inode: 2,
                state: 10,
                name: Some("2:1024".to_owned()),
                ..Socket::default()
            },
        ]);
        seen.processes.push(process(7000, "dnsmasq", host, &[1]));
        seen.processes.push(process(7001, "agent", host, &[2]));
        let machine = seen.processes.iter_mut().find(|process| process.guest.is_some()).unwrap();
        machine.open_devices = vec!["/dev/vhost-vsock".to_owned()];
        insta::assert_snapshot!(told(&compare(&Ground::of(&planned, &seen))));
    }
}
