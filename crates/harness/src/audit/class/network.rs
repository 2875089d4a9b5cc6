//! Classes N: traffic that is routed, forwarded, translated or tunnelled from one instance to another.
//!
//! The probers run in a pod without privileges, like a workload, and as root on each node, with routes through the
//! host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe::{Ask, Mac, NextHop, Overlay};

use crate::audit::ipv6;
use crate::audit::subject::{CLOSED_PORT, Subject, TCP_PORT, UDP_PORT};
use crate::audit::viewpoint::Stand;

use super::questions::{SMALL, lack, ping, syn, tcp, udp, witnessed};
use super::{
    Applies, Class, ClassId, Depth, Injection, Method, MissingPart, Part, Question, Questions, Scene,
    Towards, ports,
};

const BOTH: &[Stand] = &[Stand::Pod, Stand::Routed];
const ROUTED: &[Stand] = &[Stand::Routed];

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    from: &'static [Stand],
    ask: Questions,
    injection: Injection,
) -> Class {
    let (towards, needs) = (Towards::Instances, &[Part::Nodes, Part::Pods] as &[Part]);
    let way = Method::Probes(ask);
    Class::new(id, (title, means), (from, towards), way, needs, injection)
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::N1,
        "ICMP",
        "ICMP packets are forwarded from the source to the target",
        BOTH,
        |scene| every(scene, |to| vec![("icmp", ping(to))]),
        Injection::ForwardIcmp,
    ),
    class(
        ClassId::N2,
        "routed IPv6",
        "a path that is closed for IPv4 is open for IPv6",
        ROUTED,
        routed_v6,
        Injection::ForwardIpv6,
    )
    .where_it(has_routed_v6),
    class(
        ClassId::N3,
        "TCP, open port",
        "the source can use a TCP service of the target",
        BOTH,
        |scene| every(scene, |to| vec![("tcp", tcp(to, TCP_PORT))]),
        Injection::ForwardTcp,
    ),
    class(
        ClassId::N4,
        "TCP, closed port",
        "packets reach the target: only a missing listener prevents a connection",
        ROUTED,
        |scene| every(scene, |to| syn(to, &[(CLOSED_PORT, CLOSED_PORT)]).map(|ask| ("tcp", ask))),
        Injection::ForwardClosed,
    ),
    class(
        ClassId::N5,
        "UDP",
        "datagrams are forwarded from the source to the target",
        BOTH,
        |scene| every(scene, |to| vec![("udp", udp(to, UDP_PORT, SMALL))]),
        Injection::ForwardUdp,
    ),
    class(
        ClassId::N6,
        "one-way path",
        "packets of the source reach the target, but no answer returns: the sender sees only a time-out",
        BOTH,
        one_way,
        Injection::ForwardOneWay,
    ),
    class(
        ClassId::N7,
        "other IP protocols",
        "a filter that checks TCP, UDP and ICMP lets all other protocols through, tunnels included",
        ROUTED,
        raw,
        Injection::ForwardRaw,
    ),
    class(
        ClassId::N8,
        "a flow opened before the rule",
        "a flow that was opened before the rule stays open",
        BOTH,
        |scene| every(scene, |to| vec![("tcp", held(to))]),
        Injection::ForwardEstablished,
    ),
    class(
        ClassId::N9,
        "size-dependent paths",
        "a filter that checks small packets lets large packets or fragments through",
        BOTH,
        sizes,
        Injection::ForwardLarge,
    ),
    class(
        ClassId::N10,
        "masqueraded source",
        "the host forwards the source's packets with its own address as their source",
        BOTH,
        |scene| every(scene, |to| vec![("udp", udp(to, UDP_PORT, SMALL)), ("tcp", tcp(to, TCP_PORT))]),
        Injection::Masquerade,
    ),
    class(
        ClassId::N11,
        "sweep of all TCP ports",
        "the source can reach a TCP port of a target node: SSH, etcd, kubelet, an exporter, a NodePort",
        ROUTED,
        sweep,
        Injection::ForwardPort,
    ),
    class(
        ClassId::N12,
        "overlay injection",
        "a hand-made tunnel packet (VXLAN, Geneve) puts traffic into the target's pod network",
        ROUTED,
        overlay,
        Injection::ForwardOverlay,
    ),
    class(
        ClassId::N13,
        "pod and service networks",
        "the target's pods and services answer through its nodes or through the host",
        BOTH,
        pods,
        Injection::ForwardPods,
    ),
    class(
        ClassId::N14,
        "NodePorts",
        "the source can use the NodePorts of the target",
        BOTH,
        node_ports,
        Injection::ForwardNodePorts,
    ),
    class(
        ClassId::N15,
        "sweep of all UDP ports",
        "the source can reach a UDP port of a target node: DNS, NTP, a VPN, a game",
        ROUTED,
        udp_sweep,
        Injection::ForwardUdpPort,
    ),
    class(
        ClassId::N16,
        "every other next hop",
        "a system on the source's link that is neither its node nor the host forwards packets to the target",
        &[Stand::Node],
        other_hops,
        Injection::SecondRouter,
    )
    .needing_at_source(&[Part::Record])
    .where_it(has_other_hops),
];

