//! Classes H: the host, and the parts of it that instances share, as a bridge between instances.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe::{Ask, Sight};

use crate::audit::subject::{NodeSubject, Subject, TCP_PORT, UDP_PORT};
use crate::audit::viewpoint::Stand;

use super::questions::{SMALL, answered, lack, ping, syn, tcp, udp, witnessed};
use super::{
    Applies, Asked, Class, ClassId, Fact, Injection, Method, MissingPart, Part, Proof, Question, Scene,
    Towards, always,
};

const BOTH: &[Stand] = &[Stand::Pod, Stand::Routed];
const NODE: &[Stand] = &[Stand::Node];
const PIVOT: &[Stand] = &[Stand::Pivot];
const HOST: &[Stand] = &[Stand::Host];

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    (from, towards): (&'static [Stand], Towards),
    way: Method,
    injection: Injection,
) -> Class {
    let needs = &[Part::Host];
    Class::new(id, (title, means), (from, towards), way, needs, injection)
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::H1,
        "weak host model",
        "every address of the host answers on every link, other instances' gateways included (RFC 1122, 3.3.4.2)",
        (BOTH, Towards::Host),
        Method::Probes(other_addresses),
        Injection::WeakHost,
    ),
    class(
        ClassId::H2,
        "listeners of the host",
        "a host program that listens on 0.0.0.0, or on the gateway's address, serves the instance",
        (BOTH, Towards::Host),
        Method::Probes(listeners),
        Injection::OpenInput,
    ),
    class(
        ClassId::H3,
        "forwarded ports",
        "a port of the host leads into the target, for every system that can reach the host",
        (HOST, Towards::Instances),
        Method::Fact(Fact::Forwards),
        Injection::PublishPort,
    ),
    class(
        ClassId::H4,
        "pivot through NAT",
        "the interface that a hypervisor adds to its VMs leads to the target, or to services of the host",
        (PIVOT, Towards::InstancesAndHost),
        Method::Probes(pivot),
        Injection::NatPivot,
    )
    .where_it(managed),
    class(
        ClassId::H5,
        "route_localnet",
        "services that listen on 127.0.0.1 of the host can be reached from an instance's link",
        (HOST, Towards::Host),
        Method::Fact(Fact::RouteLocalnet),
        Injection::RouteLocalnet,
    ),
    class(
        ClassId::H6,
        "metadata addresses",
        "a metadata service with the host's credentials answers at 169.254.169.254, an address that must stay on its \
         link (RFC 3927)",
        (BOTH, Towards::UnusedAddresses),
        Method::Probes(metadata),
        Injection::Metadata,
    )
    .needing(&[Part::Pods]),
    class(
        ClassId::H7,
        "DNS names of another instance",
        "the source can resolve names of the target, and so learn its services and their addresses",
        (BOTH, Towards::Instances),
        Method::Probes(names),
        Injection::ForeignNames,
    )
    .needing(&[Part::Pods]),
    class(
        ClassId::H8,
        "shared files and mounts",
        "nodes of both instances have one folder mounted: files written in one instance can be read in the other",
        (NODE, Towards::Instances),
        Method::Look(Sight::Mounts),
        Injection::SharedMount,
    )
    .needing(&[Part::Nodes]),
    class(
        ClassId::H9,
        "shared sockets",
        "a node of the source has the socket of a service that controls the target: a container engine, a runtime, \
         libvirt",
        (NODE, Towards::Instances),
        Method::Look(Sight::Sockets),
        Injection::SharedSocket,
    )
    .needing(&[Part::Nodes]),
    class(
        ClassId::H10,
        "visible processes",
        "the source sees the target's processes with their arguments and environments, and can signal them",
        (NODE, Towards::Instances),
        Method::Look(Sight::Processes),
        Injection::SharedProcess,
    )
    .needing(&[Part::Nodes]),
    Class {
        id: ClassId::H11,
        title: "exhausted resources",
        means: "the source exhausts memory, processors or disk, and the target's API server no longer answers",
        from: HOST,
        towards: Towards::Instances,
        way: Method::Probes(|_| Ok(Vec::new())),
        needs: &[Part::Nodes, Part::ApiServer],
        source_needs: &[],
        applies: always,
        on_request: Some("this would exhaust a host that is in use, and no command tests it yet"),
        injection: None,
    },
    class(
        ClassId::H12,
        "duplicated identity",
        "two nodes are taken for one: by DHCP servers, in logs, by SSH clients that trust a host key",
        (HOST, Towards::Instances),
        Method::Fact(Fact::NodeIdentities),
        Injection::SameMachineId,
    )
    .needing(&[Part::Files]),
    class(
        ClassId::H13,
        "management network",
        "the VMs of both instances share the hypervisor's management network, although their other networks are \
         separate",
        (NODE, Towards::Instances),
        Method::Probes(management),
        Injection::SharedManagement,
    )
    .needing(&[Part::Nodes, Part::Record])
    .where_it(management_network),
];

