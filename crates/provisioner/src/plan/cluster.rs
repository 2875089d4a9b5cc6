//! The plan of a cluster, derived from its registry entry. Pure.

use std::fmt;
use std::net::Ipv4Addr;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;

use crate::digest::digest;
use crate::home::Home;
use crate::registry::{Instance, Workers};
use crate::request::{CheckedSpec, CiliumOptions, CniKind, EngineKind, Handling, Label, NodeSize, Topology};

use super::Platform;

/// The identification of an instance in the names of its objects on the host. It includes the home, so that objects of
/// two homes on one host cannot be confused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The home's id, six hex digits: see [`Home::id`].
    pub home: String,
    /// The instance's name.
    pub name: String,
}

impl InstanceId {
    /// `homelab-<home>.<name>`: the instance's network namespace, and the prefix of all its names on the host.
    /// Instance names have no dots, so `a` and `a-1` cannot be confused.
    pub fn scope(&self) -> String {
        format!("{}{}", Self::prefix(&self.home), self.name)
    }

    /// The prefix of the names of all objects of a home: `homelab-<home>.`.
    pub fn prefix(home: &str) -> String {
        format!("homelab-{home}.")
    }

    /// Parses a [`scope`](Self::scope). `None` for any other text.
    pub fn of_scope(scope: &str) -> Option<Self> {
        let (home, name) = scope.strip_prefix("homelab-")?.split_once('.')?;
        let is_id = home.len() == 6 && home.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = name.parse::<Label>().is_ok();
        (is_id && is_name).then(|| Self { home: home.to_owned(), name: name.to_owned() })
    }

    /// `<scope>.<node>`: the name of a node's container and of its network namespace.
    pub fn node_scope(&self, node: &str) -> String {
        format!("{}.{node}", self.scope())
    }

    /// The host's link to the instance's network: `hl-` and ten hex digits of a digest, because an interface name has
    /// at most 15 characters (IFNAMSIZ) and an instance name may be longer.
    pub fn link(&self) -> String {
        format!("hl-{}", &digest(&self.scope())[..10])
    }

    /// The host's link to the instance's management network: `hl-m` and nine hex digits. `m` is no hex digit, so this
    /// name never equals a [`link`](Self::link).
    pub fn management_link(&self) -> String {
        format!("hl-m{}", &digest(&self.scope())[..9])
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All values that are decided about a cluster before it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlan {
    /// The home and the name of the instance.
    pub id: InstanceId,
    /// The folder of the instance's files.
    pub folder: Utf8PathBuf,
    /// The instance's network, in which the nodes and the host have addresses.
    pub subnet: Ipv4Net,
    /// The host's address in `subnet`: its first address.
    pub gateway: Ipv4Addr,
    /// All nodes, the first control plane first.
    pub nodes: Vec<NodePlan>,
    /// The engine that makes the nodes.
    pub engine: EngineKind,
    /// The properties of the engine's nodes.
    pub platform: Platform,
    /// CPUs and memory of a node, used only for VMs.
    pub size: NodeSize,
    /// The network through which a hypervisor manages the nodes. `None` where it needs none.
    pub management: Option<Ipv4Net>,
    /// The range of pod addresses.
    pub pod_cidr: Ipv4Net,
    /// The range of service addresses.
    pub service_cidr: Ipv4Net,
    /// The API server's address: that of the only control plane, or the virtual address of several.
    pub api_address: Ipv4Addr,
    /// The API server's name, `api.<tldPrefix>.lab`.
    pub api_name: String,
    /// The address for all other names of the DNS suffix, where NodePorts answer: that of the first worker, or of the
    /// first control plane in a cluster without workers.
    pub workload_address: Ipv4Addr,
    /// The first label of the DNS suffix.
    pub tld_prefix: String,
    /// The Kubernetes version with its `v`: `v1.36.3`.
    pub kubernetes: String,
    /// The pod network.
    pub cni: CniKind,
    /// The optional features of Cilium.
    pub cilium: CiliumOptions,
    /// The differences between an operator's instance and a test's.
    pub handling: Handling,
    /// The name of the context in the merged kubeconfig.
    pub kubeconfig_context: String,
}

/// The plan of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Its name: `acme-cp-1`.
    pub name: String,
    /// Its role in the cluster.
    pub role: Role,
    /// Its address in the instance's network.
    pub address: Ipv4Addr,
    /// The part of the pod CIDR from which its pods get their addresses.
    pub pod_cidr: Ipv4Net,
}

/// The role of a node in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The node runs etcd and the API server.
    ControlPlane,
    /// The node runs pods.
    Worker,
}

