//! Injections on the link layer: cables (veth pairs) between bridges, and extra links of nodes.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use provisioner::fabric::namespace_path;
use provisioner::slowdown::Slowdown;

use super::changes::{Changes, command};
use super::switch::Switch;
use super::{InjectError, Pair, vms};
use crate::cluster::{TestCluster, TestNode};
use crate::wait::{self, Wait};

/// The deadline for a bridge to forward on the new port. A bridge with a spanning tree first listens and learns for
/// half a minute (IEEE 802.1D, twice the forward delay).
const TIMEOUT: Duration = Duration::from_secs(40);

/// The names of the two ends of a cable.
const ENDS: [&str; 2] = ["cable0", "cable1"];

/// The filter that accepts only IPv6.
pub(super) const ONLY_IPV6: &str = "meta protocol ip6 accept";
/// The filter that accepts only multicast and broadcast UDP.
pub(super) const ONLY_GROUPS: &str =
    "meta pkttype { multicast, broadcast } meta protocol ip meta l4proto udp accept";
/// The filter that accepts only frames of an EtherType for experiments (IEEE 802, clause 9.2.3).
pub(super) const ONLY_AN_ETHER_TYPE: &str = "meta protocol 0x88b5 accept";
/// The match of every TCP packet, for [`copy`].
pub(super) const EVERY_TCP: &[&str] = &["match", "ip", "protocol", "6", "0xff"];
/// The filter that accepts nothing.
pub(super) const NOTHING: &str = "counter drop";
/// The filter that accepts only DHCP and router advertisements.
pub(super) const ONLY_DHCP: &str =
    "udp dport { 67, 68, 546, 547 } accept\n icmpv6 type nd-router-advert accept";

/// The node of a cluster in which injections are applied: the last one, which is a worker where there is one.
pub(super) fn last(of: &TestCluster) -> Result<&TestNode, InjectError> {
    let cluster = of.name().to_owned();
    of.nodes().last().ok_or(InjectError::Missing { what: "a node", cluster })
}

/// Adds a cable between the bridges of both clusters. A filter that is not empty is set on the ingress of both ends
/// before they become ports of the bridges, so that only packets that it accepts pass.
pub(super) async fn join(pair: &Pair<'_>, changes: &mut Changes, filter: &str) -> Result<(), InjectError> {
    let of = |cluster: &TestCluster| Switch::of(&cluster.inner().plan);
    lay(changes, &[of(pair.from), of(pair.to)], filter).await
}

/// Adds a cable between the management networks of both clusters' VMs.
pub(super) async fn join_managements(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let of = |cluster: &TestCluster| Switch::management(&cluster.inner().plan);
    lay(changes, &[of(pair.from), of(pair.to)], "").await
}

async fn lay(changes: &mut Changes, switches: &[Switch; 2], filter: &str) -> Result<(), InjectError> {
    let [ours, theirs] = switches;
    lay_between(changes, ours, theirs).await?;
    for (switch, end) in switches.iter().zip(ENDS) {
        if !filter.is_empty() {
            let rules = format!(
                "table netdev {end} {{\n chain out {{\n \
                 type filter hook ingress device \"{end}\" priority 0; policy drop;\n {filter}\n }}\n}}\n"
            );
            let gone = format!("table netdev {end}\ndelete table netdev {end}\n");
            let nft = |rules: String| switch.there("nft", &["-f", "-"]).input(rules);
            changes.on_host(&nft(rules), nft(gone)).await?;
        }
        changes.ask(&switch.there("ip", &["link", "set", end, "master", &switch.bridge, "up"])).await?;
    }
    for (switch, end) in switches.iter().zip(ENDS) {
        carries(changes, switch, end).await?;
    }
    Ok(())
}

