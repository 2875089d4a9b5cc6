//! Wire types of `homelab-probe walk`: everything on a host that can connect two instances, as plain data.
//!
//! `walk` reads a [`Request`] from standard input and writes one [`Seen`], both as one JSON object. It judges nothing:
//! the harness compares the result with what was planned. A read that failed or was cut is a line of [`Seen::unread`],
//! so that an empty list always means that there is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Version of the format of all types in this module.
pub const VERSION: u32 = 1;

/// What a walk needs to know beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// Folders of nodes, by a name of the caller's, such as `acme-cp-1`. Hard links and device nodes are searched in
    /// them.
    pub roots: BTreeMap<String, String>,
    /// Texts that occur in the names of nodes' cgroups, such as the id of a container. Limits and devices are read of
    /// the cgroups with such a name.
    pub cgroups: BTreeSet<String>,
    /// Networks of instances. Addresses in them are reported if they occur in the command line of a process.
    pub networks: Vec<Range>,
}

/// A network, or an address with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The address, which may have host bits.
    pub address: IpAddr,
    /// The prefix length.
    pub bits: u8,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Range {
    /// Whether the address is in this network.
    pub fn contains(&self, other: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let host = width.saturating_sub(self.bits.into());
            a.checked_shr(host).unwrap_or(0) == b.checked_shr(host).unwrap_or(0)
        };
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// The result of a walk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// The namespaces of the walk itself, which are the host's.
    pub host: Namespaces,
    /// The pid of the walk itself.
    pub pid: u32,
    /// All processes of the walk's PID namespace.
    pub processes: Vec<Process>,
    /// Every namespace that was found, of all kinds.
    pub namespaces: Vec<Namespace>,
    /// The content of each network namespace.
    pub networks: Vec<Network>,
    /// The mounts of each mount namespace.
    pub mounts: Vec<MountTable>,
    /// Programs in the kernel.
    pub bpf: Bpf,
    /// Files with several names, at least one of which is outside of the root where it was found.
    pub linked: Vec<LinkedFile>,
    /// Device nodes: in `/dev` of each mount namespace, and in the roots.
    pub devices: Vec<DeviceNode>,
    /// Block devices that are made of files or of other block devices.
    pub backed: Vec<Backed>,
    /// Limits and devices of nodes' cgroups.
    pub cgroups: Vec<Cgroup>,
    /// The duration of the walk in milliseconds.
    pub took_ms: u64,
    /// What could not be read, with the reason, a sentence each.
    pub unread: Vec<String>,
}

/// The inode numbers of a process's namespaces. 0 where the kernel has no such namespace or the link could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Of the network.
    pub net: u64,
    /// Of the mounts.
    pub mnt: u64,
    /// Of the process itself, not of its future children.
    pub pid: u64,
    /// Of System V and POSIX message queues and shared memory.
    pub ipc: u64,
    /// Of the host name.
    pub uts: u64,
    /// Of the cgroup root.
    pub cgroup: u64,
    /// Of user ids.
    pub user: u64,
}

/// The kind of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceKind {
    /// Links, addresses, routes, sockets.
    Net,
    /// Mounts.
    Mnt,
    /// Process ids.
    Pid,
    /// Message queues and shared memory.
    Ipc,
    /// The host name.
    Uts,
    /// The cgroup root.
    Cgroup,
    /// User ids.
    User,
}

impl NamespaceKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Net, Self::Mnt, Self::Pid, Self::Ipc, Self::Uts, Self::Cgroup, Self::User];

    /// The kernel's name: `net`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Mnt => "mnt",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::User => "user",
        }
    }

    /// The kind and the inode in the kernel's text, such as `net:[4026531840]`.
    pub fn parse(text: &str) -> Option<(Self, u64)> {
        let (name, inode) = text.strip_suffix(']')?.split_once(":[")?;
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name)?;
        Some((kind, inode.parse().ok()?))
    }
}