/// The port of the API server, by convention.
pub const API_PORT: u16 = 6443;

/// The host number of the virtual address in the subnet: lower than those of all nodes, so that every subnet has it.
const VIRTUAL: u8 = 5;

/// The prefix length of a node's part of the pod CIDR, as kube-controller-manager would choose it.
const NODE_PODS: u8 = 24;

/// A node of a topology: the suffix of its name (`cp-1`), its role, its host number in the subnet, and the index of its
/// part of the pod CIDR.
pub(super) type Member = (String, Role, u8, usize);

/// All nodes of a cluster, the first control plane first. A worker's values depend only on its number.
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

/// The suffix of a worker's name: `w-1`.
pub(super) fn worker(number: u8) -> String {
    format!("w-{number}")
}

/// The roles of the nodes of a spec's cluster, the first control plane first.
pub fn roles(spec: &CheckedSpec) -> Vec<Role> {
    members(spec.topology, &Workers::first(spec.workers)).into_iter().map(|(_, role, _, _)| role).collect()
}

/// How many of these nodes have an address in a subnet of this prefix length. The last address is the broadcast
/// address.
pub(super) fn room_in_subnet(members: &[Member], size: u8) -> usize {
    let broadcast = u32::MAX.checked_shr(size.into()).unwrap_or(0);
    members.iter().filter(|(_, _, number, _)| u32::from(*number) < broadcast).count()
}

/// How many of these nodes have a part of a pod CIDR of this prefix length.
pub(super) fn room_in_pod_cidr(members: &[Member], size: u8) -> usize {
    let parts = NODE_PODS.checked_sub(size).map_or(0, |bits| 1 << bits.min(16));
    members.iter().filter(|(_, _, _, place)| *place < parts).count()
}

impl ClusterPlan {
    /// Derives the plan from a registry entry. The same entry always gives the same plan.
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
                    pod_cidr: part(place)?, // `claim` and `add_workers` have checked that the pod CIDR is large enough
                })
            })
            .collect();
        let workload = nodes.iter().find(|node| node.role == Role::Worker);
        Self {
            workload_address: workload.unwrap_or(&nodes[0]).address, // every topology has a control plane
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
        &self.nodes[0] // every topology has a control plane
    }

    /// The nodes that join the first one.
    pub fn others(&self) -> &[NodePlan] {
        &self.nodes[1..]
    }

    /// The control planes, the first one first.
    pub fn control_planes(&self) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(|node| node.role == Role::ControlPlane)
    }

    /// The virtual address, which one control plane at a time has in addition to its own. `None` with only one control
    /// plane.
    pub fn virtual_address(&self) -> Option<Ipv4Addr> {
        let is_a_nodes = self.nodes.iter().any(|node| node.address == self.api_address);
        (!is_a_nodes).then_some(self.api_address)
    }

    /// The suffix of the instance's names on the host: `<tldPrefix>.lab`.
    pub fn dns_suffix(&self) -> String {
        format!("{}.lab", self.tld_prefix)
    }

    /// The service address of CoreDNS: the tenth address of the service CIDR, by kubeadm's convention (`GetDNSIP` in
    /// `cmd/kubeadm/app/constants/constants.go`).
    pub fn dns_address(&self) -> Ipv4Addr {
        address(self.service_cidr, 10)
    }

    /// Whether kube-proxy routes services to pods. `false` only if Cilium does it instead.
    pub fn has_kube_proxy(&self) -> bool {
        self.cni != CniKind::Cilium || !self.cilium.kube_proxy_replacement
    }

    /// Whether pods may run on control planes: only in a cluster without workers.
    pub fn control_plane_runs_pods(&self) -> bool {
        self.others().iter().all(|node| node.role == Role::ControlPlane)
    }
}

fn address(net: Ipv4Net, number: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) + u32::from(number))
}
