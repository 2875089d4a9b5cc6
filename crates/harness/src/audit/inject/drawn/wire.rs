//! Paths on the wire: forwarded ports, cables, routers, interfaces and copies of packets.

use std::net::Ipv4Addr;

use provisioner::fabric::namespace_path;
use provisioner::plan::ClusterPlan;

use super::leak::{Traffic, Transport};
use super::proof::{Message, arrives, comes_back};
use super::spot::{Inside, Spot, node};
use crate::audit::inject::cable::{carries, copy, join, plug, spare};
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::router::{Router, forgotten};
use crate::audit::inject::switch::Switch;
use crate::audit::inject::{InjectError, Pair};
use crate::cluster::TestCluster;

fn plan(of: &TestCluster) -> &ClusterPlan {
    &of.inner().plan
}

impl Traffic {
    /// The condition of nftables for packets to this port: `tcp dport 8443`.
    fn condition(self) -> String {
        format!("{} dport {}", self.name(), self.port)
    }

    fn name(self) -> &'static str {
        match self.protocol {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// The host forwards this traffic to a node of the target; from port `near` of the source's gateway if there is one.
pub(super) async fn forward(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (traffic, near, to): (Traffic, Option<u16>, u8),
) -> Result<(), InjectError> {
    let translated = near.map(|near| (traffic.name(), near, traffic.port));
    open(pair, changes, (&traffic.condition(), to), translated).await
}

/// The host forwards one IP protocol to a node of the target.
pub(super) async fn forward_protocol(
    pair: &Pair<'_>,
    changes: &mut Changes,
    number: u8,
    to: u8,
) -> Result<(), InjectError> {
    open(pair, changes, (&format!("meta l4proto {number}"), to), None).await
}

async fn open(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (condition, to): (&str, u8),
    translated: Option<(&str, u16, u16)>,
) -> Result<(), InjectError> {
    let (ours, theirs) = (plan(pair.from).id.link(), plan(pair.to).id.link());
    let target = node(pair.to, to)?.ip();
    for link in [&ours, &theirs] {
        changes.set(&format!("ipv4/conf/{link}/forwarding"), "1").await?;
    }
    let destination = match translated {
        Some((protocol, near, far)) => {
            let gateway = plan(pair.from).gateway;
            format!(
                "chain pre {{\n type nat hook prerouting priority dstnat;\n iifname \"{ours}\" ip daddr {gateway} \
                 {protocol} dport {near} dnat to {target}:{far}\n }}\n"
            )
        }
        None => String::new(),
    };
    let rules = format!(
        "table ip drawn {{\n {destination} chain post {{\n type nat hook postrouting priority srcnat;\n \
         iifname \"{ours}\" oifname \"{theirs}\" masquerade\n }}\n}}\n"
    );
    let gone = "table ip drawn\ndelete table ip drawn\n".to_owned();
    let nft = |rules: String| command("nft", &["-f", "-"]).input(rules);
    changes.on_host(&nft(rules), nft(gone)).await?;
    let only = format!("ip daddr {target} {condition}");
    let accepted = format!(
        "insert rule inet homelab prerouting iifname \"{ours}\" {only} accept
        insert rule inet homelab forward iifname \"{ours}\" oifname \"{theirs}\" {only} accept
        insert rule inet homelab forward iifname \"{theirs}\" oifname \"{ours}\" ip saddr {target} ct state \
         established,related accept\n"
    );
    changes.change_guard(&accepted).await
}

/// Whether traffic from the source's first node gets to the target's node.
pub(super) async fn forwarded(
    pair: &Pair<'_>,
    (traffic, near, to): (Traffic, Option<u16>, u8),
) -> Result<Option<String>, InjectError> {
    let there = Inside::node(pair.to, to)?;
    let gateway = plan(pair.from).gateway;
    let address = if near.is_some() { gateway } else { there.node.ip() };
    with_route(pair, (0, to), Some([gateway, plan(pair.to).gateway]), async |here| {
        passes(
            pair,
            here,
            &there,
            (address, Traffic { port: near.unwrap_or(traffic.port), ..traffic }),
            traffic.port,
        )
        .await
    })
    .await
}

/// Whether a packet of this protocol from the source's first node gets to the link of the target's node.
pub(super) async fn protocol_forwarded(
    pair: &Pair<'_>,
    number: u8,
    to: u8,
) -> Result<Option<String>, InjectError> {
    let there = Inside::node(pair.to, to)?;
    let gateways = [plan(pair.from).gateway, plan(pair.to).gateway];
    with_route(pair, (0, to), Some(gateways), async |here| {
        // Zeroes look least like a header that a kernel on the way would refuse.
        let message = Message { header: &[0; 4], to: format!("IP4-SENDTO:{}:{number}", there.node.ip()) };
        arrives(here, &message, (&there, plan(pair.to).platform.link)).await
    })
    .await
}

/// Sends traffic from `here` to an address and port that lead to port `far` of `there`.
async fn passes(
    pair: &Pair<'_>,
    here: &Inside,
    there: &Inside,
    (address, traffic): (Ipv4Addr, Traffic),
    far: u16,
) -> Result<Option<String>, InjectError> {
    match traffic.protocol {
        Transport::Tcp => {
            let at = format!("TCP4:{address}:{},connect-timeout=1", traffic.port);
            comes_back(here, &at, (there, (there.node.ip(), far))).await
        }
        Transport::Udp => {
            let message = Message { header: &[], to: format!("UDP4-SENDTO:{address}:{}", traffic.port) };
            arrives(here, &message, (there, plan(pair.to).platform.link)).await
        }
    }
}

/// Calls `attempt` with a node of the source. Meanwhile, this node and a node of the target have a route to each other:
/// through these routers, or without one directly on their links, with fixed hardware addresses.
async fn with_route(
    pair: &Pair<'_>,
    (from, to): (u8, u8),
    routers: Option<[Ipv4Addr; 2]>,
    attempt: impl AsyncFnOnce(&Inside) -> Result<Option<String>, InjectError>,
) -> Result<Option<String>, InjectError> {
    let mut changes = Changes::on(pair);
    let tried = async {
        let (here, there) = (Inside::node(pair.from, from)?, Inside::node(pair.to, to)?);
        let sides = [(&here, pair.from, &there, pair.to, 0), (&there, pair.to, &here, pair.from, 1)];
        for (inside, own, other, others, side) in sides {
            let (link, far_link) = (plan(own).platform.link, plan(others).platform.link);
            let address = other.node.ip().to_string();
            let via = routers.map(|routers| routers[side].to_string());
            // Undone last: then the kernel knows no neighbour from this attempt.
            let known = via.as_ref().unwrap_or(&address);
            let forget = command("ip", &["neighbour", "flush", "to", known, "dev", link, "nud", "all"]);
            changes.on_node(&inside.node, &command("true", &[]), forget).await?;
            let route = match &via {
                Some(via) => vec!["route", "replace", &address, "via", via, "dev", link],
                None => vec!["route", "replace", &address, "dev", link],
            };
            let gone = command("ip", &["route", "del", &address, "dev", link]);
            changes.on_node(&inside.node, &command("ip", &route), gone).await?;
            if via.is_none() {
                let mac = other.node.read(&format!("/sys/class/net/{far_link}/address")).await?;
                let fix =
                    ["neighbour", "replace", &address, "lladdr", mac.trim(), "dev", link, "nud", "permanent"];
                let gone = command("ip", &["neighbour", "del", &address, "dev", link]);
                changes.on_node(&inside.node, &command("ip", &fix), gone).await?;
            }
        }
        attempt(&here).await
    };
    let tried = tried.await;
    let undone = changes.undo().await;
    let tried = tried?;
    undone.map_err(|left| InjectError::Attempt { left })?;
    Ok(tried)
}

/// A cable joins both bridges, and passes one EtherType.
pub(super) async fn ether_type(
    pair: &Pair<'_>,
    changes: &mut Changes,
    number: u16,
    unicast: bool,
) -> Result<(), InjectError> {
    let only = if unicast { "meta pkttype != { broadcast, multicast } " } else { "" };
    join(pair, changes, &format!("{only}meta protocol {number:#06x} accept")).await
}

/// Whether a frame from the source's first node gets to the link of the target's.
pub(super) async fn frame_passes(
    pair: &Pair<'_>,
    number: u16,
    unicast: bool,
) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::node(pair.from, 0)?, Inside::node(pair.to, 0)?);
    let (own, other) = (plan(pair.from).platform.link, plan(pair.to).platform.link);
    let source = hardware(&here, own).await?;
    let target = if unicast { hardware(&there, other).await? } else { [0xff; 6] };
    let header = [&target[..], &source, &number.to_be_bytes()].concat();
    let message = Message { header: &header, to: format!("INTERFACE:{own}") };
    arrives(&here, &message, (&there, other)).await
}

