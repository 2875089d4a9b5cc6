//! A pair of clean instances for tests, with everything that a host with them has; as containers, and as VMs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use probe::structure::{
    Address, Cgroup, DeviceNode, Link, Mount, MountTable, Namespace, NamespaceKind, Namespaces, Neighbour,
    Network, Peer, Place, PolicyRule, Process, Route, Seen, Socket, VERSION,
};
use provisioner::capacity::NodeLimits;
use provisioner::fabric::{ExpectedGuard, ROUTE_PROTOCOL};
use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Pools, Taken, claim};
use provisioner::registry::{Keeper, Operation, OperationKind, Owner};
use provisioner::request::{ClusterSpec, CniKind, EngineKind, Provider};
use serde_json::Value;

use super::ground::Ground;
use super::{Difference, Planned, PlannedInstance, compare};

// Inodes of network namespaces. Those of the other kinds are these plus 1000 (mounts) to 6000.
pub(super) const HOST: u64 = 1;
pub(super) const ACME_SWITCH: u64 = 10;
pub(super) const ACME_CP: u64 = 11;
pub(super) const ACME_W: u64 = 12;
pub(super) const ACME_POD: u64 = 13;
pub(super) const GLOBEX_SWITCH: u64 = 20;
pub(super) const GLOBEX_CP: u64 = 21;
pub(super) const GLOBEX_POD: u64 = 23;
/// The index of the host's link into acme.
pub(super) const HL_A: u32 = 10;
/// The first processes of the control planes.
pub(super) const ACME_PID: u32 = 1100;
pub(super) const GLOBEX_PID: u32 = 2100;
pub(super) const AUDIT_PID: u32 = 900;

/// The id of a node's container.
pub(super) fn container(instance: &str, node: usize) -> String {
    format!("{instance}{node}c0ffee")
}

fn plans(engine: EngineKind) -> Vec<PlannedInstance> {
    let (mut taken, mut plans) = (Taken::default(), Vec::new());
    for (name, link) in [("acme", "hl-a"), ("globex", "hl-g")] {
        let spec = ClusterSpec::new(name).workers(1).engine(engine).check().unwrap();
        let owner = Owner::current("run-1").unwrap();
        let creation = Operation { kind: OperationKind::Create, owner, since: Timestamp::UNIX_EPOCH };
        let instance = claim(&spec, &taken, &Pools::default(), Keeper::Operator, creation).unwrap();
        let plan = ClusterPlan::of(&instance, &Home::at("/home/ada/.homelab"));
        let containers = plan.nodes.iter().enumerate();
        let containers: BTreeMap<String, String> =
            containers.map(|(place, node)| (node.name.clone(), container(name, place))).collect();
        let mut planned = PlannedInstance::of(&plan.id.name, &plan, &containers);
        planned.link = link.to_owned();
        planned.management_link = link.replace("hl-", "hl-m");
        planned.cni = CniKind::Routed;
        planned.switch = format!("homelab-0a1b2c.{name}");
        for node in &mut planned.nodes {
            node.scope = format!("homelab-0a1b2c.{name}.{}", node.name);
        }
        plans.push(planned);
        taken.instances.push(instance);
    }
    plans
}

fn guard_rules() -> Vec<Value> {
    let text = include_str!("../../../../provisioner/src/fabric/guard/deviation/transcripts/built.json");
    let answer: Value = serde_json::from_str(text).unwrap();
    answer["nftables"].as_array().unwrap().iter().filter(|it| it.get("metainfo").is_none()).cloned().collect()
}

fn planned(instances: Vec<PlannedInstance>) -> Planned {
    let links = BTreeSet::from(["hl-a", "hl-g"].map(str::to_owned));
    let routes = BTreeSet::from(["192.168.48.0/20".parse::<Ipv4Net>().unwrap()]);
    Planned {
        instances,
        guard: ExpectedGuard::new(&guard_rules(), routes, &links),
        own: BTreeSet::from([AUDIT_PID]),
        limits: NodeLimits::of(23_552, 2),
        shared: vec!["/cache/root".into(), "/cache/store".into()],
    }
}

