//! Mounts, layers of overlays, and hard links: whether a node sees files of another instance or of the host.
//!
//! A file system is known by its device, and a place in it by its path from the root of the file system, so that it does
//! not matter where it is mounted and under which name.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use probe::structure::{Mount, MountTable, Process};

use super::ground::{Ground, Spot, spot, within};
use super::{Difference, DifferenceKind, Effect};

/// File systems of the kernel, of which every node has mounts. Cgroups are compared by `cgroups`.
const OF_KERNEL: [&str; 15] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "fusectl",
    "pstore",
    "binfmt_misc",
    "nsfs",
    "hugetlbfs",
];

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let folders = Folders::of(ground);
    let mut all = Vec::new();
    for table in ground.seen.mounts.iter().filter(|table| table.inode != ground.seen.host.mnt) {
        for mount in &table.mounts {
            all.extend(one(ground, &folders, table, mount));
        }
    }
    all.extend(shared(ground));
    all.extend(linked(ground));
    all
}

/// The other folders of the plan as places on file systems.
struct Folders {
    nodes: BTreeMap<(usize, usize), Spot>,
    shared: Vec<Spot>,
}

impl Folders {
    fn of(ground: &Ground<'_>) -> Self {
        let place = |path: &Utf8Path| spot(ground.host_mounts()?, path);
        let nodes = ground.instances().flat_map(|(instance, plan)| {
            plan.nodes.iter().enumerate().map(move |(node, it)| ((instance, node), it.folder.as_path()))
        });
        Self {
            nodes: nodes.filter_map(|(node, folder)| Some((node, place(folder)?))).collect(),
            shared: ground.planned.shared.iter().filter_map(|folder| place(folder)).collect(),
        }
    }
}

/// The instances in whose folder a place is, or whose folder is below the place.
fn instances_at(ground: &Ground<'_>, at: &Spot) -> BTreeSet<usize> {
    let is = |folder: &Spot| within(Some(folder), at) || within(Some(at), folder);
    let found = ground.folders.iter().enumerate().filter(|(_, folder)| folder.as_ref().is_some_and(is));
    found.map(|(instance, _)| instance).collect()
}

