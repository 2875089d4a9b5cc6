//! Device nodes that a node has, and devices that its cgroup lets it use.
//!
//! A node's root may make a node for every device that its cgroup allows, so the cgroup counts as well as `/dev`.

use std::collections::{BTreeMap, BTreeSet};

use probe::structure::Place;

use super::ground::{Ground, is_of_container, spot};
use super::{Difference, DifferenceKind, Effect};

/// The character devices that are planned for every node, by major and minor numbers (devices.txt of Linux): null, zero,
/// full, random, urandom; tty, console, ptmx.
const PLAIN: [(u32, u32); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// Terminals of processes, which belong to a mount of the node. They are planned as well.
const TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;
/// Links that a program makes (`/dev/net/tun`). runc lets each container use them, in its own network namespace only. No
/// node has the device node.
const TUN: (u32, u32) = (10, 200);
/// The planned devices, in words.
const PLANNED: &str = "null, zero, full, random, urandom and terminals";

/// The paths of a node's devices by the group, and what the group opens.
type Groups = BTreeMap<&'static str, (Effect, BTreeSet<String>)>;

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut by_node: BTreeMap<(usize, usize), Groups> = BTreeMap::new();
    let mut others: BTreeSet<(usize, usize, String)> = BTreeSet::new();
    for device in &ground.seen.devices {
        let Some(node) = node_of(ground, &device.place) else { continue };
        let Some((group, effect)) = meaning(device.block, device.major, device.minor) else { continue };
        let foreign =
            if device.block { foreign(ground, node.0, device.major, device.minor) } else { Vec::new() };
        if foreign.is_empty() {
            let entry = by_node.entry(node).or_default().entry(group).or_insert((effect, BTreeSet::new()));
            entry.1.insert(device.path.clone());
        }
        for (other, file) in foreign {
            let found = format!("{} of node {} is made of {file}", device.path, ground.node(node).name);
            others.insert((node.0, other, found));
        }
    }
    for (node, groups) in by_node {
        for (group, (effect, paths)) in groups {
            let found = format!("node {} has {group}: {}", ground.node(node).name, listed(&paths));
            let difference = Difference::of(DifferenceKind::Devices, [ground.name(node.0)], effect, found);
            all.push(difference.instead_of(PLANNED));
        }
    }
    for (own, other, found) in others {
        all.push(Difference::of(
            DifferenceKind::Devices,
            [ground.name(own), ground.name(other)],
            Effect::OpensPath,
            found,
        ));
    }
    all.extend(allowed(ground));
    all
}

fn node_of(ground: &Ground<'_>, place: &Place) -> Option<(usize, usize)> {
    match place {
        Place::Mounts(inode) if *inode == ground.seen.host.mnt => None,
        Place::Mounts(inode) => ground.mounts.get(inode).copied(),
        Place::Root(name) => ground.instances().find_map(|(instance, plan)| {
            Some((instance, plan.nodes.iter().position(|node| node.scope == *name)?))
        }),
    }
}

/// The group of a device, and what it opens; `None` for planned devices.
fn meaning(is_block: bool, major: u32, minor: u32) -> Option<(&'static str, Effect)> {
    match (is_block, (major, minor)) {
        // Disks of the host hold the files of all nodes.
        (true, _) => Some(("block devices of the host", Effect::OpensPath)),
        (false, number) if PLAIN.contains(&number) || TERMINALS.contains(&number.0) => None,
        // mem, kmem, port, kmsg.
        (false, (1, 1 | 2 | 4 | 11)) => Some(("the host's memory or its messages", Effect::OpensPath)),
        // loop-control, device mapper, btrfs: they make devices of any file.
        (false, (10, 237 | 236 | 234)) => Some(("controls of block devices", Effect::OpensPath)),
        // SCSI generic devices, terminals of the host and serial lines.
        (false, (21, _)) => Some(("raw devices of the host", Effect::OpensPath)),
        (false, (4 | 7, _)) => Some(("terminals of the host", Effect::OpensPath)),
        (false, _) => Some(("other devices of the host", Effect::Unplanned)),
    }
}

/// The files of other instances of which a block device is made, such as a loop device; also through devices that are
/// made of others.
fn foreign(ground: &Ground<'_>, own: usize, major: u32, minor: u32) -> Vec<(usize, String)> {
    let number = format!("{major}:{minor}");
    let mut found = Vec::new();
    let mut next: Vec<&str> = ground
        .seen
        .backed
        .iter()
        .filter(|backed| backed.device == number)
        .flat_map(|backed| backed.by.iter().map(String::as_str))
        .collect();
    let mut visited = BTreeSet::new();
    while let Some(by) = next.pop().filter(|by| visited.insert(by.to_owned())) {
        let below = ground.seen.backed.iter().filter(|backed| backed.name == by);
        next.extend(below.flat_map(|backed| backed.by.iter().map(String::as_str)));
        let Some(host) = ground.host_mounts() else { continue };
        let Some(at) = by.starts_with('/').then(|| spot(host, by.into())).flatten() else { continue };
        found.extend(ground.with_file(&at).filter(|other| *other != own).map(|other| (other, by.to_owned())));
    }
    found
}

