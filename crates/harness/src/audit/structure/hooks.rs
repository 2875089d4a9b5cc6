//! Programs and filters that see or redirect packets: traffic control, XDP, tcx, netdev chains, BPF links.

use std::collections::BTreeSet;

use probe::structure::{Filter, Link, Network};
use provisioner::request::CniKind;
use serde_json::Value;

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, Explanation};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for network in &ground.seen.networks {
        for link in &network.links {
            on_link(ground, network, link, &mut all);
        }
        netdev(ground, network, &mut all);
    }
    attached(ground, &mut all);
    between_sockets(ground, &mut all);
    all
}

/// The instance to which a link belongs: every link of its namespaces, and the host's links into it.
fn instance_of(ground: &Ground<'_>, network: &Network, link: &Link) -> Option<usize> {
    match ground.owners.get(&network.inode)? {
        Owner::Host => ground.host_link(&link.name).or_else(|| {
            let mut holders =
                ground.seen.processes.iter().filter(|process| process.taps.contains(&link.name));
            holders.find_map(|process| ground.of_guest(process))
        }),
        owner => owner.instance(),
    }
}

/// The parties that hold a program: instances, and others (`None`).
fn holders(ground: &Ground<'_>, program: u32) -> BTreeSet<Option<usize>> {
    let bpf = &ground.seen.bpf;
    let of_pid = |pid: &u32| ground.nodes.get(pid).map(|(instance, _)| *instance);
    let own = bpf.programs.iter().filter(|it| it.id == program).flat_map(|it| &it.pids).map(of_pid);
    let links: Vec<_> = bpf.links.iter().filter(|link| link.program == program).collect();
    let by_link = links.iter().flat_map(|link| &link.pids).map(of_pid);
    let pins = bpf
        .pins
        .iter()
        .filter(|pin| pin.program == Some(program) || links.iter().any(|link| pin.link == Some(link.id)));
    let by_pin = pins.flat_map(|pin| {
        let tables = ground.seen.mounts.iter().filter(|table| {
            table.mounts.iter().any(|mount| mount.kind == "bpf" && mount.device == pin.device)
        });
        tables.map(|table| ground.mounts.get(&table.inode).map(|(instance, _)| *instance))
    });
    own.chain(by_link).chain(by_pin).collect()
}

/// Cilium's programs are held by its agent, which runs in a container of the instance, and by pins in the nodes' own
/// BPF file systems.
fn explained(ground: &Ground<'_>, instance: usize, program: u32) -> Option<Explanation> {
    let by_itself = holders(ground, program) == BTreeSet::from([Some(instance)]);
    (by_itself && ground.instance(instance).cni == CniKind::Cilium).then_some(Explanation::PodNetwork)
}

fn program_name(ground: &Ground<'_>, program: u32) -> String {
    let found = ground.seen.bpf.programs.iter().find(|it| it.id == program);
    found.map_or_else(|| format!("program {program}"), |found| format!("program {program} ({})", found.name))
}

fn on_link(ground: &Ground<'_>, network: &Network, link: &Link, all: &mut Vec<Difference>) {
    let place = ground.place(network.inode);
    let instance = instance_of(ground, network, link);
    let names: Vec<&str> = instance.into_iter().map(|instance| ground.name(instance)).collect();
    let told = |effect, what: String| {
        let found = format!("{what} on {} in {place}", link.name);
        Difference::of(DifferenceKind::Hooks, names.iter().copied(), effect, found)
            .instead_of("no program and no filter")
    };
    // A filter of any link may send packets into the host's link of an instance.
    let filters = || network.filters.iter().filter(|filter| filter.link == link.index);
    // u32 lists the hash tables of its filters as filters that do nothing.
    let does_something =
        |filter: &&Filter| filter.program.is_some() || !filter.actions.is_empty() || !filter.to.is_empty();
    let is_table = |filter: &Filter| {
        let others = filters().filter(|other| other.kind == filter.kind).any(|it| does_something(&it));
        others && !does_something(&filter)
    };
    for filter in filters().filter(|filter| !is_table(filter)) {
        let targets =
            filter.to.iter().filter_map(|index| network.links.iter().find(|link| link.index == *index));
        let targets: Vec<&Link> = targets.collect();
        let into: Vec<usize> = targets.iter().filter_map(|link| instance_of(ground, network, link)).collect();
        if instance.is_none() && into.is_empty() {
            continue;
        }
        let program = filter.program.map(|program| program_name(ground, program)).or(filter.name.clone());
        let to: Vec<&str> = targets.iter().map(|link| link.name.as_str()).collect();
        let mut what = format!("a filter {}", filter.kind);
        for (label, part) in [(" with ", program.unwrap_or_default()), (" to ", to.join(", "))] {
            if !part.is_empty() {
                what = format!("{what}{label}{part}");
            }
        }
        let why =
            filter.program.zip(instance).and_then(|(program, instance)| explained(ground, instance, program));
        let names = instance.into_iter().chain(into).map(|instance| ground.name(instance));
        let found = format!("{what} on {} in {place}", link.name);
        let difference = Difference::of(DifferenceKind::Hooks, names, Effect::OpensPath, found);
        all.push(difference.instead_of("no program and no filter").explained(why));
    }
    let Some(instance) = instance else { return };
    for (hook, program) in link.xdp.iter().map(|it| ("XDP", it)).chain(link.tcx.iter().map(|it| ("tcx", it)))
    {
        let what = format!("{hook} {}", program_name(ground, *program));
        all.push(told(Effect::OpensPath, what).explained(explained(ground, instance, *program)));
    }
    for qdisc in network.qdiscs.iter().filter(|qdisc| qdisc.link == link.index) {
        let has_filter = network.filters.iter().any(|filter| filter.link == link.index);
        let of_cilium = qdisc.kind == "clsact" && ground.instance(instance).cni == CniKind::Cilium;
        if !has_filter {
            let what = format!("queueing discipline {}", qdisc.kind);
            all.push(told(Effect::Unplanned, what).explained(of_cilium.then_some(Explanation::PodNetwork)));
        }
    }
}