/// A mount outside of the host's own mount namespace.
fn one(ground: &Ground<'_>, folders: &Folders, table: &MountTable, mount: &Mount) -> Vec<Difference> {
    let owner = ground.mounts.get(&table.inode).copied();
    let place = match owner {
        Some(node) => format!("node {}", ground.node(node).name),
        None => format!("mount namespace {}, which belongs to no instance,", table.inode),
    };
    // podman keeps files of a container in folders with the container's id in their names.
    let container = owner.and_then(|node| ground.node(node).container.as_deref());
    let is_of_podman = |path: &str| container.is_some_and(|id| path.split('/').any(|part| part == id));
    let mut all = Vec::new();
    let mut tell = |instances: BTreeSet<usize>, effect, what: String| {
        let names =
            instances.into_iter().chain(owner.map(|(own, _)| own)).map(|instance| ground.name(instance));
        let found = format!("{place} has {what} at {}", mount.point);
        let planned = if owner.is_some() { "files of the node's own folder" } else { "" };
        all.push(Difference::of(DifferenceKind::Mounts, names, effect, found).instead_of(planned));
    };
    if mount.kind == "overlay" {
        for (layer, is_lower) in layers(mount) {
            // The kernel tells a layer's path as the mounting program spelled it: on the host, or on the node. What it
            // means on the host counts first, wherever that is a folder of the plan.
            let on_host = ground.host_mounts().and_then(|table| spot(table, layer));
            let on_node = spot(table, layer);
            let is_own = |at: &Spot| {
                is_of_podman(layer.as_str()) || owner.is_some_and(|node| within(folders.nodes.get(&node), at))
            };
            let is_shared = |at: &Spot| folders.shared.iter().any(|folder| within(Some(folder), at));
            let both = || [&on_host, &on_node].into_iter().flatten();
            let others =
                both().filter(|at| !is_own(at) && at.1 != "/").flat_map(|at| instances_at(ground, at));
            let others: BTreeSet<usize> =
                others.filter(|it| owner.is_none_or(|(own, _)| own != *it)).collect();
            let is_planned = both().any(|at| is_own(at) || (is_lower && is_shared(at)));
            if !others.is_empty() {
                tell(others, Effect::OpensPath, format!("an overlay over {layer}"));
            } else if !is_lower && on_host.as_ref().is_some_and(is_shared) {
                tell(
                    BTreeSet::new(),
                    Effect::OpensPath,
                    format!("an overlay that writes to {layer}, which all nodes share,"),
                );
            } else if !is_planned && owner.is_some() && !is_inner(layer, table) {
                tell(BTreeSet::new(), Effect::Unplanned, format!("an overlay over {layer}"));
            }
        }
        return all;
    }
    if OF_KERNEL.contains(&mount.kind.as_str()) {
        return all;
    }
    if mount.kind.starts_with("fuse") && owner.is_some_and(|(own, _)| !is_served_by(ground, own)) {
        let what = format!("a file system ({}) that a process outside of the instance serves", mount.kind);
        tell(BTreeSet::new(), Effect::OpensPath, what);
        return all;
    }
    let at: Spot = (mount.device.clone(), Utf8PathBuf::from(&mount.root));
    let is_own_folder = owner.is_some_and(|node| within(folders.nodes.get(&node), &at));
    // A service of the host may have a mount namespace of its own, with the host's mounts in it. It sees no more than
    // every process of the host.
    let is_as_on_host = || {
        let mut host = ground.host_mounts().into_iter().flat_map(|host| &host.mounts);
        host.any(|it| it.device == mount.device && it.root == mount.root)
    };
    if is_own_folder || (owner.is_none() && is_as_on_host()) {
        return all;
    }
    let found: BTreeSet<usize> =
        instances_at(ground, &at).into_iter().filter(|it| owner.is_none_or(|(own, _)| own != *it)).collect();
    let is_of_host =
        ground.host_mounts().is_some_and(|host| host.mounts.iter().any(|it| it.device == mount.device));
    // podman mounts a file system of its own for the container's shared memory, on the host as well.
    let host = ground.host_mounts().into_iter().flat_map(|host| &host.mounts);
    let of_podman = is_of_podman(&mount.root)
        || host.filter(|it| it.device == mount.device).any(|it| is_of_podman(&it.point));
    if !found.is_empty() {
        tell(found, Effect::OpensPath, format!("{} of device {} ({})", mount.root, mount.device, mount.kind));
    } else if owner.is_some() && is_of_host && !of_podman && !is_single_device(mount) {
        let shared = folders.shared.iter().any(|folder| within(Some(folder), &at));
        let effect = if mount.writable { Effect::OpensPath } else { Effect::Unplanned };
        let what =
            if shared { "a folder that all nodes share, without an overlay," } else { "files of the host:" };
        tell(
            BTreeSet::new(),
            effect,
            format!("{what} {} of device {} ({})", mount.root, mount.device, mount.kind),
        );
    }
    all
}

/// Whether a process of an instance serves file systems (fuse(4)).
fn is_served_by(ground: &Ground<'_>, instance: usize) -> bool {
    let serves = |process: &Process| {
        let is_own = ground.nodes.get(&process.pid).is_some_and(|(of, _)| *of == instance);
        is_own && process.open_devices.iter().any(|device| device == "/dev/fuse")
    };
    ground.seen.processes.iter().any(serves)
}

/// A device node that is mounted over a file. Devices are compared by `devices`.
fn is_single_device(mount: &Mount) -> bool {
    mount.kind == "devtmpfs" && mount.root != "/"
}