/// At most eight paths.
fn listed(paths: &BTreeSet<String>) -> String {
    const MOST: usize = 8;
    let shown: Vec<&str> = paths.iter().take(MOST).map(String::as_str).collect();
    let more = paths.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Devices that a node's cgroup allows beyond the planned ones: with `b *:* rwm`, root on the node makes a node for each
/// disk. Only cgroup v1 tells what it allows; with v2, a program decides.
fn allowed(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for (instance, plan) in ground.instances() {
        for node in &plan.nodes {
            let Some(container) = &node.container else { continue };
            let own = ground.seen.cgroups.iter().filter(|cgroup| is_of_container(&cgroup.path, container));
            let lines: BTreeSet<&String> =
                own.filter_map(|cgroup| cgroup.devices.as_ref()).flatten().collect();
            let mut by_effect: BTreeMap<Effect, Vec<&str>> = BTreeMap::new();
            for line in lines {
                let Some(effect) = permits(line) else { continue };
                let foreign = of_one(line).map(|(major, minor)| foreign(ground, instance, major, minor));
                let foreign = foreign.unwrap_or_default();
                if foreign.is_empty() {
                    by_effect.entry(effect).or_default().push(line);
                }
                for (other, file) in foreign {
                    let found =
                        format!("the cgroup of node {} allows {line}, which is made of {file}", node.name);
                    let names = [plan.name.as_str(), ground.name(other)];
                    all.push(Difference::of(DifferenceKind::Devices, names, Effect::OpensPath, found));
                }
            }
            for (effect, lines) in by_effect {
                let found = format!("the cgroup of node {} allows {}", node.name, lines.join(", "));
                let difference = Difference::of(DifferenceKind::Devices, [plan.name.as_str()], effect, found);
                all.push(difference.instead_of(PLANNED));
            }
        }
    }
    all
}

/// What a line of `devices.list` opens, such as `b 7:0 rwm` or `a *:* rwm`; `None` for a planned device. To make a node
/// (`m`) alone opens nothing.
fn permits(line: &str) -> Option<Effect> {
    let mut words = line.split(' ');
    let (kind, number, access) = (words.next()?, words.next()?, words.next()?);
    if !access.contains(['r', 'w']) {
        return None;
    }
    let (major, minor) = number.split_once(':')?;
    match (kind, major.parse(), minor.parse()) {
        ("c", Ok(major), Ok(minor)) if (major, minor) == TUN => None,
        ("c", Ok(major), Ok(minor)) => meaning(false, major, minor).map(|(_, effect)| effect),
        // All devices of a driver.
        ("c", Ok(major), Err(_)) if TERMINALS.contains(&major) => None,
        _ => Some(Effect::OpensPath),
    }
}

/// The number of the one block device in a line of `devices.list`; `None` for other lines.
fn of_one(line: &str) -> Option<(u32, u32)> {
    let (number, _) = line.strip_prefix("b ")?.split_once(' ')?;
    let (major, minor) = number.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use probe::structure::{Backed, Cgroup, DeviceNode};

    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    fn device(place: Place, path: &str, block: bool, major: u32, minor: u32) -> DeviceNode {
        DeviceNode { place, path: path.to_owned(), block, major, minor }
    }

    #[test]
    fn plain_devices_and_the_hosts_own_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn disks_memory_controls_and_others_are_told_in_one_sentence_for_each_kind() {
        insta::assert_snapshot!(found(|seen| {
            let node = || Place::Mounts(ACME_CP + 1000);
            seen.devices.extend([
                device(node(), "/dev/sda", true, 8, 0),
                device(node(), "/dev/sda1", true, 8, 1),
                device(node(), "/dev/mem", false, 1, 1),
                device(node(), "/dev/kmsg", false, 1, 11),
                device(node(), "/dev/loop-control", false, 10, 237),
                device(node(), "/dev/kvm", false, 10, 232),
                device(node(), "/dev/pts/0", false, 136, 0),
                device(Place::Root("homelab-0a1b2c.globex.globex-cp-1".to_owned()), "var/disk", true, 254, 0),
            ]);
        }));
    }

    #[test]
    fn a_loop_device_over_a_file_of_another_instance_names_both() {
        insta::assert_snapshot!(found(|seen| {
            seen.devices.push(device(Place::Mounts(ACME_POD + 1000), "/dev/dm-0", true, 253, 0));
            let file = "/home/ada/.homelab/instances/globex/nodes/globex-cp-1/var/disk.img".to_owned();
            seen.backed = vec![
                Backed { device: "253:0".to_owned(), name: "dm-0".to_owned(), by: vec!["loop3".to_owned()] },
                Backed { device: "7:3".to_owned(), name: "loop3".to_owned(), by: vec![file] },
            ];
        }));
    }

    #[test]
    fn a_cgroup_that_allows_other_devices_is_told_and_one_that_only_lets_make_nodes_is_not() {
        insta::assert_snapshot!(found(|seen| {
            let cgroup = |instance: &str, lines: &[&str]| Cgroup {
                path: format!("/libpod_parent/libpod-{}", container(instance, 0)),
                devices: Some(lines.iter().map(|line| (*line).to_owned()).collect()),
                ..Cgroup::default()
            };
            seen.cgroups = vec![
                cgroup("acme", &["a *:* rwm"]),
                cgroup("globex", &["c *:* m", "b *:* m", "c 1:3 rwm", "b 7:0 r", "c 10:229 rwm", "c 10:200 rwm"]),
            ];
            let file = "/home/ada/.homelab/instances/acme/nodes/acme-cp-1/var/disk.img".to_owned();
            seen.backed = vec![Backed { device: "7:0".to_owned(), name: "loop0".to_owned(), by: vec![file] }];
        }), @r"
        acme: the cgroup of node acme-cp-1 allows a *:* rwm; planned: null, zero, full, random, urandom and terminals (opens a path)
        acme, globex: the cgroup of node globex-cp-1 allows b 7:0 r, which is made of /home/ada/.homelab/instances/acme/nodes/acme-cp-1/var/disk.img (opens a path)
        globex: the cgroup of node globex-cp-1 allows c 10:229 rwm; planned: null, zero, full, random, urandom and terminals
        ");
    }
}
