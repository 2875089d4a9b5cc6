//! Cgroups: whether a node sees or uses those of others, and whether it has its limits.

use std::collections::BTreeSet;

use provisioner::capacity::NodeLimits;

use super::ground::{Ground, is_of_container};
use super::{Difference, DifferenceKind, Effect};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    split(ground, &mut all);
    mounted(ground, &mut all);
    limits(ground, &mut all);
    all
}

/// Processes with cgroups of a container in some hierarchies, and with others in the rest. A hierarchy in which podman
/// makes no cgroups has all processes at its root.
fn split(ground: &Ground<'_>, all: &mut Vec<Difference>) {
    for process in &ground.seen.processes {
        let Some(node) = ground.nodes.get(&process.pid) else { continue };
        let mut others = BTreeSet::new();
        let mut outside = Vec::new();
        for (controllers, path) in process.cgroups.iter().filter_map(|it| it.split_once(':')) {
            match owner(ground, path) {
                Some(found) if found == *node => {}
                Some(found) => drop(others.insert(found)),
                None if path == "/" => {}
                None => outside.push(format!("{controllers}:{path}")),
            }
        }
        let words = format!("{} of node {}", ground.process(process.pid), ground.node(*node).name);
        if let Some(other) = others.iter().find(|other| other.0 != node.0) {
            let found = format!("{words} is also in cgroups of node {}", ground.node(*other).name);
            let names = [ground.name(node.0), ground.name(other.0)];
            all.push(
                Difference::of(DifferenceKind::Cgroups, names, Effect::OpensPath, found)
                    .instead_of("cgroups of its own node"),
            );
        } else if let Some(other) = others.iter().next() {
            let found = format!("{words} is also in cgroups of node {}", ground.node(*other).name);
            let difference =
                Difference::of(DifferenceKind::Cgroups, [ground.name(node.0)], Effect::Unplanned, found);
            all.push(difference.instead_of("cgroups of its own node"));
        }
        if !outside.is_empty() {
            let found = format!("{words} is also in {}", outside.join(", "));
            let difference =
                Difference::of(DifferenceKind::Cgroups, [ground.name(node.0)], Effect::Unplanned, found);
            all.push(difference.instead_of("cgroups of its own node"));
        }
    }
}

/// The node to which a cgroup belongs.
fn owner(ground: &Ground<'_>, path: &str) -> Option<(usize, usize)> {
    ground.instances().find_map(|(instance, plan)| {
        let is = |node: &&super::PlannedNode| {
            node.container.as_deref().is_some_and(|id| is_of_container(path, id))
        };
        Some((instance, plan.nodes.iter().position(|node| is(&node))?))
    })
}

/// Mounts of cgroups above the node's own: the node sees, and can change, the cgroups of others. The kernel tells the
/// root of such a mount as seen from the walk's own cgroup namespace.
fn mounted(ground: &Ground<'_>, all: &mut Vec<Difference>) {
    for table in &ground.seen.mounts {
        let Some(node) = ground.mounts.get(&table.inode) else { continue };
        let mut roots = BTreeSet::new();
        for mount in table.mounts.iter().filter(|mount| mount.kind == "cgroup" || mount.kind == "cgroup2") {
            let found = owner(ground, &mount.root);
            if found != Some(*node) {
                roots.insert((found, mount.root.as_str(), mount.writable));
            }
        }
        for (found, root, writable) in roots {
            let names = found.into_iter().chain([*node]).map(|(instance, _)| ground.name(instance));
            let effect = if writable { Effect::OpensPath } else { Effect::Unplanned };
            let found = format!("node {} has cgroup {root} mounted", ground.node(*node).name);
            all.push(
                Difference::of(DifferenceKind::Cgroups, names, effect, found)
                    .instead_of("the node's own cgroup"),
            );
        }
    }
}