/// The layers of an overlay, each with whether it is a lower one.
fn layers(mount: &Mount) -> impl Iterator<Item = (&Utf8Path, bool)> {
    let lower = mount.lower.iter().map(|layer| (Utf8Path::new(layer), true));
    let own = [&mount.upper, &mount.work].into_iter().flatten().map(|layer| (Utf8Path::new(layer), false));
    lower.chain(own)
}

/// Whether a layer is a path of the node, where containerd has its own layers and the image store.
fn is_inner(layer: &Utf8Path, table: &MountTable) -> bool {
    const INNER: [&str; 2] = ["/var/lib/containerd/", "/opt/homelab/store/"];
    let known = INNER.iter().any(|folder| layer.as_str().starts_with(folder));
    // A pod's own mount namespace does not have the node's folders any more.
    known || (!layer.is_absolute() && !table.mounts.is_empty())
}

/// File systems that mounts of two instances have in common, and that are not the host's: tmpfs, BPF, a shared disk.
fn shared(ground: &Ground<'_>) -> Vec<Difference> {
    let mut by_device: BTreeMap<&str, (BTreeSet<usize>, &Mount)> = BTreeMap::new();
    for table in &ground.seen.mounts {
        let Some((instance, _)) = ground.mounts.get(&table.inode) else { continue };
        for mount in table.mounts.iter().filter(|mount| !OF_KERNEL.contains(&mount.kind.as_str())) {
            by_device.entry(&mount.device).or_insert((BTreeSet::new(), mount)).0.insert(*instance);
        }
    }
    // Devices of the host are compared mount by mount, with their folders.
    let of_host: BTreeSet<&str> = ground
        .host_mounts()
        .into_iter()
        .flat_map(|host| &host.mounts)
        .filter(|mount| mount.kind != "overlay")
        .map(|mount| mount.device.as_str())
        .collect();
    let several = by_device
        .into_iter()
        .filter(|(device, (instances, _))| instances.len() > 1 && !of_host.contains(device));
    let told = several.map(|(device, (instances, mount))| {
        let names = instances.into_iter().map(|instance| ground.name(instance));
        let found = format!("nodes of several instances have the same file system {device} ({})", mount.kind);
        Difference::of(DifferenceKind::Mounts, names, Effect::OpensPath, found)
            .instead_of("file systems of its own for each node")
    });
    told.collect()
}

