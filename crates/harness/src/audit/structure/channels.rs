//! UNIX sockets, pipes and files between processes of two instances, or of an instance and the host.
//!
//! A process belongs to an instance by its container or by its namespaces. So two processes of the host that relay between
//! the networks of two instances are found by what connects them.

use std::collections::{BTreeMap, BTreeSet};

use probe::structure::Socket;

use super::ground::{Ground, spot};
use super::processes;
use super::{Difference, DifferenceKind, Effect, Explanation};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let instances = processes::instances(ground);
    let files = Files::of(ground);
    let mut all = unix(ground, &instances, &files);
    all.extend(shared(ground, &instances));
    all.extend(foreign(ground, &instances, &files));
    all
}

/// Processes that use files of an instance to which they do not belong, and files of two instances.
fn foreign(
    ground: &Ground<'_>,
    instances: &BTreeMap<u32, BTreeSet<usize>>,
    files: &Files<'_>,
) -> Vec<Difference> {
    let others = ground.seen.processes.iter().filter(|process| !ground.of_audit.contains(&process.pid));
    let told = others.filter_map(|process| {
        let own = instances.get(&process.pid).cloned().unwrap_or_default();
        let by_device =
            process.file_systems.iter().filter_map(|device| files.file_systems.get(device.as_str()));
        let by_mount = process.mounts.iter().filter_map(|id| files.mounts.get(id));
        let by_process = process.pidfds.iter().filter_map(|pid| instances.get(pid)).flatten();
        let used = by_device.chain(by_mount).chain(by_process).copied();
        let used: BTreeSet<usize> = used.filter(|owner| !own.contains(owner)).collect();
        let all: BTreeSet<usize> = own.union(&used).copied().collect();
        if used.is_empty() || all.len() < 2 {
            return None;
        }
        let names = |of: &BTreeSet<usize>| of.iter().map(|it| ground.name(*it)).collect::<Vec<_>>();
        let found = format!(
            "{} uses files or processes of {}",
            ground.process(process.pid),
            names(&used).join(" and ")
        );
        Some(Difference::of(DifferenceKind::Sockets, names(&all), Effect::OpensPath, found))
    });
    told.collect()
}

/// Pipes, FIFOs and files that processes of two instances have open.
fn shared(ground: &Ground<'_>, instances: &BTreeMap<u32, BTreeSet<usize>>) -> Vec<Difference> {
    let mut holders: BTreeMap<(u64, u64), BTreeSet<u32>> = BTreeMap::new();
    for process in ground.seen.processes.iter().filter(|process| instances.contains_key(&process.pid)) {
        for channel in &process.channels {
            holders.entry(*channel).or_default().insert(process.pid);
        }
    }
    let told = holders.into_iter().filter_map(|((device, _), pids)| {
        let of: BTreeSet<usize> = pids.iter().flat_map(|pid| &instances[pid]).copied().collect();
        if of.len() < 2 || pids.len() < 2 {
            return None; // S10 tells of one process with a foot in two instances
        }
        let names = of.into_iter().map(|instance| ground.name(instance));
        let pids: Vec<String> = pids.iter().map(|pid| ground.process(*pid)).collect();
        let what = match device {
            0 => "a pipe",
            1 => "an eventfd",
            2 => "a BPF map",
            _ => "a file, a FIFO or memory",
        };
        let found = format!("{} share {what}", pids.join(", "));
        Some(Difference::of(DifferenceKind::Sockets, names, Effect::OpensPath, found))
    });
    told.collect()
}

/// UNIX sockets that connect a process of an instance with one of another instance or of the host.
fn unix(
    ground: &Ground<'_>,
    instances: &BTreeMap<u32, BTreeSet<usize>>,
    files: &Files<'_>,
) -> Vec<Difference> {
    let mut by_inode: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for process in &ground.seen.processes {
        for inode in &process.sockets {
            by_inode.entry(*inode).or_default().push(process.pid);
        }
    }
    let parties = |inode: u64| -> BTreeSet<Option<usize>> {
        let pids = by_inode.get(&inode).into_iter().flatten();
        let of = |pid: &u32| match instances.get(pid) {
            Some(instances) => instances.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        let file = ground.sockets.get(&inode).and_then(|(_, socket)| files.owner(socket));
        pids.flat_map(of).chain(file.map(Some)).collect()
    };
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for (inode, (_, socket)) in ground.sockets.iter().filter(|(_, (_, socket))| socket.protocol == "unix") {
        let peer = socket.peer.unwrap_or(*inode);
        if !told.insert((peer.min(*inode), peer.max(*inode))) {
            continue;
        }
        let parties: BTreeSet<Option<usize>> = parties(*inode).union(&parties(peer)).copied().collect();
        let instances: BTreeSet<usize> = parties.iter().flatten().copied().collect();
        if instances.is_empty() || parties.len() < 2 {
            continue;
        }
        let pids: BTreeSet<u32> =
            [*inode, peer].iter().filter_map(|inode| by_inode.get(inode)).flatten().copied().collect();
        let by_audit = pids.iter().all(|pid| ground.of_audit.contains(pid) || ground.nodes.contains_key(pid))
            && pids.iter().any(|pid| ground.of_audit.contains(pid));
        let pids: Vec<String> = pids.iter().map(|pid| ground.process(*pid)).collect();
        let name = socket.name.as_deref().unwrap_or("without a name");
        let effect = if instances.len() > 1 { Effect::OpensPath } else { Effect::Unplanned };
        let names = instances.into_iter().map(|instance| ground.name(instance));
        let found = match files.owner(socket) {
            Some(owner) if pids.len() == 1 => {
                format!("{} has the UNIX socket {name}, a file of {}", pids.join(", "), ground.name(owner))
            }
            _ => format!("{} share a UNIX socket {name}", pids.join(", ")),
        };
        let explained = (by_audit && effect == Effect::Unplanned).then_some(Explanation::Audit);
        all.push(Difference::of(DifferenceKind::Sockets, names, effect, found).explained(explained));
    }
    all
}

/// The instances to which files belong, those of UNIX sockets included.
struct Files<'a> {
    ground: &'a Ground<'a>,
    /// The file systems of which the nodes of one instance alone have mounts, by their devices.
    file_systems: BTreeMap<&'a str, usize>,
    /// The mounts in the mount namespaces of nodes, by their numbers.
    mounts: BTreeMap<u64, usize>,
}

