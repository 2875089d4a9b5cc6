//! Processes in namespaces of an instance that are not of its containers, and everything that has a foot in two places.

use std::collections::{BTreeMap, BTreeSet};

use probe::structure::{NamespaceKind, Process};

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, Explanation};

/// The folder of planned pins, and the point that every mount namespace copies from the host's.
const PINS: &str = "/run/homelab/netns/";

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let namespaces = owners(ground);
    let mut all: Vec<Difference> =
        ground.seen.processes.iter().flat_map(|process| one(ground, &namespaces, process)).collect();
    all.extend(pins(ground));
    all.extend(unknown(ground));
    all.extend(started_by_kernel(ground));
    all
}

/// Programs that the kernel starts on the host and that are files of an instance, or write there: they have the rights of the
/// host and see what the processes of all instances do.
fn started_by_kernel(ground: &Ground<'_>) -> Vec<Difference> {
    let told = ground.seen.programs.iter().flat_map(|(setting, program)| {
        let of = ground.instances().filter(|(_, plan)| program.contains(plan.folder.as_str()));
        of.map(move |(_, plan)| {
            let found = format!("the host's setting {setting} has a file of the instance: {program}");
            Difference::of(DifferenceKind::Processes, [plan.name.as_str()], Effect::OpensPath, found)
        })
    });
    told.collect()
}

type Owners = BTreeMap<(NamespaceKind, u64), (usize, usize)>;

/// The nodes to which namespaces of all kinds belong, by the processes of their containers; network namespaces by the
/// plan. The switch of an instance counts as its first node's.
fn owners(ground: &Ground<'_>) -> Owners {
    let mut owners = Owners::new();
    for (inode, owner) in &ground.owners {
        match owner {
            Owner::Host => {}
            Owner::Switch(instance) => drop(owners.insert((NamespaceKind::Net, *inode), (*instance, 0))),
            Owner::Node(instance, node) | Owner::Pod(instance, node) => {
                owners.insert((NamespaceKind::Net, *inode), (*instance, *node));
            }
        }
    }
    for process in &ground.seen.processes {
        let Some(node) = ground.nodes.get(&process.pid) else { continue };
        for kind in NamespaceKind::ALL {
            let inode = process.namespaces.of(kind);
            // Namespaces that are the host's are told at the process.
            if inode != 0 && inode != ground.seen.host.of(kind) {
                owners.entry((kind, inode)).or_insert(*node);
            }
        }
    }
    owners
}

/// The instances with a namespace of this process, and the kinds of these namespaces.
fn feet(owners: &Owners, namespaces: &[(NamespaceKind, u64)]) -> BTreeMap<usize, BTreeSet<&'static str>> {
    let mut feet: BTreeMap<usize, BTreeSet<&'static str>> = BTreeMap::new();
    for namespace in namespaces {
        if let Some((instance, _)) = owners.get(namespace) {
            feet.entry(*instance).or_default().insert(namespace.0.name());
        }
    }
    feet
}

/// The namespaces of a process and of its threads.
fn own(process: &Process) -> Vec<(NamespaceKind, u64)> {
    let own = NamespaceKind::ALL.into_iter().map(|kind| (kind, process.namespaces.of(kind)));
    own.filter(|(_, inode)| *inode != 0).chain(process.of_threads.iter().copied()).collect()
}

/// The instances to which each process belongs, by its container or by its namespaces. A process that is not here is the
/// host's or the audit's.
pub(super) fn instances(ground: &Ground<'_>) -> BTreeMap<u32, BTreeSet<usize>> {
    let owners = owners(ground);
    let of = |process: &Process| {
        if ground.of_audit.contains(&process.pid) {
            return BTreeSet::new();
        }
        let home = ground.nodes.get(&process.pid).map(|(instance, _)| *instance);
        feet(&owners, &own(process)).into_keys().chain(home).collect()
    };
    let all = ground.seen.processes.iter().map(|process| (process.pid, of(process)));
    all.filter(|(_, instances)| !instances.is_empty()).collect()
}

