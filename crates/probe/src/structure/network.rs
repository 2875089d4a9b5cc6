//! The content of a network namespace: links, addresses, routes, filters, sockets and rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The content of a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Its inode.
    pub inode: u64,
    /// Whether no process, descriptor or mount leads to it. Then only its links are known, and the inode is one that no
    /// namespace has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
    /// Its links.
    pub links: Vec<Link>,
    /// Addresses of all families.
    pub addresses: Vec<Address>,
    /// Routes of all tables and families, multicast routes included.
    pub routes: Vec<Route>,
    /// Policy rules of all families.
    pub rules: Vec<PolicyRule>,
    /// Neighbours of all families, proxy entries and entries of bridges included.
    pub neighbours: Vec<Neighbour>,
    /// Kernel settings with a path below `/proc/sys/net`, such as `ipv4/conf/eth0/proxy_arp`.
    pub settings: BTreeMap<String, String>,
    /// Queueing disciplines except those that the kernel gives to every link.
    pub qdiscs: Vec<Qdisc>,
    /// Filters of traffic control.
    pub filters: Vec<Filter>,
    /// Policies and states of IPsec: the number of them.
    pub xfrm: usize,
    /// Sockets of all protocols.
    pub sockets: Vec<Socket>,
    /// The objects of `nft --json list ruleset`, without `metainfo`.
    pub nft: Vec<serde_json::Value>,
    /// The output of `iptables-save` and its like, by the name of the program.
    pub iptables: BTreeMap<String, String>,
    /// The lines of `/proc/net/ip_vs` without its header.
    pub ipvs: Vec<String>,
}

/// A network link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind, such as `veth`; `None` for hardware and for loopback.
    pub kind: Option<String>,
    /// Its hardware address, such as `02:00:00:00:00:01`.
    pub mac: Option<String>,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// The index of the bridge or bond of which it is a port.
    pub controller: Option<u32>,
    /// The link at its other end, or below it.
    pub peer: Option<Peer>,
    /// The settings of its kind that lead elsewhere, such as `vxlan remote 10.0.0.1`.
    pub leads: Vec<String>,
    /// VLANs of a bridge's port; 1 is the default.
    pub vlans: Vec<u16>,
    /// Whether frames that come in on it are repeated to no other isolated port.
    pub isolated: bool,
    /// The id of its XDP program.
    pub xdp: Option<u32>,
    /// The ids of its programs on tcx, both directions.
    pub tcx: Vec<u32>,
}

/// The other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// The index of the other link in its namespace; 0 if it is unknown.
    pub index: u32,
    /// The inode of its namespace. `None` if no process, mount or descriptor leads to this namespace.
    pub namespace: Option<u64>,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// The index of the link.
    pub link: u32,
    /// The address with its prefix length.
    pub address: IpNet,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// The address family: 2 IPv4, 10 IPv6, 28 MPLS, 128 and 129 multicast routes (linux/rtnetlink.h).
    pub family: u8,
    /// The table: 254 main, 255 local.
    pub table: u32,
    /// The type: 1 unicast, 2 local, 3 broadcast, 5 multicast, 7 unreachable (linux/rtnetlink.h).
    pub kind: u8,
    /// The program that made it: 2 the kernel, 3 at boot, 4 an administrator.
    pub protocol: u8,
    /// The destination; `None` for a default route.
    pub to: Option<IpNet>,
    /// The source for which it is used only.
    pub from: Option<IpNet>,
    /// The next hops: the gateway and the index of the link.
    pub hops: Vec<(Option<IpAddr>, Option<u32>)>,
    /// Whether packets are wrapped on the way (MPLS, SRv6, BPF, IP in IP).
    pub wrapped: bool,
}

/// A policy rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// The address family.
    pub family: u8,
    /// Its priority.
    pub priority: u32,
    /// The table that it looks up.
    pub table: u32,
    /// Its action: 1 look up a table (linux/fib_rules.h).
    pub action: u8,
    /// The sources for which it is used.
    pub from: Option<IpNet>,
    /// The destinations for which it is used.
    pub to: Option<IpNet>,
    /// The incoming link.
    pub incoming: Option<String>,
    /// The outgoing link.
    pub outgoing: Option<String>,
    /// The mark of the packet.
    pub mark: Option<u32>,
}

/// An entry of a neighbour table, or of the table of a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Neighbour {
    /// The address family; 7 for entries of bridges.
    pub family: u8,
    /// The index of the link; 0 for a proxy entry of all links.
    pub link: u32,
    /// The address; of a bridge's entry, the remote end of a tunnel.
    pub address: Option<IpAddr>,
    /// The hardware address.
    pub mac: Option<String>,
    /// Whether the host answers for this address in the place of its owner.
    pub proxy: bool,
    /// Whether an administrator set it.
    pub permanent: bool,
}

/// A queueing discipline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Qdisc {
    /// The index of the link.
    pub link: u32,
    /// Its kind: `clsact`, `ingress`, `netem`.
    pub kind: String,
    /// Its handle, such as `ffff0000`.
    pub handle: u32,
}

/// A filter of traffic control.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// The index of the link.
    pub link: u32,
    /// Its kind: `bpf`, `u32`, `matchall`, `flower`.
    pub kind: String,
    /// The id of its BPF program.
    pub program: Option<u32>,
    /// The name of its BPF program.
    pub name: Option<String>,
    /// The kinds of its actions: `mirred`, `skbmod`.
    pub actions: Vec<String>,
    /// The indices of the links to which it sends packets.
    pub to: Vec<u32>,
}

/// A socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Socket {
    /// The protocol as in `/proc/net`: `tcp`, `tcp6`, `udp`, `raw`, `packet`, `sctp`, `vsock`, `unix`, `xdp`.
    pub protocol: String,
    /// Its inode; 0 while the kernel alone keeps it (TIME-WAIT).
    pub inode: u64,
    /// Its own address and port; for `raw`, the port is the number of the IP protocol.
    pub local: Option<(IpAddr, u16)>,
    /// The address and port of its peer.
    pub remote: Option<(IpAddr, u16)>,
    /// Its state, in the protocol's own numbers: for TCP, 1 established and 10 listening.
    pub state: u8,
    /// The abstract name or the path of a UNIX socket; the address of a vsock.
    pub name: Option<String>,
    /// The device of the file at a UNIX socket's path, as `major:minor`: that of its file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The inode of the socket to which a UNIX socket is connected.
    pub peer: Option<u64>,
    /// The index of the link to which a packet socket is bound; 0 means all links.
    pub link: Option<u32>,
}