/// Files with names in the folders of several nodes, or with a name outside of them.
fn linked(ground: &Ground<'_>) -> Vec<Difference> {
    let instance = |scope: &str| {
        ground
            .instances()
            .find(|(_, plan)| plan.nodes.iter().any(|node| node.scope == scope))
            .map(|(place, _)| place)
    };
    let mut all = Vec::new();
    for file in &ground.seen.linked {
        let instances: BTreeSet<usize> = file.found.iter().filter_map(|(root, _)| instance(root)).collect();
        let names: Vec<String> = file.found.iter().map(|(root, path)| format!("{path} of {root}")).collect();
        let outside = file.names.saturating_sub(file.found.len() as u64);
        let rest = if outside > 0 { format!(", with {outside} more names elsewhere") } else { String::new() };
        let effect = if instances.len() > 1 { Effect::OpensPath } else { Effect::Unplanned };
        let found = format!(
            "one file is {}{rest} (device {}, inode {})",
            names.join(" and "),
            file.device,
            file.inode
        );
        let told = instances.into_iter().map(|instance| ground.name(instance));
        all.push(
            Difference::of(DifferenceKind::Mounts, told, effect, found).instead_of("files of one node each"),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use probe::structure::LinkedFile;

    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    fn add(seen: &mut probe::structure::Seen, namespace: u64, mount: Mount) {
        seen.mounts.iter_mut().find(|table| table.inode == namespace + 1000).unwrap().mounts.push(mount);
    }

    #[test]
    fn planned_mounts_are_no_difference() {
        assert_eq!(found(|_| {}), "");
    }

    #[test]
    fn a_file_system_that_a_process_outside_of_the_instance_serves_opens_a_path() {
        let served_by = |pid| {
            found(|seen| {
                add(seen, ACME_CP, mount("0:99", "/", "/mnt/drop", "fuse.sshfs"));
                let server = seen.processes.iter_mut().find(|process| process.pid == pid).unwrap();
                server.open_devices.push("/dev/fuse".to_owned());
            })
        };
        let told = served_by(GLOBEX_PID);
        assert!(
            told.contains("node acme-cp-1 has a file system (fuse.sshfs) that a process outside"),
            "{told}"
        );
        assert_eq!(served_by(ACME_PID), "");
    }

    #[test]
    fn folders_of_another_instance_and_of_the_host_are_told_wherever_they_are_mounted() {
        insta::assert_snapshot!(found(|seen| {
            add(
                seen,
                ACME_CP,
                mount(
                    "8:1",
                    "/home/ada/.homelab/instances/globex/nodes/globex-cp-1/var/lib/etcd",
                    "/mnt/x",
                    "ext4",
                ),
            );
            add(seen, ACME_POD, mount("8:1", "/home", "/host-home", "ext4"));
            add(seen, GLOBEX_CP, mount("8:1", "/var/log", "/var/log/host", "ext4"));
            add(seen, GLOBEX_CP, Mount { writable: false, ..mount("8:1", "/srv", "/srv", "ext4") });
        }));
    }

    #[test]
    fn a_service_of_the_host_with_mounts_of_its_own_sees_no_more_than_the_host() {
        let service = |mounts: Vec<Mount>| found(|seen| seen.mounts.push(MountTable { inode: 4711, mounts }));
        assert_eq!(service(vec![mount("8:1", "/", "/", "ext4"), mount("0:20", "/", "/run", "tmpfs")]), "");
        insta::assert_snapshot!(service(vec![mount("8:1", "/home/ada/.homelab", "/data", "ext4")]));
    }

    #[test]
    fn layers_of_another_node_are_told_by_the_hosts_and_by_the_nodes_paths() {
        insta::assert_snapshot!(found(|seen| {
            let over = |point: &str, lower: &str, upper: &str| Mount {
                lower: vec![lower.to_owned()],
                upper: Some(upper.to_owned()),
                ..mount("0:99", "/", point, "overlay")
            };
            let other = "/home/ada/.homelab/instances/globex/nodes/globex-cp-1/overlays/etc/upper";
            let own = "/home/ada/.homelab/instances/acme/nodes/acme-cp-1/overlays/x/upper";
            add(seen, ACME_CP, over("/mnt/etc", other, own));
            add(seen, ACME_CP, over("/mnt/y", "/cache/root/etc", "/cache/root/usr"));
            add(seen, ACME_CP, mount("8:1", "/home/ada/.homelab/instances/globex/nodes", "/g", "ext4"));
            add(seen, ACME_CP, over("/mnt/z", "/g/globex-cp-1/var", own));
        }));
    }

    #[test]
    fn a_file_system_that_two_instances_have_in_common_is_told() {
        insta::assert_snapshot!(found(|seen| {
            for node in [ACME_CP, GLOBEX_CP] {
                add(seen, node, mount("0:77", "/", "/shared", "tmpfs"));
                add(seen, node, bpf_mount("0:88"));
            }
        }));
    }

    #[test]
    fn hard_links_into_another_node_and_out_of_all_nodes_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let file = |inode, names, found: &[(&str, &str)]| LinkedFile {
                device: "8:1".to_owned(),
                inode,
                names,
                found: found
                    .iter()
                    .map(|(node, path)| (format!("homelab-0a1b2c.{node}"), (*path).to_owned()))
                    .collect(),
            };
            seen.linked = vec![
                file(7, 2, &[("acme.acme-cp-1", "var/x"), ("globex.globex-cp-1", "var/lib/etcd/wal")]),
                file(8, 3, &[("acme.acme-w-1", "var/y")]),
            ];
        }));
    }
}