impl<'a> Files<'a> {
    fn of(ground: &'a Ground<'a>) -> Self {
        let mut owners: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let mut mounts = BTreeMap::new();
        for table in &ground.seen.mounts {
            let Some((instance, _)) = ground.mounts.get(&table.inode) else { continue };
            for mount in &table.mounts {
                owners.entry(&mount.device).or_default().insert(*instance);
                mounts.insert(mount.id, *instance);
            }
        }
        let one = |(device, owners): (_, BTreeSet<usize>)| {
            let [owner] = owners.into_iter().collect::<Vec<_>>().try_into().ok()?;
            Some((device, owner))
        };
        Self { ground, mounts, file_systems: owners.into_iter().filter_map(one).collect() }
    }

    /// The instance that sees the file of a socket: it is on a file system of that instance, or in its folder.
    fn owner(&self, socket: &Socket) -> Option<usize> {
        let device = socket.device.as_deref()?;
        let in_folder = || {
            let at = spot(self.ground.host_mounts()?, socket.name.as_deref()?.into())?;
            self.ground.with_file(&at).filter(|_| at.0 == device)
        };
        self.file_systems.get(device).copied().or_else(in_folder)
    }
}

#[cfg(test)]
mod tests {
    use probe::structure::Process;

    use super::super::sample::*;
    use super::*;

