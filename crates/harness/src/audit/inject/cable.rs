//! Leaks by wire: cables between switches, links that a node must not have.

use std::time::Duration;

use provisioner::exec::Command;
use provisioner::fabric::namespace_path;

use super::deeds::{Deeds, command};
use super::{Ground, InjectError};
use crate::cluster::{TestCluster, TestNode};
use crate::wait::{self, Wait};

/// How long a cable may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The cable between two switches, at both its ends.
const CABLE: &str = "cable";

/// Lets only IPv6 through.
pub(super) const ONLY_IPV6: &str = "meta protocol ip6 accept";
/// Lets only multicast and broadcast UDP through.
pub(super) const ONLY_GROUPS: &str =
    "meta pkttype { multicast, broadcast } meta protocol ip meta l4proto udp accept";
/// Lets only DHCP and router advertisements through.
pub(super) const ONLY_DHCP: &str =
    "udp dport { 67, 68, 546, 547 } accept\n icmpv6 type nd-router-advert accept";

/// A command in a network namespace of ours.
fn within(namespace: &str, program: &str, words: &[&str]) -> Command {
    let enter = format!("--net={}", namespace_path(namespace));
    command("nsenter", &[&[enter.as_str(), program], words].concat())
}

fn switch(of: &TestCluster) -> String {
    of.inner().plan.id.scope()
}

fn link_of(of: &TestCluster, node: &TestNode) -> String {
    of.inner().plan.id.node_scope(node.real_name())
}

/// The node of a cluster that an injection opens: its last one, a worker where there is one.
pub(super) fn last(of: &TestCluster) -> Result<&TestNode, InjectError> {
    let cluster = of.name().to_owned();
    of.nodes().last().ok_or(InjectError::Missing { what: "a node", cluster })
}

/// Lays a cable between the switches of both. With a filter, only what it accepts goes through; it stands at both ends,
/// on what comes out of the cable, before the cable is plugged in.
pub(super) async fn join(ground: &Ground<'_>, deeds: &mut Deeds, filter: &str) -> Result<(), InjectError> {
    let (ours, theirs) = (switch(ground.from), switch(ground.to));
    let other = namespace_path(&theirs);
    let lay =
        within(&ours, "ip", &["link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", &other]);
    deeds.on_host(&lay, within(&ours, "ip", &["link", "del", CABLE])).await?;
    for end in [&ours, &theirs] {
        if !filter.is_empty() {
            let rules = format!(
                "table netdev cable {{\n chain out {{\n \
                 type filter hook ingress device \"{CABLE}\" priority 0; policy drop;\n {filter}\n }}\n}}\n"
            );
            let gone = "table netdev cable\ndelete table netdev cable\n";
            let nft = |rules: &str| within(end, "nft", &["-f", "-"]).input(rules);
            deeds.on_host(&nft(&rules), nft(gone)).await?;
        }
        deeds.ask(&within(end, "ip", &["link", "set", CABLE, "master", "br0", "up"])).await?;
    }
    for end in [&ours, &theirs] {
        carries(deeds, end, CABLE).await?;
    }
    Ok(())
}

/// Waits until a port of a switch passes frames on: the kernel looks at carriers once in a second only.
async fn carries(deeds: &Deeds, switch: &str, port: &str) -> Result<(), InjectError> {
    let show = within(switch, "bridge", &["link", "show", "dev", port]);
    let carries = wait::until(format!("port {port}"), PATIENCE, async || {
        let shown = deeds.ask(&show).await?;
        let forwards = shown.contains("state forwarding");
        Ok::<_, InjectError>(if forwards { Wait::Done(()) } else { Wait::NotYet(shown) })
    });
    carries.await.map_err(|source| InjectError::Carrier(Box::new(source)))
}

/// Gives a node a second link, with an address there, into the other's switch.
pub(super) async fn extra_link(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let (node, switch) = (link_of(ground.from, last(ground.from)?), switch(ground.to));
    let inside = namespace_path(&node);
    let lay = ["link", "add", "extra", "type", "veth", "peer", "name", "extra", "netns", &inside];
    deeds.on_host(&within(&switch, "ip", &lay), within(&switch, "ip", &["link", "del", "extra"])).await?;
    deeds.ask(&within(&switch, "ip", &["link", "set", "extra", "master", "br0", "up"])).await?;
    let address = format!("{}/{}", spare(ground), ground.target.subnet.prefix_len());
    deeds.ask(&within(&node, "ip", &["address", "add", &address, "dev", "extra"])).await?;
    deeds.ask(&within(&node, "ip", &["link", "set", "extra", "up"])).await?;
    carries(deeds, &switch, "extra").await
}

/// An address of the target's network that nobody has: the last one before the broadcast address.
fn spare(ground: &Ground<'_>) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(ground.target.subnet.broadcast().to_bits() - 1)
}

/// Gives a link of a node the MAC address of a node of the other.
pub(super) async fn same_mac(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let theirs = link_of(ground.to, last(ground.to)?);
    let shown = deeds.ask(&within(&theirs, "ip", &["-oneline", "link", "show", "dev", "eth0"])).await?;
    let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
    let missing = || InjectError::Missing { what: "a MAC address", cluster: ground.to.name().to_owned() };
    let mac = mac.ok_or_else(missing)?;
    let node = link_of(ground.from, last(ground.from)?);
    let add = ["link", "add", "same0", "address", mac, "type", "veth", "peer", "name", "same1"];
    deeds.on_host(&within(&node, "ip", &add), within(&node, "ip", &["link", "del", "same0"])).await
}
