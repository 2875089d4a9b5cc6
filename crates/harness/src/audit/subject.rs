//! The known facts of each instance and of the host: plain data, which the runner collects.
//!
//! A fact that could not be read is `None`, never empty, and the judges turn `None` into *inconclusive*. The next step
//! is [`Plan`](super::Plan).

mod credentials;
mod trust;
mod host;
mod parts;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::Ipv4Net;
use probe::Mac;
use provisioner::plan::Role;
use provisioner::slowdown::Slowdown;

use super::declared::DeclaredPath;

pub use credentials::{
    AuthorityRole, ClientCertificate, CredentialSet, KnownAuthority, KnownCertificate, Property, Secret,
};
pub use host::{After, Destroyed, HostSubject, Search};
pub use parts::{Kernel, Part, Parts};
pub use trust::{Trust, TrustAnchor};

/// The port on which every witness answers TCP.
pub const TCP_PORT: u16 = 7001;
/// The port on which every witness answers UDP.
pub const UDP_PORT: u16 = 7002;
/// A TCP port on which nothing listens, on any node or pod.
pub const CLOSED_PORT: u16 = 7009;

/// The facts of one instance, or of a cluster that is known by its kubeconfig only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// The parts of it that the audit can use.
    pub parts: Parts,
    /// The kernel of its nodes.
    pub kernel: Kernel,
    /// Its network on the host; `None` for a cluster that is known by its kubeconfig only.
    pub uplink: Option<Uplink>,
    /// The hypervisor's management network; `None` for containers.
    pub management: Option<Management>,
    /// The witnesses on the host's ends of its links. Only for a single-node instance, whose links have no other node
    /// that could be the control.
    pub link_witnesses: Vec<LinkWitness>,
    /// The factor by which its nodes are slower than containers.
    pub slowdown: Slowdown,
    /// Whether its pod network is known to pass packets of every IP protocol to pods.
    pub passes_every_protocol: bool,
    /// The networks of its pods. In a cluster that is known by its kubeconfig only, one for each node.
    pub pod_cidrs: Vec<Ipv4Net>,
    /// The network of its services; `None` where it is unknown.
    pub service_cidr: Option<Ipv4Net>,
    /// Its nodes, the first control plane first. Each has a witness on its own network.
    pub nodes: Vec<NodeSubject>,
    /// Its witness on the pod network. Probers on the pod network run on the same node.
    pub pod: PodWitness,
    /// Its name server.
    pub dns: DnsSubject,
    /// Its API server.
    pub api: ApiServer,
    /// Credentials for its API server, etcd and kubelets.
    pub credentials: CredentialSet,
    /// Its certificate authorities and its service-account key.
    pub authorities: Option<Vec<KnownAuthority>>,
    /// The keys that its running servers trust.
    pub trust: Trust,
    /// The paths that it is meant to use.
    pub declared: Vec<DeclaredPath>,
    /// Its identity: for each property, the value that was recorded at creation and the value that was found now.
    pub identity: Option<Vec<Property>>,
    /// Files of the host that its nodes can write: `<device>:<inode> <path>`. For containers, the files of their image
    /// stores; for VMs, their disks, which hold the image store.
    pub store: Option<Vec<String>>,
    /// The result of the search for *other* instances' secrets in its files, logs and snapshots.
    pub search: Option<Search>,
}

/// The network of an instance on the host, and the host's end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// The network, a /24 to a /27.
    pub subnet: Ipv4Net,
    /// The host's link into this network, `hl-…`, or a name of the hypervisor. In a single-node instance, the host is
    /// the only other system on it.
    pub link: String,
    /// The host's address in [`Self::subnet`].
    pub gateway: Ipv4Addr,
    /// The hardware address of [`Self::link`]; `None` where it could not be read.
    pub gateway_mac: Option<Mac>,
}

/// The API server of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Its address and port for clients on the host; `None` where its name has none.
    pub access: Option<SocketAddr>,
    /// The name by which clients on the host know it, `api.acme.lab`.
    pub name: String,
    /// The addresses and ports of all its instances, one on each control plane.
    pub endpoints: Vec<SocketAddr>,
}

/// The network through which a hypervisor manages the VMs of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// The network; `None` where each VM has its own adapter, which leads to the hypervisor and no further
    /// (VirtualBox).
    pub net: Option<Ipv4Net>,
    /// The hypervisor's address in it: the first address of the network on libvirt, 10.0.2.2 on VirtualBox.
    pub gateway: Ipv4Addr,
    /// The nodes' link into it: `eth0`.
    pub node_link: String,
    /// The host's link into it, `hl-m…`; `None` where the host has none (VirtualBox).
    pub link: Option<String>,
}

