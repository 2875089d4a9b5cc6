//! UNIX sockets, pipes and files without a name between processes of two instances, or of an instance and the host.
//!
//! A process belongs to an instance by its container or by its namespaces. So two processes of the host that relay between
//! the networks of two instances are found by what connects them.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Ground;
use super::processes;
use super::{Difference, DifferenceKind, Effect, Explanation};

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let instances = processes::instances(ground);
    let mut all = unix(ground, &instances);
    all.extend(shared(ground, &instances));
    all
}

/// Pipes, FIFOs and files without a name that processes of two instances have open.
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
        let what = if device == 0 { "a pipe" } else { "a FIFO or a file without a name" };
        let found = format!("{} share {what}", pids.join(", "));
        Some(Difference::of(DifferenceKind::Sockets, names, Effect::OpensPath, found))
    });
    told.collect()
}

/// UNIX sockets that connect a process of an instance with one of another instance or of the host.
fn unix(ground: &Ground<'_>, instances: &BTreeMap<u32, BTreeSet<usize>>) -> Vec<Difference> {
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
        pids.flat_map(of).collect()
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
        let found = format!("{} share a UNIX socket {name}", pids.join(", "));
        let explained = (by_audit && effect == Effect::Unplanned).then_some(Explanation::Audit);
        all.push(Difference::of(DifferenceKind::Sockets, names, effect, found).explained(explained));
    }
    all
}

#[cfg(test)]
mod tests {
    use probe::structure::{Process, Socket};

    use super::super::sample::*;

    /// A UNIX socket that is connected to another one.
    fn unix(inode: u64, peer: u64) -> Socket {
        Socket { protocol: "unix".to_owned(), inode, peer: Some(peer), state: 1, ..Socket::default() }
    }

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
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
        assert!(by_file.contains("share a FIFO or a file without a name"), "{by_file}");
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