/// The limits of each container: memory, processor time and processes, as they were planned.
fn limits(ground: &Ground<'_>, all: &mut Vec<Difference>) {
    for (_, plan) in ground.instances().filter(|(_, plan)| !plan.is_virtual) {
        for node in &plan.nodes {
            let Some(container) = &node.container else { continue };
            let own = || ground.seen.cgroups.iter().filter(|cgroup| is_of_container(&cgroup.path, container));
            for (what, planned) in wanted(ground.planned.limits) {
                let found = |name: &str| own().find_map(|cgroup| cgroup.limits.get(name));
                let found = planned.iter().find_map(|(name, limit)| Some((*name, limit, found(name)?)));
                let sentence = match found {
                    Some((_, limit, found)) if found == limit => continue,
                    Some((name, _, found)) => format!("node {} has limit {name} {found}", node.name),
                    None => format!("node {} has no limit of {what}", node.name),
                };
                // The two names of a limit have one value, written in two ways.
                let planned = found.map_or(&planned[0].1, |(_, limit, _)| limit);
                let difference = Difference::of(
                    DifferenceKind::Cgroups,
                    [plan.name.as_str()],
                    Effect::Unplanned,
                    sentence,
                );
                all.push(difference.instead_of(format!("{what} {planned}")));
            }
        }
    }
}

/// The planned limits as the kernel tells them, each in cgroup v2 and in v1. Pure.
fn wanted(limits: NodeLimits) -> [(&'static str, Vec<(&'static str, String)>); 3] {
    /// The period of processor time, in microseconds, that podman sets: the kernel's default.
    const PERIOD: u64 = 100_000;
    let bytes = (limits.memory * 1024 * 1024).to_string();
    let quota = limits.processors * PERIOD;
    [
        ("memory", vec![("memory.max", bytes.clone()), ("memory.limit_in_bytes", bytes)]),
        (
            "processor time",
            vec![("cpu.max", format!("{quota} {PERIOD}")), ("cpu.cfs_quota_us", quota.to_string())],
        ),
        ("processes", vec![("pids.max", limits.processes.to_string())]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn cgroups_of_the_own_node_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn processes_in_cgroups_of_others_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let own = |seen: &mut probe::structure::Seen, pid, cgroup: String| {
                seen.processes.iter_mut().find(|process| process.pid == pid).unwrap().cgroups.push(cgroup);
            };
            own(seen, ACME_PID, format!("pids:/libpod_parent/libpod-{}", container("globex", 0)));
            own(seen, GLOBEX_PID, "freezer:/lab".to_owned());
            own(seen, GLOBEX_PID, "cpuset:/".to_owned());
        }));
    }

    #[test]
    fn a_mount_of_a_cgroup_above_the_own_is_told() {
        insta::assert_snapshot!(found(|seen| {
            let table = seen.mounts.iter_mut().find(|table| table.inode == ACME_CP + 1000).unwrap();
            table.mounts.push(mount("0:30", "/libpod_parent", "/mnt/cgroup", "cgroup"));
            let other = format!("/libpod_parent/libpod-{}", container("globex", 0));
            table.mounts.push(mount("0:31", &other, "/mnt/other", "cgroup2"));
        }), @r"
        acme: node acme-cp-1 has cgroup /libpod_parent mounted; planned: the node's own cgroup (opens a path)
        acme, globex: node acme-cp-1 has cgroup /libpod_parent/libpod-globex0c0ffee mounted; planned: the node's own cgroup (opens a path)
        ");
    }

    #[test]
    fn a_node_without_a_limit_or_with_another_than_the_planned_one_is_told() {
        insta::assert_snapshot!(found(|seen| {
            let of = |instance: &str| format!("/libpod_parent/libpod-{}", container(instance, 0));
            for cgroup in &mut seen.cgroups {
                if cgroup.path == of("acme") {
                    cgroup.limits.insert("pids.max".to_owned(), "30000".to_owned());
                } else if cgroup.path == of("globex") {
                    cgroup.limits.clear();
                }
            }
        }), @r"
        acme: node acme-cp-1 has limit pids.max 30000; planned: processes 8192
        globex: node globex-cp-1 has no limit of memory; planned: memory 5905580032
        globex: node globex-cp-1 has no limit of processor time; planned: processor time 200000 100000
        globex: node globex-cp-1 has no limit of processes; planned: processes 8192
        ");
    }

    #[test]
    fn limits_of_both_versions_of_cgroups_are_known() {
        assert_eq!(
            found(|seen| {
                for cgroup in &mut seen.cgroups {
                    cgroup.limits =
                        [("memory.max", "5905580032"), ("cpu.max", "200000 100000"), ("pids.max", "8192")]
                            .map(|(name, limit)| (name.to_owned(), limit.to_owned()))
                            .into();
                }
            }),
            ""
        );
    }
}