/// The hardware address of a link.
async fn hardware(at: &Inside, link: &str) -> Result<[u8; 6], InjectError> {
    let text = at.node.read(&format!("/sys/class/net/{link}/address")).await?;
    let bytes: Vec<u8> =
        text.trim().split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let missing = |_| InjectError::Missing { what: "a hardware address", cluster: at.node.name().to_owned() };
    bytes.try_into().map_err(missing)
}

/// A cable joins both bridges, and passes unicast IPv4 from and to one port.
pub(super) async fn port_cable(
    pair: &Pair<'_>,
    changes: &mut Changes,
    traffic: Traffic,
) -> Result<(), InjectError> {
    let (protocol, port) = (traffic.name(), traffic.port);
    let unicast = "meta pkttype != { broadcast, multicast } meta protocol ip";
    let filter =
        format!("{unicast} {protocol} dport {port} accept\n {unicast} {protocol} sport {port} accept");
    join(pair, changes, &filter).await
}

/// Whether traffic passes directly between the links of both first nodes.
pub(super) async fn port_passes(pair: &Pair<'_>, traffic: Traffic) -> Result<Option<String>, InjectError> {
    let there = Inside::node(pair.to, 0)?;
    with_route(pair, (0, 0), None, async |here| {
        passes(pair, here, &there, (there.node.ip(), traffic), traffic.port).await
    })
    .await
}

