//! Workers keep their names, addresses and pod CIDRs when other workers are added and removed, and no two share any.

use proptest::prelude::*;
use provisioner::error::Hint;
use provisioner::plan::{NodePlan, add_workers, remove_worker};
use provisioner::registry::{State, Workers};

use super::*;

/// A running instance of this spec.
fn running(spec: ClusterSpec) -> Instance {
    Instance { state: State::Running, ..claim(&spec.check().unwrap(), &Taken::default()).unwrap() }
}

/// The instance after the workers in transit have been added.
fn arrived(instance: Instance) -> Instance {
    Instance { transit: Workers::default(), ..instance.with_transit() }
}

fn gone(instance: Instance) -> Instance {
    Instance { transit: Workers::default(), ..instance }
}

fn nodes(instance: &Instance) -> Vec<NodePlan> {
    ClusterPlan::of(instance, &Home::at("/h")).nodes
}

#[test]
fn a_removed_worker_leaves_a_gap_and_the_next_one_gets_the_same_name_and_addresses() {
    let acme = running(ClusterSpec::new("acme"));
    let before = nodes(&acme);
    let without = remove_worker(&acme, "acme-w-2").unwrap();
    assert_eq!(nodes(&without), [&before[..2], &before[3..]].concat());
    assert_eq!(nodes(&without.with_transit()), before);
    let without = gone(without);
    let again = add_workers(&without, 2).unwrap();
    assert_eq!(nodes(&again), nodes(&without), "a worker in transit is in the plan");
    let again = nodes(&arrived(again));
    assert_eq!(again[..4], before);
    assert_eq!((again[4].name.as_str(), again[4].address.octets()[3]), ("acme-w-4", 24));
    assert_eq!(again[4].pod_cidr, net("10.244.4.0/24"));
}

#[test]
fn the_workload_address_is_that_of_the_first_worker_or_else_of_the_api_server() {
    let plan = |instance: &Instance| ClusterPlan::of(instance, &Home::at("/h"));
    let acme = running(ClusterSpec::new("acme").workers(2));
    let acme = gone(remove_worker(&acme, "acme-w-1").unwrap());
    assert_eq!(plan(&acme).workload_address.octets()[3], 22);
    let acme = gone(remove_worker(&acme, "acme-w-2").unwrap());
    assert_eq!(plan(&acme).workload_address, plan(&acme).api_address);
    assert!(plan(&acme).control_plane_runs_pods());
}

#[test]
fn impossible_changes_of_workers_are_refused_with_the_reason() {
    let acme = running(ClusterSpec::new("acme").workers(2));
    let small = running(ClusterSpec::new("acme").workers(9).subnet("192.168.60.0/27"));
    let full = running(ClusterSpec::new("acme").workers(179));
    let creating = Instance { state: State::Creating, ..acme.clone() };
    let single = running(ClusterSpec::new("acme").topology(Topology::Single));
    let refusals = [
        remove_worker(&acme, "acme-w-7").unwrap_err(),
        remove_worker(&acme, "acme-cp-1").unwrap_err(),
        remove_worker(&creating, "acme-w-1").unwrap_err(),
        add_workers(&single, 1).unwrap_err(),
        add_workers(&small, 2).unwrap_err(),
        add_workers(&full, 1).unwrap_err(),
    ];
    let said = refusals.map(|error| format!("{error}\n  hint: {}", error.hint().unwrap_or_default()));
    insta::assert_snapshot!(said.join("\n"));
    assert!(add_workers(&small, 1).is_ok());
}

proptest! {
    #[test]
    fn no_change_of_workers_moves_a_node_or_gives_two_of_them_the_same(
        begin in 0..5_u8, steps in prop::collection::vec((any::<bool>(), 1..4_u8, any::<prop::sample::Index>()), 0..12),
    ) {
        let mut acme = running(ClusterSpec::new("acme").workers(begin));
        for (add, count, which) in steps {
            let before = nodes(&acme);
            let workers: Vec<u8> = acme.workers.numbers().collect();
            acme = match add {
                true => arrived(add_workers(&acme, count).unwrap()),
                false if workers.is_empty() => continue,
                false => {
                    let node = format!("acme-w-{}", which.get(&workers));
                    gone(remove_worker(&acme, &node).unwrap())
                }
            };
            let after = nodes(&acme);
            let expected = if add { workers.len() + usize::from(count) } else { workers.len() - 1 };
            prop_assert_eq!(usize::from(acme.workers.count()), expected);
            for (place, node) in after.iter().enumerate() {
                prop_assert!(before.iter().all(|old| old.name != node.name || old == node), "{} moved", node.name);
                let same = |other: &NodePlan| other.address == node.address || other.pod_cidr == node.pod_cidr;
                prop_assert!(!after[..place].iter().any(same), "{} shares with another", node.name);
            }
        }
    }

    #[test]
    fn free_numbers_are_the_lowest_that_are_not_taken(taken in prop::collection::btree_set(1..=179_u8, 0..179), count in any::<u8>()) {
        let taken = Workers::try_from(taken).unwrap();
        let free: Vec<u8> = taken.free(count).numbers().collect();
        prop_assert_eq!(free.len(), usize::from(count.min(179 - taken.count())));
        let lowest = (1..=179).filter(|number| taken.numbers().all(|other| other != *number));
        prop_assert_eq!(lowest.take(count.into()).collect::<Vec<u8>>(), free);
    }
}
