//! Classes L: instances on one link reach each other without a route.
//!
//! The prober runs as root on the host network of each node, and uses the node's links as they are. For a node that is
//! alone on its link, the control is a witness on the host's end of the link: packets of the node arrive there before
//! the guard refuses them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe::{Ask, Mac, Sight};

use crate::audit::subject::UDP_PORT;
use crate::audit::viewpoint::Stand;

use super::questions::{lack, witnessed};
use super::{Class, ClassId, Injection, Method, MissingPart, Part, Proof, Question, Scene, Towards};

const NODE: &[Stand] = &[Stand::Node];

/// All EtherTypes (IEEE 802.3, clause 3.2.6: lower numbers are lengths).
const EVERY_TYPE: &[(u16, u16)] = &[(0x0600, 0xffff)];
/// IPv4 and ARP, IPv6, MPLS, PPPoE, 802.1X, LLDP, MACsec, and the EtherTypes for experiments.
const KNOWN_TYPES: &[(u16, u16)] = &[
    (0x0800, 0x0806),
    (0x86dd, 0x86dd),
    (0x8847, 0x8848),
    (0x8863, 0x8864),
    (0x888e, 0x888e),
    (0x88b5, 0x88b6),
    (0x88cc, 0x88cc),
    (0x88e5, 0x88e5),
];
/// EtherTypes for experiments (IEEE 802, clause 9.2.3).
const EXPERIMENTS: &[(u16, u16)] = &[(0x88b5, 0x88b6)];
/// VLANs whose tags are sent: the lowest, one in the middle, and the highest.
const VLANS: &[u16] = &[1, 100, 4094];
/// Spanning tree, SNAP, ISO protocols (IEEE 802.2).
const SAPS: &[u8] = &[0x42, 0xaa, 0xfe];
/// The Ethernet address of the IPv4 group of all systems (RFC 1112, section 6.4).
const ALL_SYSTEMS: Mac = Mac([0x01, 0x00, 0x5e, 0, 0, 1]);

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    way: Method,
    injection: Injection,
) -> Class {
    let (from, towards, needs) = (NODE, Towards::Instances, &[Part::Nodes, Part::Links] as &[Part]);
    Class::new(id, (title, means), (from, towards), way, needs, injection)
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::L1,
        "shared link, ARP",
        "the two instances share an Ethernet segment: each can send frames to the other and impersonate it",
        Method::Probes(arp),
        Injection::SharedBridge,
    ),
    class(
        ClassId::L2,
        "IPv6 neighbours and link-local addresses",
        "the two instances share a link for IPv6, which works without configuration (RFC 4862)",
        Method::Probes(neighbours),
        Injection::SharedIpv6,
    ),
    class(
        ClassId::L3,
        "multicast, mDNS, broadcast",
        "the target receives the source's multicast and broadcast packets",
        Method::Probes(groups),
        Injection::SharedGroups,
    ),
    class(
        ClassId::L4,
        "proxy ARP",
        "a system on the source's link answers ARP for the target's addresses and receives the target's traffic \
         (RFC 1027)",
        Method::Probes(proxy_arp),
        Injection::ProxyArp,
    ),
    class(
        ClassId::L5,
        "an extra network interface",
        "a node of the source has an interface in the target's network, or one that it was not given",
        Method::Look(Sight::Links),
        Injection::ExtraLink,
    )
    .needing(&[Part::Nodes, Part::Record]),
    class(
        ClassId::L6,
        "rogue DHCP or RA",
        "the target receives the source's DHCP requests and router advertisements: one rogue server could serve both",
        Method::Probes(rogues),
        Injection::SharedDhcp,
    ),
    class(
        ClassId::L7,
        "duplicate MAC address",
        "two nodes have one MAC address: on a common link, each receives the other's frames",
        Method::Look(Sight::Links),
        Injection::SameMac,
    ),
    class(
        ClassId::L8,
        "frames of every EtherType",
        "the two instances share a link that passes some kind of frame, although it passes no ARP and no IP",
        Method::Probes(frames),
        Injection::SharedEtherType,
    ),
    Class {
        from: &[Stand::Host],
        ..class(
            ClassId::L9,
            "frames of another instance",
            "frames of the source arrive at the target although no probe was sent there: a mirror, a tap, or a path for \
             traffic that no probe resembles",
            Method::Listen,
            Injection::CopiedFrames,
        )
    },
];

/// The link through which a probe leaves. The host has many links, so the probe names one; a node uses all of its
/// links.
fn link(scene: &Scene<'_>) -> Option<String> {
    let elsewhere = scene.viewpoint.stand() == Stand::Host;
    let uplink = scene.instance().uplink.as_ref().filter(|_| elsewhere);
    uplink.map(|uplink| uplink.link.clone())
}

