//! Classes S4 to S15: what is on the host against what was planned, a class for each kind of difference.
//!
//! Probes find a path only if they use it. These classes need no probe: everything that touches an instance, that the
//! plan does not have and that nothing explains is a finding, whatever it is.

use crate::audit::structure::DifferenceKind;
use crate::audit::viewpoint::Stand;

use super::{Class, ClassId, Fact, Injection, Method, Part, Towards};

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    kind: DifferenceKind,
    injection: Injection,
) -> Class {
    let (from, towards) = (&[Stand::Host], Towards::InstancesAndHost);
    let (way, needs) = (Method::Fact(Fact::Structure(kind)), &[Part::Host, Part::Record]);
    Class::new(id, (title, means), (from, towards), way, needs, injection)
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::S4,
        "host guard as built",
        "rules, routes or settings of the guard were changed, so packets that it must drop may pass",
        DifferenceKind::Guard,
        Injection::OpenGuard,
    ),
    class(
        ClassId::S5,
        "ports of bridges",
        "an instance's bridge has a port that is not a planned one, so frames reach another system",
        DifferenceKind::Ports,
        Injection::DeadCable,
    ),
    class(
        ClassId::S6,
        "links and their other ends",
        "a link of a node or a pod, whatever its name, ends in another instance or on the host",
        DifferenceKind::Links,
        Injection::HiddenLink,
    ),
    class(
        ClassId::S7,
        "addresses of all families",
        "a system has an address that belongs to another instance, and answers in its place",
        DifferenceKind::Addresses,
        Injection::HiddenAddress,
    ),
    class(
        ClassId::S8,
        "routes, policy rules, neighbours and proxies",
        "a system forwards to another instance, or answers for its addresses",
        DifferenceKind::Routes,
        Injection::ProxyNeighbour,
    ),
    class(
        ClassId::S9,
        "filters and programs on links and cgroups",
        "a filter or a BPF program can copy or redirect packets of an instance before any firewall sees them",
        DifferenceKind::Hooks,
        Injection::MirroredLink,
    ),
    class(
        ClassId::S10,
        "processes and their namespaces",
        "a process is in a namespace of an instance and also where others reach it, so it can pass data on",
        DifferenceKind::Processes,
        Injection::PlantedProcess,
    ),
    class(
        ClassId::S11,
        "sockets and listeners",
        "a process passes data between instances, listens for them, or takes frames from their links",
        DifferenceKind::Sockets,
        Injection::Relay,
    ),
    class(
        ClassId::S12,
        "address translation",
        "a rule of nftables, iptables, IPVS or IPsec sends packets of one instance to another",
        DifferenceKind::Nat,
        Injection::HiddenNat,
    ),
    class(
        ClassId::S13,
        "mounts, layers and hard links",
        "a node reads or writes files of another instance or of the host",
        DifferenceKind::Mounts,
        Injection::HiddenMount,
    ),
    class(
        ClassId::S14,
        "cgroups",
        "a node sees or changes the cgroups of another instance, and so its processes and limits",
        DifferenceKind::Cgroups,
        Injection::HiddenCgroup,
    ),
    class(
        ClassId::S15,
        "devices",
        "a node can use a device of the host, such as a disk with files of other instances",
        DifferenceKind::Devices,
        Injection::LoopDevice,
    ),
];