    /// A UNIX socket that is connected to another one.
    fn unix(inode: u64, peer: u64) -> Socket {
        Socket { protocol: "unix".to_owned(), inode, peer: Some(peer), state: 1, ..Socket::default() }
    }

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(compare, change)
    }

    #[test]
    fn a_socket_whose_file_another_instance_sees_opens_a_path_before_anybody_is_connected() {
        let held = |device: &str, name: &str| {
            let socket = Socket {
                state: 10,
                device: Some(device.to_owned()),
                name: Some(name.to_owned()),
                peer: None,
                ..unix(91, 0)
            };
            found(move |seen| {
                let mut far = process(7300, "far", seen.host, &[91]);
                far.namespaces.net = GLOBEX_POD;
                network(seen, HOST).sockets.push(socket);
                seen.processes.push(far);
                let table = seen.mounts.iter_mut().find(|table| table.inode == ACME_CP + 1000).unwrap();
                table.mounts.push(mount("0:77", "/", "/run", "tmpfs"));
            })
        };
        let on_node = held("0:77", "/run/x");
        assert!(on_node.contains("acme, globex"), "{on_node}");
        assert!(
            on_node.contains("process 7300 (far) has the UNIX socket /run/x, a file of acme"),
            "{on_node}"
        );
        assert_eq!(held("0:78", "/run/x"), "", "a file that no node sees");
    }

    #[test]
    fn a_process_with_files_of_another_instance_opens_a_path_and_one_of_the_host_with_files_of_one_does_not()
    {
        let used = |net: Option<u64>, devices: &[&str]| {
            let devices = devices.iter().map(|it| (*it).to_owned()).collect();
            found(move |seen| {
                let mut relay = process(7400, "relay", seen.host, &[]);
                relay.namespaces.net = net.unwrap_or(HOST);
                relay.file_systems = devices;
                seen.processes.push(relay);
                for (table, device) in [(ACME_CP, "0:77"), (GLOBEX_CP, "0:78")] {
                    let table = seen.mounts.iter_mut().find(|it| it.inode == table + 1000).unwrap();
                    table.mounts.push(mount(device, "/", "/run", "tmpfs"));
                }
            })
        };
        let by_namespace = used(Some(GLOBEX_POD), &["0:77"]);
        assert!(by_namespace.contains("acme, globex"), "{by_namespace}");
        assert!(
            by_namespace.contains("process 7400 (relay) uses files or processes of acme"),
            "{by_namespace}"
        );
        let by_files = used(None, &["0:77", "0:78"]);
        assert!(
            by_files.contains("process 7400 (relay) uses files or processes of acme and globex"),
            "{by_files}"
        );
        for harmless in [used(None, &["0:77"]), used(Some(GLOBEX_POD), &["0:78"])] {
            assert_eq!(harmless, "");
        }
    }

    #[test]
    fn unix_sockets_between_instances_and_to_the_host_are_told() {
        insta::assert_snapshot!(found(|seen| {
            network(seen, ACME_CP).sockets.extend([unix(1, 2), unix(3, 4), unix(5, 6)]);
            network(seen, GLOBEX_CP).sockets.push(unix(2, 1));
            network(seen, HOST).sockets.push(unix(4, 3));
            network(seen, ACME_CP).sockets.push(unix(6, 5));
            let own = |seen: &mut probe::structure::Seen, pid, sockets: &[u64]| {
                seen.processes.iter_mut().find(|process| process.pid == pid).unwrap().sockets.extend(sockets);
            };
            own(seen, ACME_PID, &[1, 3, 5, 6]);
            own(seen, GLOBEX_PID, &[2]);
            let host = seen.host;
            seen.processes.push(process(7000, "agent", host, &[4]));
        }));
    }

    #[test]
    fn a_nodes_process_with_a_mount_or_a_process_of_another_instance_opens_a_path() {
        let uses = |change: fn(&mut Process)| {
            found(|seen| {
                let table = seen.mounts.iter_mut().find(|it| it.inode == GLOBEX_CP + 1000).unwrap();
                table.mounts.push(probe::structure::Mount { id: 88, ..mount("8:1", "/srv", "/srv", "ext4") });
                change(seen.processes.iter_mut().find(|process| process.pid == ACME_PID).unwrap());
            })
        };
        let told = "uses files or processes of globex (opens a path)";
        for change in [(|it| it.mounts.push(88)) as fn(&mut Process), |it| it.pidfds.push(GLOBEX_PID)] {
            let found = uses(change);
            assert!(found.starts_with("acme, globex: ") && found.contains(told), "{found}");
        }
        for change in [(|it| it.mounts.push(89)) as fn(&mut Process), |it| it.pidfds.push(ACME_PID)] {
            assert_eq!(uses(change), "");
        }
    }

    #[test]
    fn a_relay_of_two_processes_in_the_namespaces_of_two_instances_opens_a_path() {
        let between = |connect: fn(&mut probe::structure::Seen, &mut Process, &mut Process)| {
            found(|seen| {
                let host = seen.host;
                let (mut near, mut far) = (process(7100, "near", host, &[]), process(7101, "far", host, &[]));
                near.namespaces.net = ACME_CP;
                far.namespaces.net = GLOBEX_POD;
                connect(seen, &mut near, &mut far);
                seen.processes.extend([near, far]);
            })
        };
        assert_eq!(between(|_, _, _| {}), "", "two processes that share nothing are no relay");
        let by_pipe = between(|_, near, far| {
            near.channels = vec![(0, 9), (0, 10)];
            far.channels = vec![(0, 10), (0, 11)];
        });
        let names = "acme, globex";
        assert!(
            by_pipe.contains(names)
                && by_pipe.contains("process 7100 (near), process 7101 (far) share a pipe"),
            "{by_pipe}"
        );
        let by_file = between(|_, near, far| {
            near.channels = vec![(5, 10)];
            far.channels = vec![(5, 10)];
        });
        assert!(by_file.contains("share a file, a FIFO or memory"), "{by_file}");
        let by_socket = between(|seen, near, far| {
            network(seen, HOST).sockets.extend([unix(81, 82), unix(82, 81)]);
            (near.sockets, far.sockets) = (vec![81], vec![82]);
        });
        assert!(by_socket.contains(names) && by_socket.contains("share a UNIX socket"), "{by_socket}");
    }

    #[test]
    fn pipes_of_the_host_within_an_instance_and_of_the_audit_are_no_difference() {
        let told = found(|seen| {
            let host = seen.host;
            let mut conmon = process(7200, "conmon", host, &[]);
            conmon.channels = vec![(0, 20), (0, 21)];
            let mut audit = [(7201, ACME_CP), (7202, GLOBEX_CP)].map(|(pid, net)| {
                let mut own = process(pid, "homelab-probe", host, &[]);
                (own.parent, own.namespaces.net, own.channels) = (AUDIT_PID, net, vec![(0, 30)]);
                own
            });
            seen.processes.push(conmon);
            seen.processes.extend(audit.iter_mut().map(std::mem::take));
            for (pid, channel) in [(ACME_PID, 20), (GLOBEX_PID, 21)] {
                let own = seen.processes.iter_mut().find(|process| process.pid == pid).unwrap();
                own.channels = vec![(0, channel)];
            }
        });
        assert_eq!(told, "");
    }
}
