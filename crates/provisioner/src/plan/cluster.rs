//! The whole plan of a cluster, derived from its registry entry.

use std::fmt;
use std::net::Ipv4Addr;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;

use crate::digest::digest;
use crate::home::Home;
use crate::registry::{Instance, Workers};
use crate::spec::{CheckedSpec, CiliumOptions, CniKind, EngineKind, Handling, Label, NodeSize, Topology};

use super::Platform;

/// An instance as the host's objects name it: two homes on one host never mix up theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The home's id, see [`Home::id`].
    pub home: String,
    /// The instance's name.
    pub name: String,
}

impl InstanceId {
    /// `homelab-<home>.<name>`: its network namespace, and the beginning of all its names on the host.
    /// Names hold no dots, so `a` and `a-1` cannot be confused.
    pub fn scope(&self) -> String {
        format!("{}{}", Self::prefix(&self.home), self.name)
    }

    /// How all names of a home's objects begin.
    pub fn prefix(home: &str) -> String {
        format!("homelab-{home}.")
    }

    /// The instance behind a [`scope`](Self::scope); nothing for any other text.
    pub fn of_scope(scope: &str) -> Option<Self> {
        let (home, name) = scope.strip_prefix("homelab-")?.split_once('.')?;
        let is_id = home.len() == 6 && home.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = name.parse::<Label>().is_ok();
        (is_id && is_name).then(|| Self { home: home.to_owned(), name: name.to_owned() })
    }

    /// `<scope>.<node>`: a node's container and its network namespace.
    pub fn node_scope(&self, node: &str) -> String {
        format!("{}.{node}", self.scope())
    }

    /// The host's link into the instance's network, `hl-` and ten hex digits: interface names end at 15
    /// characters (IFNAMSIZ), instance names do not.
    pub fn link(&self) -> String {
        format!("hl-{}", &digest(&self.scope())[..10])
    }

    /// The host's link into the network by which a hypervisor manages the instance's nodes: `hl-m` and nine hex digits.
    /// No other link of ours has an `m` there.
    pub fn management_link(&self) -> String {
        format!("hl-m{}", &digest(&self.scope())[..9])
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Everything that is decided about a cluster before it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Whose plan it is.
    pub id: InstanceId,
    /// Where its files are.
    pub folder: Utf8PathBuf,
    /// The host network.
    pub subnet: Ipv4Net,
    /// The host's own address in it.
    pub gateway: Ipv4Addr,
    /// All nodes, the first control plane first.
    pub nodes: Vec<NodePlan>,
    /// What makes the nodes.
    pub engine: EngineKind,
    /// What is the engine's way in the nodes that it makes.
    pub platform: Platform,
    /// How large the nodes are, where they are virtual machines.
    pub size: NodeSize,
    /// The network by which a hypervisor manages the nodes, where it needs one.
    pub management: Option<Ipv4Net>,
    /// Where pods get their addresses.
    pub pod_cidr: Ipv4Net,
    /// Where services get theirs.
    pub service_cidr: Ipv4Net,
    /// Where the API server answers: the only control plane's own address, or a virtual one that several carry in turn.
    pub api_address: Ipv4Addr,
    /// The control plane's name, `api.<tldPrefix>.lab`.
    pub api_name: String,
    /// The gateway to what runs in the cluster, for every other name of the DNS suffix: NodePorts answer there.
    /// The first worker's address, or the only node's where there is none.
    pub workload_address: Ipv4Addr,
    /// The first label of the DNS suffix.
    pub tld_prefix: String,
    /// The Kubernetes version with its `v`.
    pub kubernetes: String,
    /// The pod network.
    pub cni: CniKind,
    /// What Cilium does beyond that.
    pub cilium: CiliumOptions,
    /// What sets an operator's instance apart from one of a test.
    pub handling: Handling,
    /// The context in the merged kubeconfig.
    pub kubeconfig_context: String,
}

/// One node, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name, `acme-cp-1`.
    pub name: String,
    /// What it does in the cluster.
    pub role: Role,
    /// Its address in the host network.
    pub address: Ipv4Addr,
    /// The part of the pod CIDR from which its pods get their addresses.
    pub pod_cidr: Ipv4Net,
}

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs etcd and the API server.
    ControlPlane,
    /// It runs pods.
    Worker,
}

/// The port of the API server, by convention.
pub const API_PORT: u16 = 6443;

/// The number of the virtual address in the host network: below those of all nodes, so that it is in every subnet.
const VIRTUAL: u8 = 5;

/// The prefix length of a node's part of the pod CIDR, the one that kube-controller-manager would choose.
const NODE_PODS: u8 = 24;

/// A node of a topology: what its name ends with, what it does, its number in the host network, and the place of its
/// part in the pod CIDR.
pub(super) type Member = (String, Role, u8, usize);

