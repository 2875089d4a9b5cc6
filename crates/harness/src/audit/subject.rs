//! What the audit knows of each instance and of the workstation: plain data, made by whoever runs it.
//!
//! A field that could not be found out is `None`, never empty: the judges take `None` for *inconclusive*, and
//! nothing else. The next step is [`Plan`](super::Plan).

mod credentials;
mod host;

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use provisioner::plan::Role;
use provisioner::slowdown::Slowdown;
use provisioner::spec::{CniKind, EngineKind};

pub use credentials::{Authority, AuthorityRole, ClientCertificate, CredentialSet, Link, Secret};
pub use host::{After, Destroyed, Host, Search};

/// The port on which every witness answers TCP.
pub const TCP_PORT: u16 = 7001;
/// The port on which every witness answers UDP.
pub const UDP_PORT: u16 = 7002;
/// A TCP port on which nothing listens, on any node or pod.
pub const CLOSED_PORT: u16 = 7009;

/// One instance, as the audit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// What made its nodes.
    pub engine: EngineKind,
    /// The host network.
    pub subnet: Ipv4Net,
    /// The host's link into it, `hl-…`: its only other inhabitant where there is one node.
    pub link: String,
    /// Its nodes' link into it.
    pub node_link: String,
    /// How a hypervisor manages its nodes, where they are virtual machines.
    pub management: Option<Management>,
    /// The witnesses on the host's ends of its links. Only where one node is alone: there is nobody else on the link who
    /// could be its control.
    pub link_witnesses: Vec<LinkWitness>,
    /// How much longer than in a container everything takes in its nodes.
    pub slowdown: Slowdown,
    /// The host's own address in it.
    pub gateway: Ipv4Addr,
    /// What its pods are connected by.
    pub cni: CniKind,
    /// Where its pods get their addresses.
    pub pod_cidr: Ipv4Net,
    /// Where its services get theirs.
    pub service_cidr: Ipv4Net,
    /// Its nodes, the first control plane first. Each has a witness on its own network.
    pub nodes: Vec<NodeSubject>,
    /// Its witness on the pod network. Probers on the pod network run on the same node.
    pub pod: PodWitness,
    /// Its name server.
    pub dns: DnsSubject,
    /// The address of its API server.
    pub api: Ipv4Addr,
    /// The name of its API server, `api.acme.lab`.
    pub api_name: String,
    /// What opens its doors.
    pub credentials: CredentialSet,
    /// Who vouches for it.
    pub authorities: Option<Vec<Authority>>,
    /// Its identity, link for link: what was recorded when it came up, and what was found now.
    pub identity: Option<Vec<Link>>,
    /// Files of the workstation that its nodes can write: `<device>:<inode> <path>`. Of containers those of their image
    /// stores, of virtual machines their disks, which hold such a store and all the rest.
    pub store: Option<Vec<String>>,
    /// What was found of *other* instances' secrets in its files, logs and snapshots.
    pub search: Option<Search>,
}

/// The network by which a hypervisor manages the virtual machines of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// The network; nothing where each machine has an adapter of its own, which leads to the hypervisor and no further.
    pub net: Option<Ipv4Net>,
    /// The hypervisor's own address there.
    pub gateway: Ipv4Addr,
    /// The nodes' link into it.
    pub node_link: String,
    /// The host's link into it; nothing where it has none.
    pub link: Option<String>,
}

/// A witness on the host's end of a link, which sees the frames that come from an instance's nodes before the guard
/// does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWitness {
    /// Its identity, unique among all witnesses of a run.
    pub witness: String,
    /// The link, `hl-…`.
    pub link: String,
    /// The host's own address there.
    pub gateway: Ipv4Addr,
}

/// A node, and the witness on its own network. The witness listens on [`TCP_PORT`] and [`UDP_PORT`], and watches the
/// packets that come in by all links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubject {
    /// Its name, `acme-cp-1`.
    pub name: String,
    /// What it does in the cluster.
    pub role: Role,
    /// Its address in the host network.
    pub address: Ipv4Addr,
    /// Its IPv6 link-local address, if it has one.
    pub link_local: Option<Ipv6Addr>,
    /// Its address in the network by which a hypervisor manages it, if it is known.
    pub management: Option<Ipv4Addr>,
    /// The identity of its witness, unique among all witnesses of a run.
    pub witness: String,
    /// What must be its own; nothing when it could not be read.
    pub machine: Option<NodeIdentity>,
}

/// What tells a machine from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The UID that Kubernetes gave to the node.
    pub node_uid: String,
    /// Its SSH host keys, without comments; a machine without an SSH server has none.
    pub host_keys: Vec<String>,
    /// The UUID of the machine itself, as its firmware says it. Only of a virtual one: containers all say the
    /// workstation's.
    pub product: Option<String>,
    /// The SSH keys that it lets in, without comments.
    pub lets_in: Vec<String>,
}

/// The witness on the pod network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodWitness {
    /// Its identity, unique among all witnesses of a run.
    pub witness: String,
    /// The node on which it runs.
    pub node: String,
    /// Its pod's address.
    pub address: Ipv4Addr,
    /// The cluster IP of its service, on [`TCP_PORT`] and [`UDP_PORT`].
    pub service: Ipv4Addr,
    /// The NodePort of its service, TCP.
    pub node_port: u16,
}

/// An instance's name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSubject {
    /// Its address in the cluster.
    pub server: Ipv4Addr,
    /// The suffix outside of the cluster, `acme.lab`.
    pub suffix: String,
    /// A name that exists in this instance's name server and nowhere else.
    pub only_here: String,
}

impl Subject {
    /// The identities of all its witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &str> {
        let nodes = self.nodes.iter().map(|node| node.witness.as_str());
        let links = self.link_witnesses.iter().map(|link| link.witness.as_str());
        nodes.chain([self.pod.witness.as_str()]).chain(links)
    }
}