/// Copies each packet that a node of the source sends and that `matched` (of the filter u32) matches into the bridge of
/// the target. The cable is no port of the source's bridge, so nothing else passes.
pub(super) async fn copy(
    pair: &Pair<'_>,
    changes: &mut Changes,
    matched: &[&str],
) -> Result<(), InjectError> {
    let of = |cluster: &TestCluster| Switch::of(&cluster.inner().plan);
    let (ours, theirs) = (of(pair.from), of(pair.to));
    let ports = changes.ask(&ours.there("ip", &["-oneline", "link", "show", "master", &ours.bridge])).await?;
    lay_between(changes, &ours, &theirs).await?;
    changes.ask(&ours.there("ip", &["link", "set", ENDS[0], "up"])).await?;
    changes.ask(&theirs.there("ip", &["link", "set", ENDS[1], "master", &theirs.bridge, "up"])).await?;
    // Otherwise the target's bridge learns that the source's nodes are behind the cable, and sends their frames nowhere.
    changes.ask(&theirs.there("bridge", &["link", "set", "dev", ENDS[1], "learning", "off"])).await?;
    carries(changes, &theirs, ENDS[1]).await?;
    // A line is `5: port-10@if6: <BROADCAST,…`.
    for port in ports.lines().filter_map(|line| line.split_whitespace().nth(1)?.split(['@', ':']).next()) {
        let qdisc = |verb| ours.there("tc", &["qdisc", verb, "dev", port, "ingress"]);
        changes.on_host(&qdisc("add"), qdisc("del")).await?;
        let to = ["action", "mirred", "egress", "mirror", "dev", ENDS[0]];
        let filter = ["filter", "add", "dev", port, "parent", "ffff:", "protocol", "ip", "u32"];
        let filter = [&filter[..], matched, &to].concat();
        changes.ask(&ours.there("tc", &filter)).await?;
    }
    Ok(())
}

/// Adds a cable between the namespaces of two bridges. Its ends are no ports yet.
async fn lay_between(changes: &mut Changes, ours: &Switch, theirs: &Switch) -> Result<(), InjectError> {
    let other = theirs.path();
    let cable = ["link", "add", ENDS[0], "type", "veth", "peer", "name", ENDS[1], "netns", &other];
    changes.on_host(&ours.there("ip", &cable), ours.there("ip", &["link", "del", ENDS[0]])).await
}

/// Waits until a port of a bridge forwards frames. The kernel updates the carrier state at most once in a second.
pub(super) async fn carries(changes: &Changes, switch: &Switch, port: &str) -> Result<(), InjectError> {
    let show = switch.there("bridge", &["link", "show", "dev", port]);
    let carries = wait::until(format!("port {port}"), Slowdown::of_host().stretch(TIMEOUT), async || {
        let shown = changes.ask(&show).await?;
        let forwards = shown.contains("state forwarding");
        Ok::<_, InjectError>(if forwards { Wait::Done(()) } else { Wait::NotYet(shown) })
    });
    carries.await.map_err(|source| InjectError::Carrier(Box::new(source)))
}

/// Adds a link to a node of the source, into the bridge of the target, with an address of the target's network.
pub(super) async fn extra_link(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let node = last(pair.from)?;
    let link = if pair.from.inner().plan.engine.is_virtual() {
        vms::adapter(pair, changes, node).await?
    } else {
        extra_cable(pair, changes, node).await?
    };
    let address = spare(pair.to, 0).to_string();
    node.run(&command("ip", &["address", "add", &address, "dev", &link])).await?;
    node.run(&command("ip", &["link", "set", &link, "up"])).await?;
    Ok(())
}

async fn extra_cable(pair: &Pair<'_>, changes: &mut Changes, node: &TestNode) -> Result<String, InjectError> {
    const EXTRA: &str = "extra";
    let switch = Switch::of(&pair.to.inner().plan);
    let inside = namespace_path(&pair.from.inner().plan.id.node_scope(node.real_name())).to_string();
    plug(changes, &switch, EXTRA, &inside).await?;
    Ok(EXTRA.to_owned())
}

/// Adds a port to a bridge. Its other end has the same name, and is in the network namespace with this path.
pub(super) async fn plug(
    changes: &mut Changes,
    switch: &Switch,
    name: &str,
    netns: &str,
) -> Result<(), InjectError> {
    let lay = ["link", "add", name, "type", "veth", "peer", "name", name, "netns", netns];
    changes.on_host(&switch.there("ip", &lay), switch.there("ip", &["link", "del", name])).await?;
    changes.ask(&switch.there("ip", &["link", "set", name, "master", &switch.bridge, "up"])).await.map(drop)
}

/// An unused address in an instance's network, by its place before the broadcast address, from 0: `192.168.60.254/24`.
/// Pure.
pub(super) fn spare(of: &TestCluster, place: u8) -> Ipv4Net {
    let subnet = of.inner().plan.subnet;
    let address = Ipv4Addr::from_bits(subnet.broadcast().to_bits() - 1 - u32::from(place));
    Ipv4Net::new_assert(address, subnet.prefix_len())
}

/// Adds a link to a node of the source, with the MAC address of a node of the target.
pub(super) async fn same_mac(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let mac = format!("/sys/class/net/{}/address", pair.to.inner().plan.platform.link);
    let mac = last(pair.to)?.read(&mac).await?;
    let add = ["link", "add", "same0", "address", mac.trim(), "type", "veth", "peer", "name", "same1"];
    changes.on_node(last(pair.from)?, &command("ip", &add), command("ip", &["link", "del", "same0"])).await
}
