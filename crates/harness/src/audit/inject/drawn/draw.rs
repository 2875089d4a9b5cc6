//! [`draw`]: the leaks of a seed. Pure.

use fastrand::Rng;

use super::leak::{
    Authority, DrawnLeak, FileForm, Leak, LeakKind, NearEnd, ObjectKind, Place, SECRETS, Traffic, Transport,
    TrustFile,
};
use super::spot::Spot;

/// Folders that every node has and can write.
const BASES: [&str; 12] = [
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr/local",
    "/usr/share",
    "/var/lib",
    "/var/cache",
];
/// Folders of a node's disk that are no overlay, so that a hard link from another disk folder can be made there.
const PLAIN_BASES: [&str; 3] = ["/var/lib", "/var/cache", "/var/log"];
/// Folders that every pod has and can write, also one whose root is read-only.
const POD_BASES: [&str; 2] = ["/dev", "/dev/shm"];
/// Folders of a node that are worth to be mounted elsewhere.
const FOLDERS: [&str; 5] =
    ["/etc/kubernetes", "/etc/kubernetes/pki", "/var/lib/kubelet", "/var/lib/containerd", "/var/log"];
/// The first halves of names of files and folders.
const WORDS: [&str; 12] =
    ["cache", "data", "lib", "old", "backup", "share", "tmp", "state", "app", "users", "journal", "spool"];
/// EtherTypes begin here; smaller numbers are lengths (IEEE 802.3, clause 3.2.6).
const FIRST_ETHER_TYPE: u16 = 0x0600;
/// IPv4, ARP, IPv6, and the tags of VLANs, which the kernel removes.
const OTHER_ETHER_TYPES: [u16; 5] = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8];

/// Draws leaks between two clusters, given by their names: one of each kind, in the order of [`LeakKind::ALL`], then `random`
/// ones of any kind. The same seed gives the same leaks. Pure.
pub(in crate::audit) fn draw(seed: u64, random: u32, names: [&str; 2]) -> Vec<DrawnLeak> {
    let mut rng = Rng::with_seed(seed);
    let mut kinds = LeakKind::ALL.to_vec();
    kinds.extend((0..random).map(|_| pick(&mut rng, &LeakKind::ALL)));
    kinds.into_iter().map(|kind| one(kind, names, &mut rng)).collect()
}

fn one(kind: LeakKind, [first, second]: [&str; 2], rng: &mut Rng) -> DrawnLeak {
    let (from, to) = if rng.bool() { (first, second) } else { (second, first) };
    DrawnLeak { from: from.to_owned(), to: to.to_owned(), leak: leak(kind, rng) }
}

fn leak(kind: LeakKind, rng: &mut Rng) -> Leak {
    match kind {
        LeakKind::ForwardTcp | LeakKind::ForwardUdp => {
            let protocol = if kind == LeakKind::ForwardTcp { Transport::Tcp } else { Transport::Udp };
            let near = rng.bool().then(|| port(rng));
            Leak::Forward { traffic: Traffic { protocol, port: port(rng) }, near, to: rng.u8(0..2) }
        }
        LeakKind::ForwardProtocol => Leak::ForwardProtocol { number: protocol(rng), to: rng.u8(0..2) },
        LeakKind::EtherTypeCable => Leak::EtherTypeCable { number: ether_type(rng), unicast: rng.bool() },
        LeakKind::PortCable => Leak::PortCable { traffic: traffic(rng) },
        LeakKind::Router => {
            Leak::Router { name: name(rng), traffic: rng.bool().then(|| traffic(rng)), place: rng.u8(0..8) }
        }
        LeakKind::NodeInterface => interface(Spot { node: rng.u8(0..2), pod: None }, rng),
        LeakKind::PodInterface => interface(pod(rng), rng),
        LeakKind::Macvlan => Leak::Macvlan { node: rng.u8(0..2), name: link(rng), place: rng.u8(0..8) },
        LeakKind::Mirror => Leak::Mirror { traffic: traffic(rng) },
        LeakKind::NodeRelay => {
            let at = Spot { node: rng.u8(0..2), pod: None };
            relay(NearEnd::Port { at, port: port(rng) }, rng)
        }
        LeakKind::PodRelay => {
            let at = pod(rng);
            relay(NearEnd::Port { at, port: port(rng) }, rng)
        }
        LeakKind::SocketRelay => relay(NearEnd::Path, rng),
        LeakKind::Listener => Leak::Listener { name: name(rng), near: port(rng), far: port(rng) },
        LeakKind::File => file(rng),
        LeakKind::NodeMount => {
            Leak::Mount { what: pick(rng, &FOLDERS), in_pod: None, at: place(&BASES, rng) }
        }
        LeakKind::PodMount => {
            let in_pod = Some(pod(rng));
            Leak::Mount { what: pick(rng, &FOLDERS), in_pod, at: place(&POD_BASES, rng) }
        }
        LeakKind::Device => Leak::Device { at: place(&BASES[..4], rng), name: name(rng) },
        LeakKind::Object => Leak::Object {
            kind: pick(rng, &[ObjectKind::Secret, ObjectKind::ConfigMap]),
            encoded: rng.bool(),
            name: name(rng),
        },
        LeakKind::Trust => Leak::Trust {
            ours: pick(rng, &[Authority::Cluster, Authority::FrontProxy, Authority::Etcd]),
            theirs: pick(rng, &[TrustFile::Clients, TrustFile::FrontProxies]),
        },
        LeakKind::Process => Leak::Process {
            name: name(rng),
            namespace: pick(rng, &["net", "ipc", "mnt"]),
            in_cgroup: rng.bool(),
        },
        LeakKind::Pipe => Leak::Pipe { name: name(rng), from: rng.u8(0..2), to: rng.u8(0..2) },
    }
}