/// A network namespace with a link in both networks forwards one kind of traffic, or everything.
pub(super) async fn router(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (name, traffic, place): (&str, Option<Traffic>, u8),
) -> Result<(), InjectError> {
    let only = traffic.map(Traffic::condition);
    let number = &name[name.len().saturating_sub(6)..];
    let (near, far) = (format!("in-{number}"), format!("out-{number}"));
    let router = Router { name, links: [&near, &far], place, only: only.as_deref() };
    router.between(pair, changes).await
}

/// Whether traffic passes through the router. A router for everything is tried with one TCP port.
pub(super) async fn routed(
    pair: &Pair<'_>,
    traffic: Option<Traffic>,
    place: u8,
) -> Result<Option<String>, InjectError> {
    let there = Inside::node(pair.to, 0)?;
    let traffic = traffic.unwrap_or(Traffic { protocol: Transport::Tcp, port: any_port() });
    let routers = [pair.from, pair.to].map(|cluster| spare(cluster, place).addr());
    with_route(pair, (0, 0), Some(routers), async |here| {
        passes(pair, here, &there, (there.node.ip(), traffic), traffic.port).await
    })
    .await
}

/// A port that the kernel gives to no flow by itself, for proofs whose port does not matter (`ip_local_port_range`).
fn any_port() -> u16 {
    fastrand::u16(20_000..30_000)
}

/// A spot of the source gets an interface whose peer is a port of the target's bridge, with an address of its network.
pub(super) async fn interface(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (at, name, place): (Spot, &str, u8),
) -> Result<(), InjectError> {
    let inside = Inside::at(pair, pair.from, at).await?;
    let switch = Switch::of(plan(pair.to));
    forgotten(pair.to, changes, place).await?;
    plug(changes, &switch, name, &inside.path).await?;
    give_address(pair, &inside, name, place).await?;
    carries(changes, &switch, name).await
}

async fn give_address(pair: &Pair<'_>, at: &Inside, name: &str, place: u8) -> Result<(), InjectError> {
    let address = spare(pair.to, place).to_string();
    at.run("ip address add \"$0\" dev \"$1\" && ip link set \"$1\" up", &[&address, name]).await.map(drop)
}

/// A node of the source gets a macvlan interface of the target's bridge.
pub(super) async fn macvlan(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (place, name, last): (u8, &str, u8),
) -> Result<(), InjectError> {
    let inside = Inside::node(pair.from, place)?;
    let switch = Switch::of(plan(pair.to));
    forgotten(pair.to, changes, last).await?;
    let gone = command("ip", &["link", "del", name]);
    changes.on_node(&inside.node, &command("true", &[]), gone).await?;
    let path = namespace_path(&plan(pair.from).id.node_scope(inside.node.real_name())).to_string();
    let add = ["link", "add", "link", &switch.bridge, "name", name, "netns", &path, "type", "macvlan"];
    changes.ask(&switch.there("ip", &[&add[..], &["mode", "bridge"]].concat())).await?;
    give_address(pair, &inside, name, last).await
}

/// Whether a spot with such an interface reaches the target's first node.
pub(super) async fn interface_reaches(pair: &Pair<'_>, at: Spot) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::at(pair, pair.from, at).await?, Inside::node(pair.to, 0)?);
    let port = any_port();
    let address = format!("TCP4:{}:{port},connect-timeout=1", there.node.ip());
    comes_back(&here, &address, (&there, (there.node.ip(), port))).await
}

/// Each packet to this port that a node of the source sends is copied into the target's bridge.
pub(super) async fn mirror(
    pair: &Pair<'_>,
    changes: &mut Changes,
    traffic: Traffic,
) -> Result<(), InjectError> {
    let (number, port) = (number(traffic).to_string(), traffic.port.to_string());
    let matched = ["match", "ip", "protocol", &number, "0xff", "match", "ip", "dport", &port, "0xffff"];
    copy(pair, changes, &matched).await
}

/// The number of the IP protocol.
fn number(traffic: Traffic) -> u8 {
    match traffic.protocol {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// Whether a packet that the source's first node sends to its second one is on the link of the target's first node.
pub(super) async fn mirrored(pair: &Pair<'_>, traffic: Traffic) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::node(pair.from, 0)?, Inside::node(pair.to, 0)?);
    let neighbour = node(pair.from, 1)?.ip();
    let ports = [traffic.port.to_be_bytes(); 2].concat();
    let message = match traffic.protocol {
        Transport::Udp => Message { header: &[], to: format!("UDP4-SENDTO:{neighbour}:{}", traffic.port) },
        // Both ports are enough of a header: the packet has to be seen, not to be understood.
        Transport::Tcp => Message { header: &ports, to: format!("IP4-SENDTO:{neighbour}:6") },
    };
    arrives(&here, &message, (&there, plan(pair.to).platform.link)).await
}
