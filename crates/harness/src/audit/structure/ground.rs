//! What is known of the host before anything is compared: to whom namespaces, processes and folders belong. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use probe::structure::{Link, MountTable, NamespaceKind, Network, Process, Seen, Socket};

use super::{Planned, PlannedInstance, PlannedNode};

/// The folder of the bind mounts that keep namespaces of instances.
const PINS: &str = "/run/homelab/netns/";

/// The owner of a network namespace, by the indices of the instance and of the node in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The host.
    Host,
    /// The switch of an instance.
    Switch(usize),
    /// A node.
    Node(usize, usize),
    /// A namespace that a node's processes made: mostly a pod.
    Pod(usize, usize),
}

impl Owner {
    /// The instance; `None` for the host.
    pub(super) fn instance(self) -> Option<usize> {
        match self {
            Self::Host => None,
            Self::Switch(instance) | Self::Node(instance, _) | Self::Pod(instance, _) => Some(instance),
        }
    }
}

/// The plan and the host, with everything that several comparisons need.
pub(super) struct Ground<'a> {
    pub(super) planned: &'a Planned,
    pub(super) seen: &'a Seen,
    /// The owners of network namespaces, by inode. One that is not here belongs to no planned instance.
    pub(super) owners: BTreeMap<u64, Owner>,
    /// The node of each process, by the process's cgroup.
    pub(super) nodes: BTreeMap<u32, (usize, usize)>,
    /// The processes of the audit itself.
    pub(super) of_audit: BTreeSet<u32>,
    /// The nodes to which mount namespaces belong.
    pub(super) mounts: BTreeMap<u64, (usize, usize)>,
    /// All sockets by inode, with the inode of their network namespace.
    pub(super) sockets: BTreeMap<u64, (u64, &'a Socket)>,
    /// Where the folders of the instances are on the host's file systems.
    pub(super) folders: Vec<Option<Spot>>,
}

impl<'a> Ground<'a> {
    pub(super) fn of(planned: &'a Planned, seen: &'a Seen) -> Self {
        let nodes = nodes(planned, &seen.processes);
        let mut ground = Self {
            planned,
            seen,
            of_audit: descendants(planned, &seen.processes),
            mounts: mount_namespaces(&seen.processes, &nodes),
            nodes,
            owners: BTreeMap::new(),
            sockets: BTreeMap::new(),
            folders: Vec::new(),
        };
        let place = |plan: &PlannedInstance| spot(ground.host_mounts()?, &plan.folder);
        ground.folders = planned.instances.iter().map(place).collect();
        ground.owners = ground.network_namespaces();
        for network in &seen.networks {
            let sockets = network.sockets.iter().filter(|socket| socket.inode != 0);
            ground.sockets.extend(sockets.map(|socket| (socket.inode, (network.inode, socket))));
        }
        ground
    }

    /// Owners by the pins in homelab's own folder, and, for namespaces that a node made itself, by a pin in the node's
    /// mounts or by the processes in them.
    fn network_namespaces(&self) -> BTreeMap<u64, Owner> {
        let mut owners = BTreeMap::from([(self.seen.host.net, Owner::Host)]);
        let all = || self.seen.namespaces.iter().filter(|namespace| namespace.kind == NamespaceKind::Net);
        for namespace in all() {
            let names = namespace.pins.iter().filter(|(table, _)| *table == self.seen.host.mnt);
            let owner =
                names.filter_map(|(_, point)| point.strip_prefix(PINS)).find_map(|name| self.named(name));
            if let Some(owner) = owner {
                owners.entry(namespace.inode).or_insert(owner);
            }
        }
        for namespace in all() {
            let by_pin = namespace.pins.iter().find_map(|(table, _)| self.mounts.get(table));
            let by_process = namespace.pids.iter().find_map(|pid| self.nodes.get(pid));
            if let Some((instance, node)) = by_pin.or(by_process) {
                owners.entry(namespace.inode).or_insert(Owner::Pod(*instance, *node));
            }
        }
        owners
    }

