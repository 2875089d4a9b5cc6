//! Names, networks and addresses: as documented for the first instances, and never shared by two instances.

mod properties;
mod workers;

use ipnet::Ipv4Net;

use provisioner::error::Hint;
use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, HostNetwork, PlanError, Pool, Pools, Role, Taken};
use provisioner::registry::Instance;
use provisioner::request::{CheckedSpec, ClusterSpec, Topology};

use crate::given::{checked, claimed, instance, net};

fn claim(spec: &CheckedSpec, taken: &Taken) -> Result<Instance, PlanError> {
    claimed(spec, taken, &Pools::default())
}

fn cidrs(instance: &Instance) -> [Ipv4Net; 3] {
    [instance.subnet, instance.k8s.pod_cidr, instance.k8s.service_cidr]
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// Sixteen instances, claimed one after the other: the default subnet pool is full.
fn full() -> Vec<Instance> {
    (0..16).fold(Vec::new(), |mut there, i| {
        there.push(instance(&format!("client-{i}"), &there));
        there
    })
}

#[test]
fn three_clients_get_the_networks_that_the_documentation_names() {
    let acme = instance("acme", &[]);
    let globex = instance("globex", std::slice::from_ref(&acme));
    let personal = instance("personal", &[acme.clone(), globex.clone()]);
    let all = [acme, globex, personal].map(|instance| cidrs(&instance).map(|cidr| cidr.to_string()));
    assert_eq!(
        all,
        [
            ["192.168.60.0/24", "10.244.0.0/16", "10.96.0.0/16"],
            ["192.168.61.0/24", "10.245.0.0/16", "10.97.0.0/16"],
            ["192.168.62.0/24", "10.246.0.0/16", "10.98.0.0/16"],
        ]
    );
}

#[test]
fn subnets_go_on_to_the_end_of_the_pool_and_then_from_its_beginning() {
    let third: Vec<u8> = full().iter().map(|instance| instance.subnet.network().octets()[2]).collect();
    assert_eq!(third, [60, 61, 62, 63, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
}

#[test]
fn a_full_pool_is_an_error_that_says_so() {
    let taken = Taken { instances: full(), ..Taken::default() };
    let error = claim(&checked("one-more"), &taken).unwrap_err();
    insta::assert_snapshot!(error, @"no subnet left in pool 192.168.48.0/20: all 16 blocks of /24 are in use");
}

#[test]
fn subnets_are_drawn_from_ranges_that_virtualbox_allows_and_refused_elsewhere() {
    let claim = |spec: ClusterSpec, there: &[Instance], allowed: &[&str]| {
        let pools = Pools::default().within(allowed.iter().map(|range| net(range)).collect());
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        claimed(&spec.check().unwrap(), &taken, &pools)
    };
    let usual = ["192.168.56.0/21"];
    let there = (0..8).fold(Vec::new(), |mut there, i| {
        there.push(claim(ClusterSpec::new(format!("client-{i}")), &there, &usual).unwrap());
        there
    });
    let third: Vec<u8> = there.iter().map(|instance| instance.subnet.network().octets()[2]).collect();
    assert_eq!(third, [60, 61, 62, 63, 56, 57, 58, 59]);

    let acme = || ClusterSpec::new("acme");
    let wider = ["192.168.56.0/21", "192.168.40.0/24"];
    assert_eq!(claim(acme().subnet("192.168.40.0/24"), &[], &wider).unwrap().subnet, net("192.168.40.0/24"));
    let refusals = [
        claim(acme(), &there, &usual),
        claim(acme(), &[], &["10.0.0.0/8"]),
        claim(acme(), &[], &[]),
        claim(acme().subnet("192.168.48.0/24"), &[], &usual),
        // Two allowed halves do not make up an allowed block.
        claim(acme().subnet("192.168.60.0/24"), &[], &["192.168.60.0/25", "192.168.60.128/25"]),
        // The error names the holder first, because the subnet would be in use in a wider range too.
        claim(acme().subnet("192.168.60.0/24"), &there, &[]),
    ];
    let refusals = refusals.map(|refused| {
        let error = refused.unwrap_err();
        format!("{error}\nhint: {}", error.hint().unwrap_or_default())
    });
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_freed_subnet_is_drawn_by_the_next_instance() {
    let mut there = full();
    let freed = there.remove(5).subnet;
    assert_eq!(instance("next", &there).subnet, freed);
}

#[test]
fn refusals_name_the_value_in_use_and_its_holder() {
    let acme = instance("acme", &[]);
    let taken = Taken {
        instances: vec![acme],
        neighbours: Vec::new(),
        host: vec![
            HostNetwork { net: net("192.168.1.0/24"), interface: "eth0".to_owned() },
            HostNetwork { net: net("172.17.0.0/16"), interface: "docker0".to_owned() },
            HostNetwork { net: net("10.8.0.3/32"), interface: "wg0".to_owned() },
            HostNetwork { net: net("10.255.255.53/32"), interface: "a name server".to_owned() },
        ],
    };
    let refused = |spec: ClusterSpec| claim(&spec.check().unwrap(), &taken).unwrap_err().to_string();
    let globex = || ClusterSpec::new("globex");
    let refusals = [
        refused(globex().subnet("192.168.60.0/24")),
        refused(globex().subnet("10.244.7.0/24")),
        refused(globex().subnet("192.168.1.0/24")),
        refused(globex().subnet("172.17.9.0/24")),
        refused(globex().subnet("10.8.0.0/24")),
        refused(globex().subnet("10.255.255.0/24")),
        refused(globex().tld_prefix("acme")),
        refused(ClusterSpec::new("acme").tld_prefix("other")),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    subnet 192.168.60.0/24 already in use by instance 'acme'
    subnet 10.244.7.0/24 already in use by instance 'acme'
    subnet 192.168.1.0/24 already in use by the host (eth0)
    subnet 172.17.9.0/24 already in use by the host (docker0)
    subnet 10.8.0.0/24 already in use by the host (wg0)
    subnet 10.255.255.0/24 already in use by the host (a name server)
    tldPrefix acme already in use by instance 'acme'
    name acme already in use by instance 'acme'
    ");
}

#[test]
fn networks_that_the_host_uses_are_not_drawn() {
    let host = [("192.168.60.0/23", "eth0"), ("10.244.0.0/14", "tun0"), ("10.96.1.2/32", "lo")]
        .map(|(text, interface)| HostNetwork { net: net(text), interface: interface.to_owned() });
    let acme =
        claim(&checked("acme"), &Taken { instances: Vec::new(), host: host.into(), ..Taken::default() })
            .unwrap();
    assert_eq!(cidrs(&acme), [net("192.168.62.0/24"), net("10.248.0.0/16"), net("10.97.0.0/16")]);
}

#[test]
fn no_pool_ever_hands_out_the_block_with_the_hosts_name_server() {
    let server = HostNetwork { net: net("10.255.255.53/32"), interface: "a name server".to_owned() };
    let mut there = Vec::new();
    for place in 0..15 {
        let taken = Taken { instances: there.clone(), host: vec![server.clone()], ..Taken::default() };
        there.push(claim(&checked(&format!("client-{place}")), &taken).unwrap());
    }
    let blocks: Vec<Ipv4Net> = there.iter().map(|instance| instance.k8s.pod_cidr).collect();
    assert!(blocks.contains(&net("10.254.0.0/16")) && !blocks.contains(&net("10.255.0.0/16")), "{blocks:?}");
    let taken = Taken { instances: there, host: vec![server], ..Taken::default() };
    let error = claim(&checked("one-too-many"), &taken).unwrap_err();
    assert!(matches!(error, PlanError::Exhausted { what: "pod CIDR", .. }), "{error}");
}

#[test]
fn a_chosen_subnet_keeps_clear_of_the_pod_and_service_cidr_of_its_own_instance() {
    for subnet in ["10.244.0.0/24", "10.96.3.0/24"] {
        let spec = ClusterSpec::new("acme").subnet(subnet).check().unwrap();
        let [subnet, pods, services] = cidrs(&claim(&spec, &Taken::default()).unwrap());
        assert!(!overlap(&subnet, &pods) && !overlap(&subnet, &services), "{subnet} {pods} {services}");
    }
}

#[test]
fn nodes_have_the_names_and_addresses_that_the_documentation_names() {
    let home = Home::at("/home/ada/.homelab");
    let nodes = |spec: ClusterSpec| {
        let instance = claim(&spec.check().unwrap(), &Taken::default()).unwrap();
        let plan = ClusterPlan::of(&instance, &home);
        assert_eq!(plan.gateway.to_string(), "192.168.60.1");
        assert_eq!(plan.api_name, "api.acme.lab");
        let line = |node: &plan::NodePlan| {
            let role = if node.role == Role::ControlPlane { "control plane" } else { "worker" };
            format!("{} {} {} {role}", node.name, node.address, node.pod_cidr)
        };
        plan.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(nodes(ClusterSpec::new("acme").topology(Topology::Single)),
        @"acme-main 192.168.60.10 10.244.0.0/24 control plane");
    insta::assert_snapshot!(nodes(ClusterSpec::new("acme")), @r"
    acme-cp-1 192.168.60.10 10.244.0.0/24 control plane
    acme-w-1 192.168.60.21 10.244.1.0/24 worker
    acme-w-2 192.168.60.22 10.244.2.0/24 worker
    acme-w-3 192.168.60.23 10.244.3.0/24 worker
    ");
    insta::assert_snapshot!(nodes(ClusterSpec::new("acme").workers(0)),
        @"acme-cp-1 192.168.60.10 10.244.0.0/24 control plane");
    insta::assert_snapshot!(nodes(ClusterSpec::new("acme").topology(Topology::Ha)), @r"
    acme-cp-1 192.168.60.11 10.244.0.0/24 control plane
    acme-cp-2 192.168.60.12 10.244.1.0/24 control plane
    acme-cp-3 192.168.60.13 10.244.2.0/24 control plane
    acme-w-1 192.168.60.21 10.244.3.0/24 worker
    acme-w-2 192.168.60.22 10.244.4.0/24 worker
    acme-w-3 192.168.60.23 10.244.5.0/24 worker
    ");
}

#[test]
fn several_control_planes_answer_at_an_address_of_no_node_and_a_single_one_at_its_own() {
    let home = Home::at("/h");
    let planned = |topology, workers| {
        let spec = ClusterSpec::new("acme").topology(topology).workers(workers).check().unwrap();
        ClusterPlan::of(&claim(&spec, &Taken::default()).unwrap(), &home)
    };
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    for (topology, workers) in [(Topology::Single, 0), (Topology::Multi, 0), (Topology::Multi, 2)] {
        let plan = planned(topology, workers);
        assert_eq!((plan.api_address, plan.virtual_address()), (plan.first().address, None));
        assert_eq!(plan.control_planes().count(), 1);
    }
    for workers in [0, 2] {
        let plan = planned(Topology::Ha, workers);
        assert_eq!(plan.api_address, address("192.168.60.5"));
        assert_eq!(plan.virtual_address(), Some(plan.api_address));
        assert_eq!(plan.control_planes().count(), 3);
        assert_eq!(plan.control_plane_runs_pods(), workers == 0);
    }
    assert_eq!(planned(Topology::Ha, 0).workload_address, address("192.168.60.11"));
    assert_eq!(planned(Topology::Ha, 2).workload_address, address("192.168.60.21"));
}

#[test]
fn nodes_that_have_no_room_in_a_small_block_are_refused_before_one_is_drawn() {
    let pools = |subnet: u8, pod: u8| {
        let mut pools = crate::given::wide_pools();
        (pools.subnet.block, pools.pod.block) = (subnet, pod);
        pools
    };
    let claimed = |pools: &Pools, workers: u8, subnet: Option<&str>| {
        let spec = ClusterSpec { subnet: subnet.map(str::to_owned), ..ClusterSpec::new("acme") };
        claimed(&spec.workers(workers).check().unwrap(), &Taken::default(), pools)
    };
    let three_planes = |workers| {
        let spec =
            ClusterSpec::new("acme").topology(Topology::Ha).subnet("192.168.60.32/27").workers(workers);
        claim(&spec.check().unwrap(), &Taken::default())
    };
    three_planes(10).unwrap();
    let home = Home::at("/h");
    for (size, workers) in [(24, 179), (25, 106), (26, 42), (27, 10)] {
        let most = claimed(&pools(size, 16), workers, None).unwrap();
        let plan = ClusterPlan::of(&most, &home);
        assert_eq!(plan.nodes.len(), usize::from(workers) + 1);
        for node in &plan.nodes {
            assert!(plan.subnet.hosts().any(|host| host == node.address), "{} {}", plan.subnet, node.address);
            assert!(plan.pod_cidr.contains(&node.pod_cidr));
        }
        if size > 24 {
            let error = claimed(&pools(size, 16), workers + 1, None).unwrap_err();
            let what = PlanError::DoesNotFit {
                what: "subnet",
                size,
                room: usize::from(workers) + 1,
                asked: usize::from(workers) + 2,
            };
            assert_eq!(error, what);
        }
    }
    let errors = [
        claimed(&pools(24, 22), 4, None).unwrap_err(),
        claimed(&pools(24, 24), 1, None).unwrap_err(),
        claimed(&pools(24, 16), 11, Some("192.168.60.32/27")).unwrap_err(),
        three_planes(11).unwrap_err(),
    ];
    let said = errors.map(|error| format!("{error}\n  hint: {}", error.hint().unwrap()));
    insta::assert_snapshot!(said.join("\n"), @r"
    a pod CIDR of /22 has room for 4 nodes, but the cluster needs 5
      hint: use fewer workers, or set a larger network: pools.pod.block in config.yaml
    a pod CIDR of /24 has room for 1 node, but the cluster needs 2
      hint: use fewer workers, or set a larger network: pools.pod.block in config.yaml
    a subnet of /27 has room for 11 nodes, but the cluster needs 12
      hint: use fewer workers, or set a larger network: pools.subnet.block in config.yaml
    a subnet of /27 has room for 13 nodes, but the cluster needs 14
      hint: use fewer workers, or set a larger network: pools.subnet.block in config.yaml
    ");
    assert_eq!(claimed(&pools(24, 22), 3, None).unwrap().k8s.pod_cidr.prefix_len(), 22);
}

#[test]
fn the_most_workers_all_have_addresses_of_their_own() {
    let spec = ClusterSpec::new("acme").workers(179).check().unwrap();
    let plan = ClusterPlan::of(&claim(&spec, &Taken::default()).unwrap(), &Home::at("/h"));
    assert_eq!(plan.nodes.len(), 180);
    assert_eq!(plan.nodes[179].address.to_string(), "192.168.60.199");
}

#[test]
fn objects_on_the_host_never_mix_up_homes_or_names_with_a_common_beginning() {
    let id = |home: &str, name: &str| plan::InstanceId { home: home.to_owned(), name: name.to_owned() };
    let ids = [id("aaaaaa", "a"), id("aaaaaa", "a-1"), id("bbbbbb", "a")];
    for one in &ids {
        assert!(one.link().len() <= 15, "{} does not fit an interface name", one.link());
        for other in ids.iter().filter(|other| *other != one) {
            assert_ne!(one.link(), other.link());
            assert!(!other.scope().starts_with(&format!("{}.", one.scope())));
            assert!(!other.node_scope("x").starts_with(&one.node_scope("")));
        }
    }
}

#[test]
fn a_pool_that_the_host_uses_is_refused_with_the_interface_and_the_setting_that_moves_it() {
    let host = |networks: &[(&str, &str)]| Taken {
        instances: Vec::new(),
        neighbours: Vec::new(),
        host: networks
            .iter()
            .map(|(text, interface)| HostNetwork { net: net(text), interface: (*interface).to_owned() })
            .collect(),
    };
    let refused = |networks: &[(&str, &str)]| {
        let error = claim(&checked("acme"), &host(networks)).unwrap_err();
        format!("{error}\nhint: {}", error.hint().unwrap())
    };
    let cases = [
        refused(&[("192.168.48.0/20", "tun0")]),
        // The host's address is in a large network, and the first private range to move the pool to is in use.
        refused(&[("192.168.0.0/16", "wlan0"), ("172.16.0.0/12", "docker0")]),
        refused(&[("10.240.0.0/13", "tun0"), ("10.248.0.0/13", "tun1"), ("192.168.1.0/24", "eth0")]),
        refused(&[("10.96.0.0/12", "a route")]),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r"
    no subnet left in pool 192.168.48.0/20: all 16 blocks of /24 are in use; the host itself uses 192.168.48.0/20 (tun0)
    hint: the line `pools: { subnet: { range: 172.16.0.0/20 } }` in config.yaml moves the pool to a range that the host does not use
    no subnet left in pool 192.168.48.0/20: all 16 blocks of /24 are in use; the host itself uses 192.168.0.0/16 (wlan0)
    hint: the line `pools: { subnet: { range: 10.0.0.0/20 } }` in config.yaml moves the pool to a range that the host does not use
    no pod CIDR left in pool 10.240.0.0/12: all 16 blocks of /16 are in use; the host itself uses 10.240.0.0/13 (tun0), 10.248.0.0/13 (tun1)
    hint: the line `pools: { pod: { range: 172.16.0.0/12 } }` in config.yaml moves the pool to a range that the host does not use
    no service CIDR left in pool 10.96.0.0/12: all 16 blocks of /16 are in use; the host itself uses 10.96.0.0/12 (a route)
    hint: the line `pools: { service: { range: 172.16.0.0/12 } }` in config.yaml moves the pool to a range that the host does not use
    ");
}