/// ARP requests for the nodes of the target. Without another node, for the gateway: its ARP answer comes over the link
/// too.
fn arps(scene: &Scene<'_>) -> Vec<Ask> {
    let mut targets: Vec<Ipv4Addr> = scene.nodes().map(|node| node.address).collect();
    if targets.is_empty() {
        targets.extend(scene.instance().gateway());
    }
    targets.into_iter().map(|target| Ask::Arp { target, link: link(scene) }).collect()
}

fn arp(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    Ok(arps(scene).into_iter().map(|ask| witnessed("arp", ask)).collect())
}

fn proxy_arp(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let question = |ask| Question { protocol: "arp", ask, proof: Proof::AnyAnswer };
    Ok(arps(scene).into_iter().map(question).collect())
}

/// Whether the prober has an IPv6 address on the link. The host's end of the link may have none.
fn speaks_ipv6(scene: &Scene<'_>) -> bool {
    let link = link(scene);
    let mut on_link = scene.host.addresses.iter().filter(|(on, _)| Some(on) == link.as_ref());
    scene.viewpoint.stand() != Stand::Host || on_link.any(|(_, address)| address.is_ipv6())
}

/// Neighbour solicitations for the nodes of the target. Without another node, for an unused address: the witness on the
/// host's end of the link sees the solicitation.
fn neighbours(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    const UNUSED: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    if !speaks_ipv6(scene) {
        return Ok(Vec::new());
    }
    let mut known: Vec<Ipv6Addr> = scene.nodes().filter_map(|node| node.link_local).collect();
    if scene.nodes().next().is_none() {
        known.push(UNUSED);
    }
    let solicit = |target| witnessed("neighbour", Ask::Neighbour { target, link: link(scene) });
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1); // RFC 4291, section 2.7.1
    Ok(known.into_iter().map(solicit).chain([group(scene, "all nodes", all_nodes, UDP_PORT)]).collect())
}

fn groups(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let anyone = [
        group(scene, "multicast", Ipv4Addr::new(224, 0, 0, 1), UDP_PORT), // RFC 1112: all systems
        group(scene, "mdns", Ipv4Addr::new(224, 0, 0, 251), 5353),        // RFC 6762
        group(scene, "broadcast", Ipv4Addr::BROADCAST, UDP_PORT),
    ];
    let directed = scene.instance().node_nets().into_iter();
    let directed = directed.map(|net| group(scene, "directed broadcast", net.broadcast(), UDP_PORT));
    Ok(anyone.into_iter().chain(directed).collect())
}

/// Datagrams to the ports of DHCP servers (RFC 2131, RFC 8415), and a router advertisement.
fn rogues(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
    let mut questions = vec![group(scene, "dhcp", Ipv4Addr::BROADCAST, 67)];
    if speaks_ipv6(scene) {
        questions.push(group(scene, "dhcpv6", servers, 547));
        questions.push(witnessed("router advertisement", Ask::Advertise { link: link(scene) }));
    }
    Ok(questions)
}

/// Frames of every EtherType to all systems and to a node of the target, and frames of known kinds to groups and to every
/// node of the target. In a control, a few EtherTypes show that frames of any kind leave and arrive.
fn frames(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let macs = scene.nodes().map(|node| {
        node.mac.ok_or_else(|| MissingPart(format!("the hardware address of {} is unknown", node.name)))
    });
    let macs: Vec<Mac> = macs.collect::<Result<_, _>>()?;
    let through = match scene.sender() {
        Some(node) => node.link.clone(),
        None => link(scene).ok_or_else(|| lack(scene.instance(), "a link to the host"))?,
    };
    let frames = |to: Vec<Mac>, types: &[(u16, u16)], vlans: &[u16], saps: &[u8]| Ask::Frames {
        link: through.clone(),
        to,
        source: None,
        types: types.to_vec(),
        vlans: vlans.to_vec(),
        saps: saps.to_vec(),
    };
    let anyone = |first: Option<&Mac>| [Mac::BROADCAST].into_iter().chain(first.copied()).collect::<Vec<_>>();
    if scene.is_control() || scene.viewpoint.stand() == Stand::Host {
        let asked = frames(anyone(macs.first()), EXPERIMENTS, &[], &[]);
        return Ok(vec![witnessed("every type", asked.clone()), witnessed("known types", asked)]);
    }
    let known = [ALL_SYSTEMS].into_iter().chain(macs.iter().copied()).collect();
    let mut questions = vec![witnessed("known types", frames(known, KNOWN_TYPES, VLANS, SAPS))];
    if scene.is_thorough() {
        questions.push(witnessed("every type", frames(anyone(macs.first()), EVERY_TYPE, VLANS, SAPS)));
    }
    Ok(questions)
}

fn group(scene: &Scene<'_>, protocol: &'static str, to: impl Into<IpAddr>, port: u16) -> Question {
    witnessed(protocol, Ask::Group { to: SocketAddr::new(to.into(), port), link: link(scene) })
}
