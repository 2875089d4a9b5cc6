//! The capacity of a host: from the demand of nodes, the host's resources, and the demand of instances that come up.

use provisioner::capacity::{CapacityError, Demand, HostResources, Room};
use provisioner::error::Hint;
use provisioner::plan::{ClusterPlan, Pools, Role, Taken};
use provisioner::request::{ClusterSpec, CniKind, EngineKind, NodeSize, Provider, Topology};
use rstest::rstest;

use crate::given::{House, claimed};

/// A host without instances, with this much memory in GiB and this many processors.
fn empty(memory: u64, available: u64, processors: u64) -> Room {
    let (memory, available) = (memory * 1024, available * 1024);
    let host = HostResources { memory, available, processors, inotify_limit: 8192, inotify_used: 20 };
    Room { host, running: Demand::default(), starting: Demand::default() }
}

fn cost(cni: CniKind, topology: Topology, workers: u8) -> Demand {
    let spec = ClusterSpec { cni, ..ClusterSpec::new("acme").topology(topology).workers(workers) };
    Demand::of_spec(&spec.check().unwrap())
}

fn single() -> Demand {
    cost(CniKind::Routed, Topology::Single, 0)
}

fn refusal(room: &Room, asked: Demand) -> String {
    room.admit(asked).unwrap_err().to_string()
}

#[test]
fn the_demand_of_a_cluster_is_that_of_its_nodes() {
    let of = |workers| cost(CniKind::Routed, Topology::Multi, workers);
    let worker = Demand::of(CniKind::Routed, None, &[Role::ControlPlane, Role::Worker, Role::Worker]);
    assert_eq!(of(2), worker);
    let step = of(3).memory - of(2).memory;
    assert!(step > 0);
    assert_eq!(of(9).memory - of(2).memory, 7 * step);
    let light = single();
    let heavy = cost(CniKind::Cilium, Topology::Single, 0);
    assert!(heavy.memory > light.memory && heavy.processors > light.processors);
}

#[test]
fn the_demand_of_a_vm_is_its_memory_with_an_overhead_and_no_inotify_instances() {
    let of = |workers| {
        let spec = ClusterSpec::new("acme").workers(workers).cni(CniKind::Cilium);
        let spec = spec.engine(EngineKind::Vagrant(Provider::Libvirt));
        Demand::of_spec(&spec.size(NodeSize { cpus: 2, memory_mib: 2000 }).check().unwrap())
    };
    assert_eq!((of(0).memory, of(0).inotify), (2100, 0));
    assert_eq!((of(3).memory, of(3).inotify), (4 * 2100, 0));
    let in_containers = cost(CniKind::Cilium, Topology::Multi, 3);
    assert_eq!(of(3).processors, in_containers.processors, "VMs must count as many processors");
}

#[test]
fn the_demand_of_a_plan_and_of_further_workers_is_that_of_the_spec() {
    let house = House::new();
    for engine in [EngineKind::Container, EngineKind::Vagrant(Provider::Libvirt)] {
        let spec = |workers| ClusterSpec::new("acme").workers(workers).engine(engine).check().unwrap();
        let instance = claimed(&spec(2), &Taken::default(), &Pools::default()).unwrap();
        let plan = ClusterPlan::of(&instance, &house.home);
        assert_eq!(Demand::of_plan(&plan), Demand::of_spec(&spec(2)));
        assert_eq!(Demand::of_plan(&plan) + Demand::of_workers(&plan, 3), Demand::of_spec(&spec(5)));
    }
}

#[test]
fn vms_that_do_not_fit_are_refused_with_all_figures() {
    let spec = ClusterSpec::new("acme").engine(EngineKind::Vagrant(Provider::Libvirt)).check().unwrap();
    insta::assert_snapshot!(refusal(&empty(8, 7, 8), Demand::of_spec(&spec)), @"not enough capacity on this host: needs 10.4 GiB of memory, 6.0 GiB are left (8.0 GiB in total, 1.0 GiB in use or claimed, 1.0 GiB for the host itself)");
}

#[rstest]
#[case::memory_decides(empty(4, 4, 64))]
#[case::processors_decide(empty(256, 256, 2))]
#[case::available_memory_decides(empty(64, 4, 64))]
fn the_number_of_clusters_that_fit_is_the_number_that_is_admitted(#[case] room: Room) {
    for each in [single(), cost(CniKind::Cilium, Topology::Multi, 3)] {
        let many = room.fits(each);
        assert!(many > 0);
        let of = |count: u64| (0..count).map(|_| each).sum::<Demand>();
        assert!(room.admit(of(many)).is_ok());
        assert!(room.admit(of(many + 1)).is_err());
    }
}

#[test]
fn sixteen_single_clusters_fit_on_two_processors() {
    assert!(empty(24, 22, 2).fits(single()) >= 16);
}

#[test]
fn a_host_smaller_than_the_reserve_has_no_capacity() {
    let room = empty(1, 0, 1);
    assert_eq!((room.memory(), room.fits(single())), (0, 0));
}

#[test]
fn a_starting_instance_counts_against_the_available_memory_and_a_running_one_does_not_count_twice() {
    let much = Demand { memory: 4096, ..Demand::default() };
    let before = empty(16, 8, 8);
    let starting = Room { starting: much, ..before };
    assert_eq!(starting.memory(), before.memory() - much.memory);
    // The memory that a running instance uses is no longer available, and the instance needs no more.
    let running = Room { running: much, ..before };
    assert_eq!(running.memory(), before.memory());
}

#[test]
fn the_full_demand_of_a_running_instance_stays_reserved() {
    let promised = Demand { memory: 12 * 1024, processors: 0, inotify: 0 };
    let room = Room { running: promised, ..empty(16, 15, 8) };
    assert_eq!(room.memory(), 3 * 1024);
}

#[test]
fn a_refusal_has_all_figures() {
    let room = Room { running: cost(CniKind::Cilium, Topology::Multi, 3), ..empty(8, 2, 2) };
    let asked = cost(CniKind::Cilium, Topology::Multi, 40);
    let error = room.admit(asked).unwrap_err();
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint().unwrap()));
    assert!(matches!(error, CapacityError::TooMuch(shortages) if shortages.len() == 2));
}

#[test]
fn a_refusal_names_only_the_resources_that_do_not_suffice() {
    let text = refusal(&empty(4, 4, 64), cost(CniKind::Routed, Topology::Multi, 100));
    assert!(text.contains("of memory") && !text.contains("processors"), "{text}");
}

#[test]
fn too_few_inotify_instances_are_reported_with_the_command_that_raises_them() {
    let few = |room: Room| Room { host: HostResources { inotify_limit: 128, ..room.host }, ..room };
    let room = few(empty(24, 22, 8));
    assert_eq!(room.lack(single()), None);
    let many = (0..5).map(|_| single()).sum::<Demand>();
    insta::assert_snapshot!(room.lack(many).unwrap().to_string());
    let coming = Room { starting: many, ..room };
    assert!(coming.lack(single()).is_some(), "an instance that comes up does not use its memory yet");
    let running = Room { running: many, ..room };
    assert_eq!(running.lack(single()), None, "the kernel already counts a running instance");
}

#[test]
fn the_resources_of_this_host_can_be_read() {
    let host = HostResources::here().unwrap();
    assert!(host.memory >= host.available && host.available > 0);
    assert!(host.processors > 0 && host.inotify_limit > 0);
}