    fn named(&self, name: &str) -> Option<Owner> {
        self.planned.instances.iter().enumerate().filter(|(_, it)| !it.is_virtual).find_map(
            |(place, instance)| {
                let node = || instance.nodes.iter().position(|node| node.scope == name);
                if instance.switch == name {
                    Some(Owner::Switch(place))
                } else {
                    Some(Owner::Node(place, node()?))
                }
            },
        )
    }

    pub(super) fn instance(&self, place: usize) -> &'a PlannedInstance {
        &self.planned.instances[place]
    }

    pub(super) fn node(&self, (instance, node): (usize, usize)) -> &'a PlannedNode {
        &self.planned.instances[instance].nodes[node]
    }

    pub(super) fn name(&self, instance: usize) -> &'a str {
        &self.planned.instances[instance].name
    }

    /// The names of all instances.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.planned.instances.iter().map(|instance| instance.name.as_str())
    }

    /// All instances with their indices.
    pub(super) fn instances(&self) -> impl Iterator<Item = (usize, &'a PlannedInstance)> {
        self.planned.instances.iter().enumerate()
    }

    /// The network namespaces with an owner.
    pub(super) fn owned(&self) -> impl Iterator<Item = (Owner, &'a Network)> {
        self.seen.networks.iter().filter_map(|network| Some((*self.owners.get(&network.inode)?, network)))
    }

    pub(super) fn network(&self, inode: u64) -> Option<&'a Network> {
        self.seen.networks.iter().find(|network| network.inode == inode)
    }

    pub(super) fn host(&self) -> Option<&'a Network> {
        self.network(self.seen.host.net)
    }

    /// The instance that a link of the host leads into by plan: its link, its bridge, or its management bridge.
    pub(super) fn host_link(&self, name: &str) -> Option<usize> {
        let is = |instance: &PlannedInstance| {
            instance.link == name || (instance.management.is_some() && instance.management_link == name)
        };
        self.planned.instances.iter().position(is)
    }

    /// The instance with this address in one of its networks.
    pub(super) fn with_address(&self, address: IpAddr) -> Option<usize> {
        self.planned.instances.iter().position(|instance| instance.has(address))
    }

    /// The instance of whose VM this process is.
    pub(super) fn of_guest(&self, process: &Process) -> Option<usize> {
        let guest = process.guest.as_deref()?;
        let is = |instance: &PlannedInstance| {
            instance.is_virtual && instance.nodes.iter().any(|it| it.scope == guest)
        };
        self.planned.instances.iter().position(is)
    }

    /// A process in words: `process 4711 (socat)`.
    pub(super) fn process(&self, pid: u32) -> String {
        let name = self
            .seen
            .processes
            .iter()
            .find(|process| process.pid == pid)
            .map(|process| process.comm.as_str());
        format!("process {pid} ({})", name.unwrap_or("ended"))
    }

    /// A network namespace in words.
    pub(super) fn place(&self, inode: u64) -> String {
        match self.owners.get(&inode) {
            Some(Owner::Host) => "the host".to_owned(),
            Some(Owner::Switch(instance)) => format!("the switch of {}", self.name(*instance)),
            Some(Owner::Node(instance, node)) => format!("node {}", self.node((*instance, *node)).name),
            Some(Owner::Pod(instance, node)) => {
                format!("namespace {inode} on node {}", self.node((*instance, *node)).name)
            }
            None if self.network(inode).is_some_and(|network| network.is_hidden) => {
                "a namespace that no process, file or mount leads to".to_owned()
            }
            None => {
                let found =
                    self.seen.namespaces.iter().find(|it| it.kind == NamespaceKind::Net && it.inode == inode);
                let pin = found.and_then(|it| it.pins.first()).map(|(_, point)| format!(", {point}"));
                format!("namespace {inode}{} that belongs to no instance", pin.unwrap_or_default())
            }
        }
    }

    /// A link by its namespace and index.
    pub(super) fn link(&self, namespace: u64, index: u32) -> Option<&'a Link> {
        self.network(namespace)?.links.iter().find(|link| link.index == index)
    }

    /// Whether an address is the host's own.
    pub(super) fn is_of_host(&self, address: IpAddr) -> bool {
        self.host().is_some_and(|host| host.addresses.iter().any(|own| own.address.addr() == address))
    }

    /// The instance in whose folder on the host a place is.
    pub(super) fn with_file(&self, at: &Spot) -> Option<usize> {
        self.folders.iter().position(|folder| within(folder.as_ref(), at))
    }

    /// The mounts of the host.
    pub(super) fn host_mounts(&self) -> Option<&'a MountTable> {
        self.seen.mounts.iter().find(|table| table.inode == self.seen.host.mnt)
    }
}