fn interface(at: Spot, rng: &mut Rng) -> Leak {
    Leak::Interface { at, name: link(rng), place: rng.u8(0..8) }
}

fn relay(near: NearEnd, rng: &mut Rng) -> Leak {
    let to = if rng.bool() { pod(rng) } else { Spot { node: rng.u8(0..2), pod: None } };
    Leak::Relay { name: name(rng), near, far: port(rng), to }
}

fn file(rng: &mut Rng) -> Leak {
    let widths = [0, 64, 76];
    let form = match rng.u8(0..4) {
        0 => FileForm::Copy,
        1 => FileForm::HardLink,
        2 => FileForm::BindMount,
        _ => FileForm::Base64 { before: rng.u16(0..5000), width: pick(rng, &widths) },
    };
    let bases: &[&str] = if form == FileForm::HardLink { &PLAIN_BASES } else { &BASES };
    Leak::File { secret: pick(rng, &SECRETS), form, at: place(bases, rng) }
}

fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(0..all.len())]
}

fn port(rng: &mut Rng) -> u16 {
    rng.u16(1..=u16::MAX)
}

fn traffic(rng: &mut Rng) -> Traffic {
    Traffic { protocol: pick(rng, &[Transport::Tcp, Transport::Udp]), port: port(rng) }
}

fn pod(rng: &mut Rng) -> Spot {
    Spot { node: rng.u8(0..2), pod: Some(rng.u8(..)) }
}

/// The number of an IP protocol that is not ICMP, TCP or UDP.
fn protocol(rng: &mut Rng) -> u8 {
    loop {
        let number = rng.u8(2..=254);
        if ![6, 17].contains(&number) {
            return number;
        }
    }
}

fn ether_type(rng: &mut Rng) -> u16 {
    loop {
        let number = rng.u16(FIRST_ETHER_TYPE..);
        if !OTHER_ETHER_TYPES.contains(&number) {
            return number;
        }
    }
}

/// A name such as `cache-1f9a03`.
fn name(rng: &mut Rng) -> String {
    format!("{}-{:06x}", pick(rng, &WORDS), rng.u32(0..1 << 24))
}

/// The name of a link, which has at most 15 bytes: `ens1f9a03`.
fn link(rng: &mut Rng) -> String {
    format!("{}{:06x}", pick(rng, &["eth", "ens", "net", "veth", "wg", "tap"]), rng.u32(0..1 << 24))
}

fn place(bases: &[&'static str], rng: &mut Rng) -> Place {
    let base = pick(rng, bases);
    let depth = rng.usize(2..=6);
    Place { base, parts: (0..depth).map(|_| name(rng)).collect() }
}