/// Two clean instances of containers, and their host.
pub(super) fn pair() -> (Planned, Seen) {
    let planned = planned(plans(EngineKind::Container));
    let mut seen = host();
    for (place, (plan, base)) in planned.instances.iter().zip([ACME_SWITCH, GLOBEX_SWITCH]).enumerate() {
        instance(&mut seen, plan, base, u32::try_from(place).unwrap());
    }
    (planned, seen)
}

/// Two clean instances of VMs, and their host.
pub(super) fn vms() -> (Planned, Seen) {
    let planned = planned(plans(EngineKind::Vagrant(Provider::Libvirt)));
    let mut seen = host();
    for (place, plan) in planned.instances.iter().enumerate() {
        let index = 10 + 20 * u32::try_from(place).unwrap();
        let suffix = plan.link.replace("hl-", "");
        let management = plan.management.unwrap();
        let gateway = management.hosts().next().unwrap().to_string();
        let bridges = [
            (index, plan.link.clone(), plan.gateway.to_string(), plan.subnet.prefix_len()),
            (index + 1, plan.management_link.clone(), gateway, management.prefix_len()),
        ];
        let host = network(&mut seen, HOST);
        let mut taps = Vec::new();
        for (index, name, gateway, bits) in bridges {
            host.links.push(link(index, &name, Some("bridge")));
            host.addresses.push(address(index, &gateway, bits));
            let tap = if name == plan.link { format!("vnet-{suffix}") } else { format!("vnet-m{suffix}") };
            host.links.push(Link { controller: Some(index), ..link(index + 5, &tap, Some("tun")) });
            taps.push(tap);
        }
        let mut machine = process(3000 + index, "qemu-system-x86", seen.host, &[]);
        machine.guest = Some(plan.nodes[0].scope.clone());
        machine.taps = taps;
        seen.processes.push(machine);
    }
    (planned, seen)
}

fn host() -> Seen {
    let host = namespaces(HOST);
    let mut network = Network {
        inode: HOST,
        links: vec![loopback(), link(2, "eth0", None)],
        addresses: vec![address(1, "127.0.0.1", 8), address(2, "203.0.113.5", 24)],
        rules: rules(),
        nft: guard_rules(),
        ..Network::default()
    };
    network.routes = vec![
        route(None, Some("203.0.113.1"), 2),
        Route {
            kind: 7,
            protocol: ROUTE_PROTOCOL,
            hops: Vec::new(),
            ..route(Some(("192.168.48.0", 20)), None, 1)
        },
    ];
    for key in ["ipv4/conf/all/proxy_arp", "ipv4/conf/all/route_localnet"] {
        network.settings.insert(key.to_owned(), "0".to_owned());
    }
    let mut seen = Seen { version: VERSION, host, pid: AUDIT_PID, ..Seen::default() };
    seen.networks.push(network);
    seen.mounts.push(MountTable {
        inode: host.mnt,
        mounts: vec![mount("8:1", "/", "/", "ext4"), mount("0:20", "/", "/run", "tmpfs")],
    });
    seen.processes = vec![process(1, "systemd", host, &[]), process(AUDIT_PID, "homelab", host, &[])];
    let disk = |path: &str| DeviceNode {
        place: Place::Mounts(host.mnt),
        path: path.to_owned(),
        block: true,
        major: 8,
        minor: 1,
    };
    seen.devices = vec![disk("/dev/sda1")];
    seen.namespaces.push(Namespace {
        kind: NamespaceKind::Net,
        inode: HOST,
        pids: vec![1, AUDIT_PID],
        holders: Vec::new(),
        pins: Vec::new(),
    });
    seen
}

fn rules() -> Vec<PolicyRule> {
    let rule =
        |family, priority, table| PolicyRule { family, priority, table, action: 1, ..PolicyRule::default() };
    let ip4 = [rule(2, 0, 255), rule(2, 32766, 254), rule(2, 32767, 253), rule(128, 32767, 253)];
    let ip6 = [rule(10, 0, 255), rule(10, 32766, 254), rule(129, 32767, 254)];
    ip4.into_iter().chain(ip6).collect()
}