/// Whether a path of cgroups is that of a node's container.
pub(super) fn is_of_container(cgroup: &str, container: &str) -> bool {
    let is = |part: &str| part.strip_prefix("libpod-").unwrap_or(part).starts_with(container);
    // podman's own monitor of the container is in `libpod-conmon-<id>`, which is the host's.
    !container.is_empty() && cgroup.split('/').any(is)
}

fn nodes(planned: &Planned, processes: &[Process]) -> BTreeMap<u32, (usize, usize)> {
    let all = planned.instances.iter().enumerate().flat_map(|(instance, it)| {
        let nodes = it.nodes.iter().enumerate();
        nodes.filter_map(move |(node, it)| Some(((instance, node), it.container.as_deref()?)))
    });
    let all: Vec<((usize, usize), &str)> = all.collect();
    let of = |process: &Process| {
        let is = |(_, container): &&((usize, usize), &str)| {
            process.cgroups.iter().any(|cgroup| is_of_container(cgroup, container))
        };
        Some((process.pid, all.iter().find(is)?.0))
    };
    processes.iter().filter_map(of).collect()
}

/// The audit's processes and all their descendants.
fn descendants(planned: &Planned, processes: &[Process]) -> BTreeSet<u32> {
    let mut found = planned.own.clone();
    loop {
        let more = processes.iter().filter(|it| found.contains(&it.parent) && !found.contains(&it.pid));
        let more: Vec<u32> = more.map(|process| process.pid).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn mount_namespaces(
    processes: &[Process],
    nodes: &BTreeMap<u32, (usize, usize)>,
) -> BTreeMap<u64, (usize, usize)> {
    let mut mounts = BTreeMap::new();
    for process in processes {
        if let Some(node) = nodes.get(&process.pid) {
            mounts.entry(process.namespaces.mnt).or_insert(*node);
        }
    }
    mounts.remove(&0);
    mounts
}

/// A place on a file system: the device, and the path from the file system's root.
pub(super) type Spot = (String, Utf8PathBuf);

/// Where a path of a mount namespace is: by the last mount whose point is the longest part of the path.
pub(super) fn spot(table: &MountTable, path: &Utf8Path) -> Option<Spot> {
    let over = table.mounts.iter().filter(|mount| path.starts_with(&mount.point));
    let mount = over.max_by_key(|mount| mount.point.len())?;
    let rest = path.strip_prefix(&mount.point).ok()?;
    Some((mount.device.clone(), under(Utf8Path::new(&mount.root), rest)))
}

/// Whether a place is a folder or in it.
pub(super) fn within(folder: Option<&Spot>, at: &Spot) -> bool {
    folder.is_some_and(|folder| folder.0 == at.0 && at.1.starts_with(&folder.1))
}

/// `path` below `root`, without a slash at the end.
pub(super) fn under(root: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    if path.as_str().is_empty() { root.to_owned() } else { root.join(path) }
}