/// All nodes of a cluster, the first control plane first. What a worker gets depends on its number alone.
pub(super) fn members(topology: Topology, workers: &Workers) -> Vec<Member> {
    let planes: &[(&str, u8)] = match topology {
        Topology::Single => &[("main", 10)],
        Topology::Multi => &[("cp-1", 10)],
        Topology::Ha => &[("cp-1", 11), ("cp-2", 12), ("cp-3", 13)],
    };
    let workers = workers.numbers();
    let workers = workers.map(|i| (worker(i), Role::Worker, 20 + i, planes.len() - 1 + usize::from(i)));
    let plane = |(place, (suffix, number)): (usize, &(&str, u8))| {
        ((*suffix).to_owned(), Role::ControlPlane, *number, place)
    };
    planes.iter().enumerate().map(plane).chain(workers).collect()
}

/// What the name of a worker ends with.
pub(super) fn worker(number: u8) -> String {
    format!("w-{number}")
}

/// What each node of a spec's cluster does, the first control plane first.
pub fn roles(spec: &CheckedSpec) -> Vec<Role> {
    members(spec.topology, &Workers::first(spec.workers)).into_iter().map(|(_, role, _, _)| role).collect()
}

/// How many of these nodes have an address in a subnet of this size; its last address is for broadcasts.
pub(super) fn room_in_subnet(members: &[Member], size: u8) -> usize {
    let broadcast = u32::MAX.checked_shr(size.into()).unwrap_or(0);
    members.iter().filter(|(_, _, number, _)| u32::from(*number) < broadcast).count()
}

/// How many of these nodes have a part of a pod CIDR of this size.
pub(super) fn room_in_pod_cidr(members: &[Member], size: u8) -> usize {
    let parts = NODE_PODS.checked_sub(size).map_or(0, |bits| 1 << bits.min(16));
    members.iter().filter(|(_, _, _, place)| *place < parts).count()
}

impl ClusterPlan {
    /// The plan behind a registry entry: the same entry always gives the same plan.
    pub fn of(instance: &Instance, home: &Home) -> Self {
        let host = |number: u8| address(instance.subnet, number);
        let pod_cidr = instance.k8s.pod_cidr;
        let part = |place| pod_cidr.subnets(NODE_PODS.max(pod_cidr.prefix_len())).ok()?.nth(place);
        let nodes: Vec<NodePlan> = members(instance.topology, &instance.workers)
            .into_iter()
            .filter_map(|(suffix, role, number, place)| {
                Some(NodePlan {
                    name: format!("{}-{suffix}", instance.name),
                    role,
                    address: host(number),
                    pod_cidr: part(place)?, // before it was recorded, it was seen to that it suffices
                })
            })
            .collect();
        let workload = nodes.iter().find(|node| node.role == Role::Worker);
        Self {
            workload_address: workload.unwrap_or(&nodes[0]).address, // there is always a control plane
            id: InstanceId { home: home.id(), name: instance.name.clone() },
            folder: home.instance(&instance.name),
            subnet: instance.subnet,
            gateway: host(1),
            engine: instance.engine,
            platform: Platform::of(instance.engine, instance.emulated),
            size: instance.size.unwrap_or_default(),
            management: instance.management,
            pod_cidr,
            service_cidr: instance.k8s.service_cidr,
            api_address: match instance.topology {
                Topology::Single | Topology::Multi => nodes[0].address,
                Topology::Ha => host(VIRTUAL),
            },
            api_name: format!("api.{}.lab", instance.tld_prefix),
            tld_prefix: instance.tld_prefix.clone(),
            kubernetes: instance.k8s.version.clone(),
            cni: instance.k8s.cni,
            cilium: instance.k8s.cilium,
            handling: instance.handling,
            kubeconfig_context: instance.k8s.kubeconfig_context.clone(),
            nodes,
        }
    }

    /// The first control plane: the node that `kubeadm init` runs on.
    pub fn first(&self) -> &NodePlan {
        &self.nodes[0] // `of` always plans one
    }

    /// The nodes that join the first one.
    pub fn others(&self) -> &[NodePlan] {
        &self.nodes[1..]
    }

    /// The control planes, the first one first.
    pub fn control_planes(&self) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(|node| node.role == Role::ControlPlane)
    }

    /// The address that belongs to no node: one control plane at a time has it beside its own. Nothing where there is
    /// only one control plane.
    pub fn virtual_address(&self) -> Option<Ipv4Addr> {
        let is_a_nodes = self.nodes.iter().any(|node| node.address == self.api_address);
        (!is_a_nodes).then_some(self.api_address)
    }

    /// The suffix of all names of this instance outside the cluster, `<tldPrefix>.lab`.
    pub fn dns_suffix(&self) -> String {
        format!("{}.lab", self.tld_prefix)
    }

    /// Where CoreDNS is asked: the tenth address for services, by kubeadm's convention (`GetDNSIP` in
    /// `cmd/kubeadm/app/constants/constants.go`).
    pub fn dns_address(&self) -> Ipv4Addr {
        address(self.service_cidr, 10)
    }

    /// Whether kube-proxy leads services to pods: somebody must, and nobody twice.
    pub fn has_kube_proxy(&self) -> bool {
        self.cni != CniKind::Cilium || !self.cilium.kube_proxy_replacement
    }

    /// Pods may run on control planes when there is nothing else to run them.
    pub fn control_plane_runs_pods(&self) -> bool {
        self.others().iter().all(|node| node.role == Role::ControlPlane)
    }
}

fn address(net: Ipv4Net, number: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) + u32::from(number))
}