/// Chains of nftables that see the frames of a link before everything else.
fn netdev(ground: &Ground<'_>, network: &Network, all: &mut Vec<Difference>) {
    for chain in network.nft.iter().filter_map(|object| object.get("chain")) {
        if chain.get("family").and_then(Value::as_str) != Some("netdev") {
            continue;
        }
        let devices = match chain.get("dev") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        let links = network.links.iter().filter(|link| devices.contains(&link.name.as_str()));
        let instances: BTreeSet<usize> =
            links.filter_map(|link| instance_of(ground, network, link)).collect();
        if instances.is_empty() {
            continue;
        }
        let text = |key: &str| chain.get(key).and_then(Value::as_str).unwrap_or_default();
        let place = ground.place(network.inode);
        let found =
            format!("netdev chain {} {} on {} in {place}", text("table"), text("name"), devices.join(", "));
        let names = instances.into_iter().map(|instance| ground.name(instance));
        all.push(
            Difference::of(DifferenceKind::Hooks, names, Effect::OpensPath, found)
                .instead_of("no netdev chain"),
        );
    }
}

/// BPF links to namespaces and cgroups of instances.
fn attached(ground: &Ground<'_>, all: &mut Vec<Difference>) {
    for link in &ground.seen.bpf.links {
        let of_namespace =
            link.namespace.and_then(|inode| ground.owners.get(&inode)).and_then(|owner| owner.instance());
        let of_cgroup = link.cgroup.and_then(|inode| cgroup_owner(ground, inode));
        let Some(instance) = of_namespace.or(of_cgroup) else { continue };
        let kind = link.kind.as_deref().unwrap_or_default();
        let found = format!("{} attached to a {kind} of the instance", program_name(ground, link.program));
        let difference =
            Difference::of(DifferenceKind::Hooks, [ground.name(instance)], Effect::OpensPath, found);
        all.push(difference.explained(explained(ground, instance, link.program)));
    }
}

fn cgroup_owner(ground: &Ground<'_>, inode: u64) -> Option<usize> {
    let cgroup = ground.seen.cgroups.iter().find(|cgroup| cgroup.inode == Some(inode))?;
    let is = |container: &Option<String>| {
        container.as_deref().is_some_and(|id| super::ground::is_of_container(&cgroup.path, id))
    };
    ground.planned.instances.iter().position(|plan| plan.nodes.iter().any(|node| is(&node.container)))
}

/// Programs that move data between sockets of any namespaces (sk_skb, sk_msg). What they connect cannot be seen, so one
/// that no single instance holds is a difference of all instances.
fn between_sockets(ground: &Ground<'_>, all: &mut Vec<Difference>) {
    const SK_SKB: u32 = 14;
    const SK_MSG: u32 = 16;
    for program in ground.seen.bpf.programs.iter().filter(|it| [SK_SKB, SK_MSG].contains(&it.kind)) {
        let holders = holders(ground, program.id);
        let owner = match holders.iter().collect::<Vec<_>>().as_slice() {
            [Some(instance)] => Some(*instance),
            _ => None,
        };
        let found = format!("{} moves data between sockets", program_name(ground, program.id));
        all.push(match owner {
            Some(instance) => {
                Difference::of(DifferenceKind::Hooks, [ground.name(instance)], Effect::Unplanned, found)
                    .explained(explained(ground, instance, program.id))
            }
            None => Difference::of(DifferenceKind::Hooks, ground.names(), Effect::OpensPath, found),
        });
    }
}