/// Whether the source's nodes have the network adapter by which a hypervisor manages them. A node without any adapter is
/// no VM.
fn managed(source: &Subject, _: Option<&Subject>) -> Applies {
    if source.management.is_some() {
        return Applies::Yes;
    }
    for node in &source.nodes {
        let Some(found) = &node.found else {
            return Applies::Unknown(format!("the network adapters of {} could not be read", node.name));
        };
        if let Some(adapter) = found.adapters.first() {
            let name = &node.name;
            return Applies::Unknown(format!(
                "{name} has the network adapter {adapter}, of which there is no record"
            ));
        }
    }
    let (nodes, name) = (source.nodes.len(), &source.name);
    Applies::No(format!("none of the {nodes} nodes of '{name}' has a network adapter of a hypervisor"))
}

/// Whether the nodes of both sides are on management networks. An adapter that leads to its hypervisor alone is on none.
fn management_network(source: &Subject, target: Option<&Subject>) -> Applies {
    for subject in [Some(source), target].into_iter().flatten() {
        let Some(network) = &subject.management else { return managed(subject, None) };
        if network.net.is_none() {
            let name = &subject.name;
            return Applies::No(format!(
                "each VM of '{name}' has an adapter to its own hypervisor process, and the host has no link to it"
            ));
        }
    }
    Applies::Yes
}

/// The three probes to an address of the host. In the control, to an address of the source's own instance.
fn three(to: IpAddr) -> [Question; 3] {
    [
        witnessed("tcp", tcp(to, TCP_PORT)),
        witnessed("udp", udp(to, UDP_PORT, SMALL)),
        answered("icmp", ping(to)),
    ]
}

/// Every address of the host except the gateway of the source, which H2 covers.
fn other_addresses(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let addresses: Vec<IpAddr> = match scene.target {
        Asked::Instance(_) => scene.everywhere(),
        Asked::Host => {
            let all = scene.host.addresses.iter().map(|(_, address)| *address);
            let gateway = scene.source.gateway().map(IpAddr::from);
            all.filter(|address| Some(*address) != gateway && routable(address)).collect()
        }
    };
    Ok(addresses.into_iter().flat_map(three).collect())
}

/// Whether a node can route to an address. IPv6 link-local addresses have no meaning on another link, and packets to
/// loopback never leave the sender.
fn routable(address: &IpAddr) -> bool {
    let on_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    !on_link && !address.is_loopback()
}

/// The witness of the host, and every other program on the host that listens on all addresses or on the gateway's.
fn listeners(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    if let Asked::Instance(_) = scene.target {
        let control = scene.everywhere().into_iter().flat_map(three);
        let listener = scene.everywhere().into_iter().map(|to| answered("listeners", tcp(to, TCP_PORT)));
        return Ok(control.chain(listener).collect());
    }
    let gateway =
        scene.source.gateway().ok_or_else(|| lack(scene.source, "an address of the host in its network"))?;
    let gateway = IpAddr::from(gateway);
    let bound = scene.host.bound.iter().filter(|at| at.ip() == gateway).map(|at| at.port());
    let ports: BTreeSet<u16> = scene.host.listeners.iter().copied().chain(bound).collect();
    let others = ports.into_iter().map(|port| answered("listeners", tcp(gateway, port)));
    Ok(three(gateway).into_iter().chain(others).collect())
}