/// Adds an instance with a control plane, a worker, and a pod on the control plane.
fn instance(seen: &mut Seen, plan: &PlannedInstance, base: u64, place: u32) {
    let (switch, pod) = (base, base + 3);
    let host_link = HL_A + place;
    let bits = plan.subnet.prefix_len();

    let host = network(seen, HOST);
    host.links.push(veth(host_link, &plan.link, (2, switch)));
    host.addresses.push(address(host_link, &plan.gateway.to_string(), bits));
    host.routes.push(Route {
        protocol: 2,
        ..route(Some((&plan.subnet.network().to_string(), bits)), None, host_link)
    });
    host.neighbours.push(neighbour(host_link, &plan.nodes[0].address.to_string()));
    for key in ["forwarding", "proxy_arp", "route_localnet"] {
        host.settings.insert(format!("ipv4/conf/{}/{key}", plan.link), "0".to_owned());
    }
    host.settings.insert(format!("ipv4/conf/{}/rp_filter", plan.link), "1".to_owned());

    let mut ports = vec![loopback(), link(1, "br0", Some("bridge"))];
    ports[1].index = 3;
    let port =
        |index, name: &str, peer| Link { controller: Some(3), vlans: vec![1], ..veth(index, name, peer) };
    ports.push(port(2, "uplink", (host_link, HOST)));
    for (at, node) in plan.nodes.iter().enumerate() {
        let (at, index) = (u64::try_from(at).unwrap(), u32::try_from(at).unwrap() + 4);
        ports.push(port(index, &format!("port-{}", node.address.octets()[3]), (2, base + 1 + at)));
    }
    seen.networks.push(Network { inode: switch, links: ports, rules: rules(), ..Network::default() });
    pin(seen, NamespaceKind::Net, switch, HOST + 1000, &format!("/run/homelab/netns/{}", plan.switch));

    for (at, node) in plan.nodes.iter().enumerate() {
        let (inode, index) = (base + 1 + u64::try_from(at).unwrap(), u32::try_from(at).unwrap());
        let mut links = vec![loopback(), veth(2, "eth0", (4 + index, switch))];
        let mut addresses = vec![address(1, "127.0.0.1", 8), address(1, "::1", 128)];
        addresses.push(address(2, &node.address.to_string(), bits));
        let mut routes =
            vec![Route { protocol: 2, ..route(Some((&plan.subnet.network().to_string(), bits)), None, 2) }];
        routes.push(Route {
            kind: 2,
            table: 255,
            protocol: 2,
            ..route(Some((&node.address.to_string(), 32)), None, 2)
        });
        for other in plan.nodes.iter().filter(|other| other.name != node.name) {
            let to = other.pod_cidr.network().to_string();
            routes.push(route(Some((&to, 24)), Some(&other.address.to_string()), 2));
        }
        routes.push(Route {
            family: 10,
            kind: 5,
            table: 255,
            protocol: 2,
            ..route(Some(("ff00::", 8)), None, 2)
        });
        if at == 0 {
            let first = node.pod_cidr.hosts().next().unwrap().to_string();
            links.push(veth(5, "veth1a2b3c", (2, pod)));
            addresses.push(address(5, &first, 32));
            routes.push(route(Some((&node.pod_cidr.hosts().nth(1).unwrap().to_string(), 32)), None, 5));
        }
        seen.networks.push(Network {
            inode,
            links,
            addresses,
            routes,
            rules: rules(),
            neighbours: vec![neighbour(2, &plan.gateway.to_string())],
            ..Network::default()
        });
        pin(seen, NamespaceKind::Net, inode, HOST + 1000, &format!("/run/homelab/netns/{}", node.scope));

        let id = container(&plan.name, at);
        let cgroups = vec![format!("pids:/libpod_parent/libpod-{id}"), ":/".to_owned()];
        let first = ACME_PID + 1000 * place + 10 * index;
        let mut init = process(first, "runsvdir", namespaces(inode), &[]);
        init.cgroups = cgroups;
        seen.processes.push(init);
        // The kernel's root is as the walk sees it.
        let root = format!("/libpod_parent/libpod-{id}");
        let var = node.folder.join("var");
        seen.mounts.push(MountTable {
            inode: inode + 1000,
            mounts: vec![
                mount("8:1", node.folder.join("root").as_str(), "/", "ext4"),
                mount("8:1", var.as_str(), "/var", "ext4"),
                Mount {
                    lower: vec!["/cache/root/etc".to_owned()],
                    upper: Some(node.folder.join("overlays/etc/upper").to_string()),
                    work: Some(node.folder.join("overlays/etc/work").to_string()),
                    ..mount(&format!("0:{}", 40 + inode), "/", "/etc", "overlay")
                },
                mount(&format!("0:{}", 140 + inode), "/", "/run", "tmpfs"),
                mount(&format!("0:{}", 240 + inode), "/", "/proc", "proc"),
                mount("0:20", &format!("/containers/{id}/userdata/hosts"), "/etc/hosts", "tmpfs"),
                mount("0:26", &root, "/sys/fs/cgroup/pids", "cgroup"),
                mount(&format!("0:{}", 440 + inode), "/", "/dev/shm", "tmpfs"),
                Mount {
                    lower: vec!["/cache/store".to_owned()],
                    upper: Some(format!("/var/lib/containers/{id}/userdata/overlay/7/upper")),
                    ..mount(&format!("0:{}", 540 + inode), "/", "/opt/homelab/store", "overlay")
                },
            ],
        });
        let shm = format!("/var/lib/containers/{id}/userdata/shm");
        seen.mounts[0].mounts.push(mount(&format!("0:{}", 440 + inode), "/", &shm, "tmpfs"));
        let null = DeviceNode {
            place: Place::Mounts(inode + 1000),
            path: "/dev/null".to_owned(),
            block: false,
            major: 1,
            minor: 3,
        };
        seen.devices.push(null);
        let limits =
            [("memory.limit_in_bytes", "5905580032"), ("cpu.cfs_quota_us", "200000"), ("pids.max", "8192")];
        let devices = ["c *:* m", "b *:* m", "c 1:3 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm"];
        seen.cgroups.push(Cgroup {
            path: root,
            controllers: vec!["pids".to_owned()],
            limits: limits.map(|(name, limit)| (name.to_owned(), limit.to_owned())).into(),
            devices: Some(devices.map(str::to_owned).into()),
            ..Cgroup::default()
        });
    }

    // A pod on the control plane: its own namespaces, but for the user's.
    let node = &plan.nodes[0];
    let first = node.pod_cidr.hosts().next().unwrap().to_string();
    let own = node.pod_cidr.hosts().nth(1).unwrap().to_string();
    seen.networks.push(Network {
        inode: pod,
        links: vec![loopback(), veth(2, "eth0", (5, base + 1))],
        addresses: vec![address(1, "127.0.0.1", 8), address(2, &own, 24)],
        routes: vec![
            route(None, Some(&first), 2),
            route(Some((&first, 32)), None, 2),
            Route { kind: 2, table: 255, protocol: 2, ..route(Some((&own, 32)), None, 2) },
        ],
        rules: rules(),
        sockets: vec![Socket {
            protocol: "tcp".to_owned(),
            state: 10,
            inode: base * 100,
            ..Socket::default()
        }],
        ..Network::default()
    });
    pin(seen, NamespaceKind::Net, pod, base + 1001, "/run/netns/cni-1");
    let mut pause = process(ACME_PID + 1000 * place + 5, "pause", namespaces(pod), &[base * 100]);
    pause.cgroups = vec![
        format!("pids:/libpod_parent/libpod-{}/kubepods/pod1", container(&plan.name, 0)),
        ":/".to_owned(),
    ];
    seen.processes.push(pause);
    seen.mounts.push(MountTable {
        inode: pod + 1000,
        mounts: vec![Mount {
            lower: vec![
                "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs".to_owned(),
            ],
            upper: Some(
                "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/fs".to_owned(),
            ),
            ..mount(&format!("0:{}", 340 + pod), "/", "/", "overlay")
        }],
    });
}