#[cfg(test)]
mod tests {
    use probe::structure::{Bpf, BpfLink, Cgroup, Pin, Program, Qdisc};
    use serde_json::json;

    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    fn program(id: u32, kind: u32, name: &str, pids: &[u32]) -> Program {
        Program { id, kind, name: name.to_owned(), pids: pids.to_vec() }
    }

    #[test]
    fn nothing_is_hooked_in_a_clean_pair_and_filters_elsewhere_do_not_matter() {
        assert_eq!(found(|_| {}), "");
        assert_eq!(
            found(|seen| {
                let filter = Filter { link: 2, kind: "u32".to_owned(), to: vec![2], ..Filter::default() };
                network(seen, HOST).filters.push(filter);
            }),
            ""
        );
    }

    #[test]
    fn mirrors_programs_and_chains_on_links_of_an_instance_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let mirror = Filter {
                link: 2,
                kind: "matchall".to_owned(),
                actions: vec!["mirred".to_owned()],
                to: vec![HL_A],
                ..Filter::default()
            };
            network(seen, HOST).filters.push(mirror);
            network(seen, HOST).nft.push(json!({ "chain": {
                "family": "netdev", "table": "t", "name": "copy", "dev": "hl-g", "hook": "ingress"
            } }));
            seen.bpf = Bpf {
                programs: vec![program(7, 6, "steal", &[1]), program(8, 3, "tee", &[])],
                ..Bpf::default()
            };
            network(seen, ACME_CP).links[1].xdp = Some(7);
            network(seen, GLOBEX_POD).links[1].tcx = vec![8];
            network(seen, ACME_SWITCH).qdiscs.push(Qdisc { link: 3, kind: "netem".to_owned(), handle: 1 });
        }));
    }

    #[test]
    fn ciliums_programs_are_explained_only_where_its_own_instance_alone_holds_them() {
        let (mut planned, mut seen) = pair();
        planned.instances[0].cni = CniKind::Cilium;
        seen.bpf = Bpf {
            programs: vec![
                program(7, 3, "cil_from_container", &[ACME_PID]),
                program(8, 3, "cil_to_netdev", &[ACME_PID, 1]),
            ],
            links: vec![BpfLink { id: 70, program: 7, kind: Some("tcx".to_owned()), ..BpfLink::default() }],
            pins: vec![Pin {
                device: "0:88".to_owned(),
                path: "cilium/x".to_owned(),
                link: Some(70),
                program: None,
            }],
        };
        network(&mut seen, ACME_CP).links[1].tcx = vec![7, 8];
        let why = |planned: &super::super::Planned, seen: &probe::structure::Seen| {
            compare(&Ground::of(planned, seen)).iter().map(|it| it.explained).collect::<Vec<_>>()
        };
        assert_eq!(why(&planned, &seen), [Some(Explanation::PodNetwork), None]);
        // The other instance has the same BPF file system.
        seen.mounts
            .iter_mut()
            .find(|table| table.inode == GLOBEX_CP + 1000)
            .unwrap()
            .mounts
            .push(bpf_mount("0:88"));
        assert_eq!(why(&planned, &seen), [None, None]);
    }

    #[test]
    fn programs_on_namespaces_and_cgroups_and_between_sockets_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let link = |id, program| BpfLink { id, program, pids: vec![1], ..BpfLink::default() };
            seen.bpf = Bpf {
                programs: vec![
                    program(7, 23, "steer", &[]),
                    program(8, 18, "rewrite", &[]),
                    program(9, 16, "splice", &[]),
                ],
                links: vec![
                    BpfLink { kind: Some("netns".to_owned()), namespace: Some(ACME_POD), ..link(70, 7) },
                    BpfLink { kind: Some("cgroup".to_owned()), cgroup: Some(6001), ..link(80, 8) },
                    BpfLink { kind: Some("cgroup".to_owned()), cgroup: Some(5), ..link(81, 8) },
                ],
                pins: Vec::new(),
            };
            seen.cgroups.push(Cgroup {
                path: format!("/libpod_parent/libpod-{}", container("globex", 0)),
                inode: Some(6001),
                ..Cgroup::default()
            });
        }));
    }
}