/// A witness on the host's end of a link. It sees frames from an instance's nodes before the guard filters them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWitness {
    /// Its identity, unique among all witnesses of a run.
    pub witness: String,
    /// The link, `hl-…`.
    pub link: String,
    /// The host's address on the link.
    pub gateway: Ipv4Addr,
}

/// A node, and the witness on the node's network. The witness listens on [`TCP_PORT`] and [`UDP_PORT`], and captures
/// incoming packets on all links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubject {
    /// Its name, `acme-cp-1`.
    pub name: String,
    /// Its role in the cluster.
    pub role: Role,
    /// Its address in the network of the nodes.
    pub address: Ipv4Addr,
    /// Its link into this network: `eth0`, in VMs `eth1`.
    pub link: String,
    /// The network of this link.
    pub net: Ipv4Net,
    /// Its IPv6 link-local address; `None` where it has none.
    pub link_local: Option<Ipv6Addr>,
    /// Its other IPv6 addresses: those that it has, and the one that the audit adds while nodes use routes through the
    /// host.
    pub routed_v6: Vec<Ipv6Addr>,
    /// The hardware address of [`Self::link`]; `None` where it could not be read.
    pub mac: Option<Mac>,
    /// The hardware addresses of all its links. Pod networks also send frames from others than [`Self::mac`].
    pub macs: Vec<Mac>,
    /// The systems that answered on [`Self::link`], and those that its kernel knows there;
    /// `None` when they could not be asked.
    pub neighbours: Option<Vec<Neighbour>>,
    /// The traces of an SSH server, and the adapters, that were found on it; `None` when they could not be read.
    pub found: Option<NodeTraces>,
    /// Its address in the hypervisor's management network; `None` for containers, and where it is unknown.
    pub management: Option<Ipv4Addr>,
    /// The identity of its witness, unique among all witnesses of a run.
    pub witness: String,
    /// The properties that no other node may have; `None` when they could not be read.
    pub machine: Option<NodeIdentity>,
}

/// A system on a node's link, as the link knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
}

/// What was found on a node in this run: the evidence that a class has nothing to ask there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeTraces {
    /// Traces of an SSH server: processes, host keys, files with accepted keys.
    pub ssh: Vec<String>,
    /// Links that are network adapters of a machine, `eth0`. A link between two namespaces is none.
    pub adapters: Vec<String>,
}

/// The properties that identify a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The UID of the Kubernetes node object.
    pub node_uid: String,
    /// Its SSH host keys, without comments. A node without an SSH server has none.
    pub host_keys: Vec<String>,
    /// The UUID that the VM's firmware reports. `None` for containers, which would all report the host's.
    pub product: Option<String>,
    /// The SSH keys that it accepts, without comments.
    pub lets_in: Vec<String>,
}

/// The witness on the pod network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodWitness {
    /// Its identity, unique among all witnesses of a run.
    pub witness: String,
    /// The node on which it runs.
    pub node: String,
    /// The address of its pod.
    pub address: Ipv4Addr,
    /// The cluster IP of its service, on [`TCP_PORT`] and [`UDP_PORT`].
    pub service: Ipv4Addr,
    /// The NodePort of its service, TCP.
    pub node_port: u16,
}

/// An instance's name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSubject {
    /// Its address in the cluster; `None` where the cluster has none under the usual name.
    pub server: Option<Ipv4Addr>,
    /// A name that exists in this instance's name server and nowhere else.
    pub only_here: String,
}

impl Subject {
    /// The hardware addresses that belong on its network: those of its nodes and of the host's link.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        let of_nodes = self.nodes.iter().flat_map(|node| node.macs.iter().copied());
        of_nodes.chain(self.uplink.as_ref().and_then(|uplink| uplink.gateway_mac))
    }

    /// The host's address in its network; `None` for a cluster that is known by its kubeconfig only.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.uplink.as_ref().map(|uplink| uplink.gateway)
    }

    /// The networks of its nodes, each once.
    pub fn node_nets(&self) -> BTreeSet<Ipv4Net> {
        self.nodes.iter().map(|node| node.net).collect()
    }

    /// The systems on a node's link that are neither its nodes nor the host. `None` when they could not be asked.
    pub fn unknown_neighbours<'a>(&self, node: &'a NodeSubject) -> Option<Vec<&'a Neighbour>> {
        let is_unknown = |other: &&Neighbour| self.macs().all(|mac| mac != other.mac);
        Some(node.neighbours.as_ref()?.iter().filter(is_unknown).collect())
    }

    /// The identities of all its witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &str> {
        let nodes = self.nodes.iter().map(|node| node.witness.as_str());
        let links = self.link_witnesses.iter().map(|link| link.witness.as_str());
        nodes.chain([self.pod.witness.as_str()]).chain(links)
    }
}