fn pin(seen: &mut Seen, kind: NamespaceKind, inode: u64, table: u64, point: &str) {
    let pins = vec![(table, point.to_owned())];
    seen.namespaces.push(Namespace { kind, inode, pids: Vec::new(), holders: Vec::new(), pins });
}

fn namespaces(net: u64) -> Namespaces {
    Namespaces {
        net,
        mnt: net + 1000,
        pid: net + 2000,
        ipc: net + 3000,
        uts: net + 4000,
        cgroup: net + 5000,
        user: HOST + 6000,
    }
}

pub(super) fn process(pid: u32, comm: &str, namespaces: Namespaces, sockets: &[u64]) -> Process {
    let cgroups = vec!["pids:/".to_owned(), ":/".to_owned()];
    Process {
        pid,
        parent: 1,
        comm: comm.to_owned(),
        namespaces,
        sockets: sockets.to_vec(),
        cgroups,
        ..Process::default()
    }
}

fn loopback() -> Link {
    Link { loopback: true, mac: Some("00:00:00:00:00:00".to_owned()), ..link(1, "lo", None) }
}

fn link(index: u32, name: &str, kind: Option<&str>) -> Link {
    Link { index, name: name.to_owned(), kind: kind.map(str::to_owned), up: true, ..Link::default() }
}