/// Probes through the hypervisor's link: to the target's nodes, by all their addresses, and its pods; to every address
/// of the host, the target's gateway included; and to the host's listeners at the hypervisor's address.
fn pivot(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let two = |to| [witnessed("tcp", tcp(to, TCP_PORT)), witnessed("udp", udp(to, UDP_PORT, SMALL))];
    let Asked::Host = scene.target else {
        let managed = scene.nodes().filter_map(|node| node.management).filter(|_| !scene.is_control());
        let everywhere = scene.everywhere().into_iter().chain(managed.map(IpAddr::from));
        let asks = everywhere.flat_map(|to| two(to).into_iter().chain([witnessed("icmp", ping(to))]));
        // The control for the listeners of the host.
        let listeners = scene.everywhere().into_iter().filter(|_| scene.is_control());
        return Ok(asks.chain(listeners.map(|to| answered("listeners", tcp(to, TCP_PORT)))).collect());
    };
    let Some(management) = &scene.source.management else {
        return Err(lack(scene.source, "a hypervisor link"));
    };
    // VirtualBox's NAT is a part of each VM's hypervisor process: its gateway address is on no link of the host, and
    // leads to the host's loopback.
    let here = scene.viewpoint.stand() == Stand::Host && management.link.is_none();
    let behind = if management.link.is_none() { Ipv4Addr::LOCALHOST } else { management.gateway };
    let gateway = IpAddr::from(if here { behind } else { management.gateway });
    let all = scene.host.addresses.iter().map(|(_, address)| *address);
    // The source's gateway is on the source's own link, so no route through the hypervisor reaches it. H2 covers it.
    let own = scene.source.gateway().map(IpAddr::from);
    let others = all.filter(|to| *to != gateway && Some(*to) != own && routable(to));
    let asks = [gateway].into_iter().chain(others);
    let asks = asks.flat_map(|to| two(to).into_iter().chain([answered("icmp", ping(to))]));
    let everywhere = scene.host.listeners.iter().copied();
    let bound = scene.host.bound.iter().filter(|at| at.ip() == behind).map(|at| at.port());
    let listeners: BTreeSet<u16> = everywhere.chain(bound).collect();
    Ok(asks.chain(listeners.into_iter().map(|port| answered("listeners", tcp(gateway, port)))).collect())
}

/// A broadcast on the hypervisor's management network, and probes to the management addresses of the target's nodes.
/// Without another node, to the hypervisor's own end of the link: packets that leave through this link arrive there.
fn management(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let of =
        |subject: &Subject| subject.management.clone().ok_or_else(|| lack(subject, "a management network"));
    let (own, asked) = (of(scene.source)?, of(scene.instance())?);
    let link = match scene.viewpoint.stand() {
        Stand::Host => asked.link,
        _ => Some(own.node_link),
    };
    let known = |node: &NodeSubject| {
        let unknown = || MissingPart(format!("the management address of {} is unknown", node.name));
        node.management.ok_or_else(unknown)
    };
    let mut to: Vec<Ipv4Addr> = scene.nodes().map(known).collect::<Result<_, _>>()?;
    if to.is_empty() {
        to.push(asked.gateway);
    }
    let all = Ask::Group { to: (Ipv4Addr::BROADCAST, UDP_PORT).into(), link: link.clone() };
    let asks = to.into_iter().flat_map(|target| {
        let to = IpAddr::from(target);
        let arp = witnessed("arp", Ask::Arp { target, link: link.clone() });
        let rest = [witnessed("icmp", ping(to)), witnessed("udp", udp(to, UDP_PORT, SMALL))];
        let knock = syn(to, &[(TCP_PORT, TCP_PORT)]).map(|ask| witnessed("tcp", ask));
        [arp].into_iter().chain(rest).chain(knock)
    });
    Ok([witnessed("broadcast", all)].into_iter().chain(asks).collect())
}

fn metadata(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    if let Asked::Instance(_) = scene.target {
        return Ok(scene.everywhere().into_iter().map(|to| witnessed("tcp", tcp(to, TCP_PORT))).collect());
    }
    let v4 = IpAddr::from(Ipv4Addr::new(169, 254, 169, 254));
    let v6 = IpAddr::from(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));
    Ok([(v4, 80), (v4, TCP_PORT), (v6, 80)].map(|(to, port)| witnessed("tcp", tcp(to, port))).to_vec())
}

/// A DNS query for the name that exists only in the target, to the source's name server and to the target's. The query
/// carries no nonce: the name that exists only there is one fixed name.
fn names(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    if !scene.routes_to_services() {
        return Ok(Vec::new());
    }
    let (own, other) = (&scene.source.dns, &scene.instance().dns);
    let ask = |of: &Subject, server: Option<Ipv4Addr>| {
        let server = server.ok_or_else(|| lack(of, "a name server"))?;
        Ok(Ask::Dns { server: SocketAddr::from((server, 53)), name: other.only_here.clone() })
    };
    let of_source = ask(scene.source, own.server)?;
    Ok(vec![
        Question { protocol: "name server of the source", ask: of_source, proof: Proof::Address },
        answered("name server of the target", ask(scene.instance(), other.server)?),
    ])
}