fn one(ground: &Ground<'_>, owners: &Owners, process: &Process) -> Vec<Difference> {
    let home = ground.nodes.get(&process.pid).copied();
    let explained = ground.of_audit.contains(&process.pid).then_some(Explanation::Audit);
    let own = own(process);
    let mut feet = feet(owners, &own);
    for net in sockets(ground, process) {
        if let Some(instance) = ground.owners.get(&net).and_then(|owner| owner.instance()) {
            feet.entry(instance).or_default().insert("sockets");
        }
    }
    let mut all = Vec::new();
    let words = ground.process(process.pid);
    let words = match home {
        Some(node) => format!("{words} of node {}", ground.node(node).name),
        None => words,
    };
    let mut tell = |instances: &BTreeSet<usize>, effect, found: String, planned: &str| {
        let names = instances.iter().map(|instance| ground.name(*instance));
        let difference = Difference::of(DifferenceKind::Processes, names, effect, found).instead_of(planned);
        all.push(difference.explained(explained));
    };

    let foreign: BTreeSet<usize> =
        feet.keys().copied().filter(|instance| home.is_none_or(|(own, _)| own != *instance)).collect();
    let held = self::feet(owners, &process.held);
    let held: BTreeSet<usize> = held
        .into_keys()
        .filter(|instance| home.is_none_or(|(own, _)| own != *instance) && !foreign.contains(instance))
        .collect();
    let held_words = || {
        let names: Vec<&str> = held.iter().map(|instance| ground.name(*instance)).collect();
        format!("holds a namespace of {}", names.join(" and "))
    };
    if !foreign.is_empty() {
        let places: Vec<String> = feet
            .iter()
            .filter(|(instance, _)| foreign.contains(*instance))
            .map(|(instance, kinds)| {
                let kinds: Vec<&str> = kinds.iter().copied().collect();
                format!("{} ({})", ground.name(*instance), kinds.join(", "))
            })
            .collect();
        let opens =
            home.is_some() || foreign.len() > 1 || !held.is_empty() || leads_out(ground, process, &foreign);
        let instances = foreign.iter().chain(&held).copied().chain(home.map(|(own, _)| own)).collect();
        let effect = if opens { Effect::OpensPath } else { Effect::Unplanned };
        let holds = if held.is_empty() { String::new() } else { format!(" and {}", held_words()) };
        tell(
            &instances,
            effect,
            format!("{words} is in {}{holds}", places.join(" and ")),
            "processes of the instance's own containers only",
        );
    }
    if let Some(node) = home {
        let shared = own
            .iter()
            .filter(|(kind, inode)| *kind != NamespaceKind::User && *inode == ground.seen.host.of(*kind));
        let shared: BTreeSet<&str> = shared.map(|(kind, _)| kind.name()).collect();
        let on_host = sockets(ground, process).contains(&ground.seen.host.net);
        if !shared.is_empty() || on_host {
            let mut shared: Vec<&str> = shared.into_iter().collect();
            if on_host {
                shared.push("sockets");
            }
            let found = format!("{words} is in the host's namespaces ({})", shared.join(", "));
            tell(&BTreeSet::from([node.0]), Effect::OpensPath, found, "namespaces of its own");
        }
        let others = own.iter().filter_map(|namespace| Some((namespace.0, owners.get(namespace)?)));
        let others = others.filter(|(_, of)| of.0 == node.0 && **of != node);
        let others: BTreeSet<&str> = others.map(|(kind, _)| kind.name()).collect();
        if !others.is_empty() {
            let kinds: Vec<&str> = others.into_iter().collect();
            let found = format!("{words} is in namespaces of another node ({})", kinds.join(", "));
            tell(&BTreeSet::from([node.0]), Effect::Unplanned, found, "namespaces of its own node");
        }
    }
    if foreign.is_empty() && !held.is_empty() {
        let effect = if home.is_some() || held.len() > 1 { Effect::OpensPath } else { Effect::Unplanned };
        let instances = held.iter().copied().chain(home.map(|(own, _)| own)).collect();
        tell(&instances, effect, format!("{words} {}", held_words()), "");
    }
    all
}

/// The network namespaces of a process's sockets. A UNIX socket that is passed to another process stays where it was
/// made; those are compared by `sockets`.
fn sockets(ground: &Ground<'_>, process: &Process) -> BTreeSet<u64> {
    let found = process.sockets.iter().filter_map(|inode| ground.sockets.get(inode));
    found.filter(|(_, socket)| socket.protocol != "unix").map(|(net, _)| *net).collect()
}

/// Whether a process with a foot in an instance also has one where others reach it: its network namespace or one of
/// its sockets is outside of the instance.
fn leads_out(ground: &Ground<'_>, process: &Process, instances: &BTreeSet<usize>) -> bool {
    let threads =
        process.of_threads.iter().filter(|(kind, _)| *kind == NamespaceKind::Net).map(|(_, inode)| *inode);
    let nets = sockets(ground, process).into_iter().chain([process.namespaces.net]).chain(threads);
    let outside = |net: &u64| {
        let owner = ground.owners.get(net).and_then(|owner| owner.instance());
        *net != 0 && owner.is_none_or(|owner| !instances.contains(&owner))
    };
    let has_net_inside = || {
        let mut own = sockets(ground, process).into_iter().chain([process.namespaces.net]);
        own.any(|net| ground.owners.get(&net).is_some_and(|owner| owner.instance().is_some()))
    };
    has_net_inside() && nets.into_iter().any(|net| outside(&net))
}

/// Bind mounts of an instance's namespaces in any other place.
fn pins(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for namespace in ground.seen.namespaces.iter().filter(|namespace| namespace.kind == NamespaceKind::Net) {
        let Some(owner) = ground.owners.get(&namespace.inode) else { continue };
        let Some(instance) = owner.instance() else { continue };
        for (table, point) in &namespace.pins {
            let place = ground.mounts.get(table).map(|(instance, _)| *instance);
            let is_pod = matches!(owner, Owner::Pod(..));
            let planned = match place {
                Some(other) => other == instance && is_pod,
                None => !is_pod && point.starts_with(PINS),
            };
            if !planned {
                let effect = if place.is_some() { Effect::OpensPath } else { Effect::Unplanned };
                let on = place.map_or("outside of all instances".to_owned(), |place| {
                    format!("in {}", ground.name(place))
                });
                let found = format!(
                    "the network namespace of {} is mounted at {point}, {on}",
                    ground.place(namespace.inode)
                );
                let names = [instance].into_iter().chain(place).map(|instance| ground.name(instance));
                all.push(Difference::of(DifferenceKind::Processes, names, effect, found));
            }
        }
    }
    all
}