impl Namespaces {
    /// The inode of one kind.
    pub fn of(&self, kind: NamespaceKind) -> u64 {
        match kind {
            NamespaceKind::Net => self.net,
            NamespaceKind::Mnt => self.mnt,
            NamespaceKind::Pid => self.pid,
            NamespaceKind::Ipc => self.ipc,
            NamespaceKind::Uts => self.uts,
            NamespaceKind::Cgroup => self.cgroup,
            NamespaceKind::User => self.user,
        }
    }

    /// Sets the inode of one kind.
    pub fn set(&mut self, kind: NamespaceKind, inode: u64) {
        *match kind {
            NamespaceKind::Net => &mut self.net,
            NamespaceKind::Mnt => &mut self.mnt,
            NamespaceKind::Pid => &mut self.pid,
            NamespaceKind::Ipc => &mut self.ipc,
            NamespaceKind::Uts => &mut self.uts,
            NamespaceKind::Cgroup => &mut self.cgroup,
            NamespaceKind::User => &mut self.user,
        } = inode;
    }
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Its pid in the walk's PID namespace.
    pub pid: u32,
    /// The pid of its parent.
    pub parent: u32,
    /// Its start time in clock ticks since boot (proc_pid_stat(5)).
    pub start: u64,
    /// Its name in the kernel, at most 15 characters.
    pub comm: String,
    /// The first word of its command line; empty for threads of the kernel.
    pub program: String,
    /// The name of the virtual machine that it runs (`guest=` of QEMU's `-name`).
    pub guest: Option<String>,
    /// The addresses in its command line that are in [`Request::networks`].
    pub mentions: Vec<IpAddr>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Namespaces of its threads that differ from its own.
    pub of_threads: Vec<(NamespaceKind, u64)>,
    /// Namespaces that it holds by a descriptor.
    pub held: Vec<(NamespaceKind, u64)>,
    /// Its cgroups, `controllers:path` (cgroups(7)); `:path` in the unified hierarchy.
    pub cgroups: Vec<String>,
    /// The inodes of its sockets.
    pub sockets: Vec<u64>,
    /// The names of its TUN and TAP links.
    pub taps: Vec<String>,
    /// Devices of the host that it has open: `/dev/vda`, `/dev/vhost-net`.
    pub open_devices: Vec<String>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its inode.
    pub inode: u64,
    /// The processes in it, also with one thread only.
    pub pids: Vec<u32>,
    /// The processes that hold it by a descriptor.
    pub holders: Vec<u32>,
    /// Its bind mounts: the inode of the mount namespace and the mount point in it.
    pub pins: Vec<(u64, String)>,
}

/// The content of a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Its inode.
    pub inode: u64,
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
    pub address: Range,
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
    pub to: Option<Range>,
    /// The source for which it is used only.
    pub from: Option<Range>,
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
    pub from: Option<Range>,
    /// The destinations for which it is used.
    pub to: Option<Range>,
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
    /// The inode of the socket to which a UNIX socket is connected.
    pub peer: Option<u64>,
    /// The index of the link to which a packet socket is bound; 0 means all links.
    pub link: Option<u32>,
}

/// The mounts of a mount namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MountTable {
    /// Its inode.
    pub inode: u64,
    /// Its mounts, in the kernel's order.
    pub mounts: Vec<Mount>,
}

/// A mount (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// The device of the file system: `8:1`.
    pub device: String,
    /// The folder of the file system that is mounted.
    pub root: String,
    /// The mount point.
    pub point: String,
    /// The kind of the file system.
    pub kind: String,
    /// The device, the remote folder, or any text.
    pub source: String,
    /// Whether it can be written.
    pub writable: bool,
    /// The peer group in which mounts propagate; `None` for a private mount.
    pub shared: Option<u64>,
    /// The lower layers of an overlay.
    pub lower: Vec<String>,
    /// The upper layer of an overlay.
    pub upper: Option<String>,
    /// The work folder of an overlay.
    pub work: Option<String>,
}