/// The same probes to every node and to the witness's pod, which are the places with witnesses.
fn every<A>(scene: &Scene<'_>, ask: impl Fn(IpAddr) -> A) -> Result<Vec<Question>, MissingPart>
where
    A: IntoIterator<Item = (&'static str, Ask)>,
{
    let asks = scene.everywhere().into_iter().flat_map(ask);
    Ok(asks.map(|(protocol, ask)| witnessed(protocol, ask)).collect())
}

/// To every IPv6 address of the other nodes, the ones that the audit adds included. Without another node, to the host's
/// end of the link, whose witness sees the packets of the node.
fn routed_v6(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let of_nodes = scene.nodes().flat_map(|node| node.routed_v6.iter().copied());
    let mut to: Vec<Ipv6Addr> = of_nodes.collect();
    if scene.nodes().next().is_none() {
        let uplink = scene.instance().uplink.as_ref();
        to.extend(uplink.map(|uplink| ipv6::beside(uplink.gateway, uplink.subnet)));
    }
    if to.is_empty() {
        return Err(lack(scene.instance(), "a routed IPv6 address"));
    }
    let ask = |to: IpAddr| [("icmpv6", ping(to)), ("udp", udp(to, UDP_PORT, SMALL))];
    let asks = to.into_iter().flat_map(|to| ask(to.into()));
    Ok(asks.map(|(protocol, ask)| witnessed(protocol, ask)).collect())
}

/// The audit adds IPv6 addresses to the nodes of this host's instances. Other nodes have those that they have.
fn has_routed_v6(source: &Subject, target: Option<&Subject>) -> Applies {
    for subject in [Some(source), target].into_iter().flatten() {
        let nodes = &subject.nodes;
        if nodes.iter().any(|node| !node.routed_v6.is_empty()) {
            continue;
        }
        if let Some(node) = nodes.iter().find(|node| node.macs.is_empty()) {
            return Applies::Unknown(format!("the links of {} could not be read", node.name));
        }
        let (count, name) = (nodes.len(), &subject.name);
        return Applies::No(format!(
            "none of the {count} nodes of '{name}' has an IPv6 address that routers forward"
        ));
    }
    Applies::Yes
}

/// A SYN and a datagram, each with the nonce in its first packet, so the witness sees the nonce without an answer.
fn one_way(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let ask = |to| syn(to, &[(TCP_PORT, TCP_PORT)]).map(|ask| ("tcp", ask));
    every(scene, |to| ask(to).into_iter().chain([("udp", udp(to, UDP_PORT, SMALL))]))
}

/// To every node, and to the witness's pod where the pod network passes every protocol. Without any of these, to the
/// host's end of the link, whose witness sees the packets of the node.
fn raw(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    const PROTOCOLS: [(&str, u8); 5] =
        [("ipip", 4), ("gre", 47), ("esp", 50), ("sctp", 132), ("protocol 253", 253)]; // 253: RFC 3692
    let subject = scene.instance();
    let mut to: Vec<Ipv4Addr> = scene.nodes().map(|node| node.address).collect();
    if subject.passes_every_protocol {
        to.push(subject.pod.address);
    }
    if to.is_empty() {
        to.extend(subject.gateway());
    }
    let ask = |to| PROTOCOLS.map(|(name, protocol)| witnessed(name, Ask::Raw { to, protocol }));
    // In a control, the protocols without a meaning show that a packet of any number leaves and arrives (RFC 3692).
    let numbers = if scene.is_control() { vec![(253, 254)] } else { vec![(0, 255)] };
    let every = |to: &Ipv4Addr| Ask::Protocols {
        to: (*to).into(),
        protocols: numbers.clone(),
        via: None,
        from: None,
    };
    let thorough = scene.depth != Depth::Few || scene.is_control();
    let all: Vec<Question> =
        to.iter().filter(|_| thorough).map(|to| witnessed("all protocols", every(to))).collect();
    Ok(to.into_iter().flat_map(ask).chain(all).collect())
}

fn held(to: IpAddr) -> Ask {
    Ask::HeldTcp { to: SocketAddr::new(to, TCP_PORT), hold_ms: 500 }
}

fn sizes(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    every(scene, |to| {
        vec![
            ("small", udp(to, UDP_PORT, SMALL)),
            ("1300 bytes", Ask::Ping { to, size: 1300, dont_fragment: true }),
            ("fragments", udp(to, UDP_PORT, 4000)),
        ]
    })
}

/// Every node of the target, from one viewpoint on every port. In a control, one node and a few ports, the highest and the
/// lowest among them, are enough to show that sweeps leave and arrive.
fn sweep_at(scene: &Scene<'_>) -> (Vec<IpAddr>, Vec<(u16, u16)>) {
    let mut to = scene.nodes_or_pod();
    if scene.is_control() {
        to.truncate(1);
        return (to, ports::CONTROL.to_vec());
    }
    (to, ports::of(scene.depth))
}

fn sweep(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (to, ports) = sweep_at(scene);
    let asks = to.into_iter().filter_map(|to| syn(to, &ports));
    Ok(asks.map(|ask| witnessed("tcp", ask)).collect())
}

fn udp_sweep(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (to, ports) = sweep_at(scene);
    let ask = |to| Ask::Datagrams { to, ports: ports.clone(), via: None, from: None };
    Ok(to.into_iter().map(|to| witnessed("udp", ask(to))).collect())
}

fn overlay(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    const KINDS: [(&str, Overlay, u16); 3] = [
        ("vxlan", Overlay::Vxlan, 4789),
        ("vxlan 8472", Overlay::Vxlan, 8472),
        ("geneve", Overlay::Geneve, 6081),
    ];
    let inner = scene.instance().pod.address;
    let asks = scene.nodes_or_pod().into_iter().flat_map(|to| {
        KINDS.map(|(name, overlay, port)| {
            witnessed(name, Ask::Overlay { to: SocketAddr::new(to, port), overlay, inner })
        })
    });
    Ok(asks.collect())
}

fn pods(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let pod = &scene.instance().pod;
    let two = |names: [&'static str; 2], to: Ipv4Addr| {
        let [of_tcp, of_udp] = names;
        [witnessed(of_tcp, tcp(to.into(), TCP_PORT)), witnessed(of_udp, udp(to.into(), UDP_PORT, SMALL))]
    };
    let pods = two(["pod, tcp", "pod, udp"], pod.address);
    let services = two(["service, tcp", "service, udp"], pod.service);
    let services = services.into_iter().filter(|_| scene.routes_to_services());
    Ok(pods.into_iter().chain(services).collect())
}

/// To every node, the prober's node included: a NodePort leads to the pod on every node.
fn node_ports(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let subject = scene.instance();
    let ask = |address| witnessed("tcp", tcp(address, subject.pod.node_port));
    Ok(subject.nodes.iter().map(|node| ask(node.address.into())).collect())
}

/// Every port, and every IP protocol, through each neighbour that is neither a node of the source nor the host, in frames
/// addressed to it. In a control, the neighbour is the node itself that the packet goes to.
fn other_hops(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let subject = scene.instance();
    let own = scene.sender();
    let uplink = || subject.uplink.as_ref().ok_or_else(|| lack(subject, "a link to the host"));
    let (link, from) = match own {
        Some(own) => (&own.link, own.address),
        None => uplink().map(|uplink| (&uplink.link, uplink.gateway))?,
    };
    let through = |mac: Mac, to: Ipv4Addr, ports: &[(u16, u16)], protocols: (u8, u8)| {
        let (ports, to, from) = (ports.to_vec(), IpAddr::from(to), Some(IpAddr::from(from)));
        let via = Some(NextHop { link: link.clone(), mac });
        [
            ("tcp", Ask::Syn { to, ports: ports.clone(), via: via.clone(), from }),
            ("udp", Ask::Datagrams { to, ports, via: via.clone(), from }),
            ("all protocols", Ask::Protocols { to, protocols: vec![protocols], via, from }),
        ]
        .map(|(protocol, ask)| witnessed(protocol, ask))
    };
    if scene.is_control() || own.is_none() {
        let mut to: Vec<_> = scene.nodes().map(|node| (node.mac, node.address)).take(1).collect();
        if to.is_empty() {
            to.extend(subject.uplink.as_ref().map(|uplink| (uplink.gateway_mac, uplink.gateway)));
        }
        let known = to.into_iter().filter_map(|(mac, to)| Some((mac?, to)));
        let asks = known.flat_map(|(mac, to)| through(mac, to, ports::CONTROL, (253, 254))); // RFC 3692
        return Ok(asks.collect());
    }
    let hops = own.and_then(|own| scene.source.unknown_neighbours(own)).unwrap_or_default();
    let hops: BTreeSet<Mac> = hops.into_iter().map(|hop| hop.mac).collect();
    let ports = ports::of(scene.depth);
    let all = hops.into_iter().flat_map(|mac| subject.nodes.iter().map(move |node| (mac, node.address)));
    Ok(all.flat_map(|(mac, to)| through(mac, to, &ports, (0, 255))).collect())
}

/// A link on which only the source's nodes and the host answer has no other next hop.
fn has_other_hops(source: &Subject, _: Option<&Subject>) -> Applies {
    let (mut answered, mut others) = (BTreeSet::new(), false);
    for node in &source.nodes {
        let (Some(all), Some(unknown)) = (&node.neighbours, source.unknown_neighbours(node)) else {
            return Applies::Unknown(format!("the systems on the link of {} could not be asked", node.name));
        };
        answered.extend(all.iter().map(|it| it.mac));
        others |= !unknown.is_empty();
    }
    if others {
        return Applies::Yes;
    }
    let (count, name) = (answered.len(), &source.name);
    Applies::No(format!("{count} systems answer on the links of '{name}', all of them its nodes or the host"))
}