/// Nodes whose container is unknown: no process can be shown to be theirs.
fn unknown(ground: &Ground<'_>) -> Vec<Difference> {
    let nodes = ground.instances().filter(|(_, plan)| !plan.is_virtual);
    let nodes = nodes.flat_map(|(_, plan)| plan.nodes.iter().map(move |node| (plan, node)));
    let nodes = nodes.filter(|(_, node)| node.container.is_none());
    let told = nodes.map(|(plan, node)| {
        let found = format!("the container of node {} is unknown", node.name);
        Difference::of(DifferenceKind::Processes, [plan.name.as_str()], Effect::Unplanned, found)
            .instead_of("a container for each node")
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use probe::structure::Socket;

    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn processes_of_the_instances_own_containers_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn a_process_of_the_host_in_an_instance_is_told_and_a_foot_on_the_host_opens_a_path() {
        insta::assert_snapshot!(found(|seen| {
            let host = seen.host;
            let mut stranger = process(6000, "sleep", host, &[]);
            stranger.namespaces.uts = ACME_CP + 4000;
            seen.processes.push(stranger);
            let mut relay = process(6001, "socat", host, &[]);
            relay.namespaces.net = ACME_CP;
            relay.sockets = vec![77];
            network(seen, HOST).sockets.push(Socket {
                inode: 77,
                protocol: "udp".to_owned(),
                ..Socket::default()
            });
            seen.processes.push(relay);
            let mut threads = process(6002, "router", host, &[]);
            threads.of_threads = vec![(NamespaceKind::Net, ACME_CP), (NamespaceKind::Net, GLOBEX_POD)];
            seen.processes.push(threads);
        }));
    }

    #[test]
    fn a_nodes_process_elsewhere_is_told() {
        insta::assert_snapshot!(found(|seen| {
            let acme = seen.processes.iter().find(|process| process.pid == ACME_PID).unwrap().clone();
            let mut on_host = Process { pid: 6100, ..acme.clone() };
            on_host.namespaces.net = HOST;
            let mut in_other = Process { pid: 6101, ..acme.clone() };
            in_other.namespaces.ipc = GLOBEX_CP + 3000;
            let mut on_other_node = Process { pid: 6102, ..acme };
            on_other_node.namespaces.net = ACME_W;
            seen.processes.extend([on_host, in_other, on_other_node]);
        }));
    }

    #[test]
    fn namespaces_that_are_held_or_mounted_elsewhere_are_told_and_the_audits_own_are_explained() {
        insta::assert_snapshot!(found(|seen| {
            let mut holder = process(6200, "holder", seen.host, &[]);
            holder.held = vec![(NamespaceKind::Net, ACME_CP), (NamespaceKind::Mnt, GLOBEX_CP + 1000)];
            seen.processes.push(holder);
            let mut inside = process(6203, "entered", seen.host, &[]);
            inside.namespaces.net = ACME_CP;
            inside.held = vec![(NamespaceKind::Net, GLOBEX_CP)];
            seen.processes.push(inside);
            let mut own = process(6201, "homelab-probe", seen.host, &[]);
            own.parent = AUDIT_PID;
            own.namespaces.net = ACME_CP;
            seen.processes.push(own);
            let pin = |seen: &mut probe::structure::Seen, inode, table, point: &str| {
                let all = seen.namespaces.iter_mut().filter(|it| it.kind == NamespaceKind::Net);
                all.filter(|it| it.inode == inode).for_each(|it| it.pins.push((table, point.to_owned())));
            };
            pin(seen, ACME_CP, HOST + 1000, "/run/netns/x");
            pin(seen, ACME_CP, GLOBEX_CP + 1000, "/mnt/ns");
        }));
    }

    #[test]
    fn a_program_of_an_instance_that_the_kernel_starts_is_told() {
        let told = |program: &str| {
            found(|seen| drop(seen.programs.insert("kernel/core_pattern".to_owned(), program.to_owned())))
        };
        let folder = pair().0.instances[0].folder.clone();
        let of_acme = told(&format!("|{folder}/nodes/acme-cp-1/var/x"));
        assert!(of_acme.starts_with("acme: the host's setting kernel/core_pattern has a file"), "{of_acme}");
        assert_eq!(told("|/usr/share/apport/apport -p%p"), "");
    }

    #[test]
    fn a_node_without_a_known_container_is_told() {
        let (mut planned, seen) = pair();
        planned.instances[0].nodes[1].container = None;
        let told = told(&compare(&Ground::of(&planned, &seen)));
        assert!(told.contains("the container of node acme-w-1 is unknown"), "{told}");
    }
}