/// The BPF programs of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bpf {
    /// All loaded programs.
    pub programs: Vec<Program>,
    /// All links of programs.
    pub links: Vec<BpfLink>,
    /// Objects that are pinned in a BPF file system.
    pub pins: Vec<Pin>,
}

/// A loaded BPF program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Program {
    /// Its id.
    pub id: u32,
    /// Its type in the kernel's numbers: 3 sched_cls, 6 xdp, 8 cgroup_skb (linux/bpf.h).
    pub kind: u32,
    /// Its name.
    pub name: String,
    /// The processes that hold it.
    pub pids: Vec<u32>,
}

/// The link of a program to its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BpfLink {
    /// Its id.
    pub id: u32,
    /// The id of the program.
    pub program: u32,
    /// Its kind, `tcx`, `xdp`, `cgroup`, `netns`; `None` if no descriptor of it could be read.
    pub kind: Option<String>,
    /// The index of the network link.
    pub link: Option<u32>,
    /// The inode of the cgroup.
    pub cgroup: Option<u64>,
    /// The inode of the network namespace.
    pub namespace: Option<u64>,
    /// The processes that hold it.
    pub pids: Vec<u32>,
}

/// An object in a BPF file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pin {
    /// The device of the file system.
    pub device: String,
    /// Its path in the file system.
    pub path: String,
    /// The id of the link, if it is one.
    pub link: Option<u32>,
    /// The id of the program, if it is one.
    pub program: Option<u32>,
}

/// A file with several names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkedFile {
    /// The device of the file system: `8:1`.
    pub device: String,
    /// Its inode.
    pub inode: u64,
    /// How many names it has.
    pub names: u64,
    /// The names that were found: the root's name in the request, and the path below the root.
    pub found: Vec<(String, String)>,
}

/// The place of a device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In a mount namespace, with this inode.
    Mounts(u64),
    /// In a root, with this name in the request.
    Root(String),
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceNode {
    /// Where it is.
    pub place: Place,
    /// Its path there.
    pub path: String,
    /// Whether it is a block device.
    pub block: bool,
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
}

/// A block device that is made of a file or of other block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backed {
    /// Its number: `7:0`.
    pub device: String,
    /// Its name: `loop0`.
    pub name: String,
    /// The path of the file, or the names of the devices.
    pub by: Vec<String>,
}

/// A cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cgroup {
    /// Its path in its hierarchy.
    pub path: String,
    /// The hierarchies that have it, by their controllers: `pids`; empty for the unified one.
    pub controllers: Vec<String>,
    /// Its inode in the unified hierarchy.
    pub inode: Option<u64>,
    /// The limits that are set: `memory.max`, `cpu.max`, `pids.max`, with their older names where the hierarchy is of
    /// version 1. Unlimited ones are left out.
    pub limits: BTreeMap<String, String>,
    /// The devices that it may use (`devices.list`); `None` in the unified hierarchy, where a program decides.
    pub devices: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        let range = |text: &str, bits| Range { address: text.parse().unwrap(), bits };
        let within = |range: Range, text: &str| range.contains(text.parse().unwrap());
        assert!(within(range("192.168.60.7", 24), "192.168.60.255"));
        assert!(!within(range("192.168.60.0", 24), "192.168.61.0"));
        assert!(within(range("0.0.0.0", 0), "8.8.8.8"));
        assert!(!within(range("0.0.0.0", 0), "::1"));
        assert!(within(range("fe80::", 10), "febf::1"));
        assert!(!within(range("fe80::1", 128), "fe80::2"));
    }

    #[test]
    fn a_namespace_is_read_from_the_kernels_text() {
        assert_eq!(NamespaceKind::parse("net:[4026531840]"), Some((NamespaceKind::Net, 4_026_531_840)));
        assert_eq!(NamespaceKind::parse("socket:[7]"), None);
        assert_eq!(NamespaceKind::parse("net:4026531840"), None);
    }
}