/// A veth pair's end, with a hardware address that no other end has.
pub(super) fn veth(index: u32, name: &str, (peer, namespace): (u32, u64)) -> Link {
    let mac = format!("02:{:02x}:{:02x}:{:02x}:00:{:02x}", name.len(), index, peer, namespace);
    let peer = Some(Peer { index: peer, namespace: Some(namespace) });
    Link { mac: Some(mac), peer, ..link(index, name, Some("veth")) }
}

fn net(address: &str, bits: u8) -> IpNet {
    IpNet::new(address.parse().unwrap(), bits).unwrap()
}

pub(super) fn address(link: u32, address: &str, bits: u8) -> Address {
    Address { link, address: net(address, bits) }
}

pub(super) fn route(to: Option<(&str, u8)>, via: Option<&str>, link: u32) -> Route {
    let to = to.map(|(address, bits)| net(address, bits));
    let family = if to.is_some_and(|to| to.addr().is_ipv6()) { 10 } else { 2 };
    let hops = vec![(via.map(|via| via.parse().unwrap()), Some(link))];
    Route { family, table: 254, kind: 1, protocol: 3, to, hops, ..Route::default() }
}

fn neighbour(link: u32, address: &str) -> Neighbour {
    let mac = Some("02:00:00:00:00:99".to_owned());
    Neighbour { family: 2, link, address: address.parse().ok(), mac, ..Neighbour::default() }
}

pub(super) fn mount(device: &str, root: &str, point: &str, kind: &str) -> Mount {
    Mount {
        device: device.to_owned(),
        root: root.to_owned(),
        point: point.to_owned(),
        kind: kind.to_owned(),
        writable: true,
        ..Mount::default()
    }
}

pub(super) fn bpf_mount(device: &str) -> Mount {
    mount(device, "/", "/sys/fs/bpf", "bpf")
}

pub(super) fn network(seen: &mut Seen, inode: u64) -> &mut Network {
    seen.networks.iter_mut().find(|network| network.inode == inode).unwrap()
}

/// Adds a network namespace that belongs to no instance.
pub(super) fn add_network<'a>(seen: &'a mut Seen, inode: u64, links: &[Link]) -> &'a mut Network {
    seen.namespaces.push(Namespace {
        kind: NamespaceKind::Net,
        inode,
        pids: Vec::new(),
        holders: Vec::new(),
        pins: vec![(HOST + 1000, format!("/run/netns/n{inode}"))],
    });
    seen.networks.push(Network { inode, links: [&[loopback()], links].concat(), ..Network::default() });
    seen.networks.last_mut().unwrap()
}

/// Differences, a line each.
pub(super) fn told(all: &[Difference]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What one comparison says of the pair of containers after a change.
pub(super) fn found_by(
    compare: fn(&Ground<'_>) -> Vec<Difference>,
    change: impl FnOnce(&mut Seen),
) -> String {
    let (planned, mut seen) = pair();
    change(&mut seen);
    told(&compare(&Ground::of(&planned, &seen)))
}

#[test]
fn a_clean_pair_has_no_difference() {
    for (planned, seen) in [pair(), vms()] {
        assert_eq!(told(&compare(&planned, &seen).differences), "");
    }
}

#[test]
fn a_walk_is_told_of_all_nodes_and_networks() {
    let (planned, _) = pair();
    let request = planned.request();
    assert_eq!(request.roots.len(), 4);
    assert_eq!(request.cgroups.len(), 4);
    assert!(request.networks.iter().any(|range| range.contains(&"192.168.61.10".parse::<IpAddr>().unwrap())));
}
