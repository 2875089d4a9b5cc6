//! Leaks by route: the guard is opened for some packets, and the host forwards them.
//!
//! The ways back need no route of the target's: what is forwarded gets the host's own address as its source.

use super::deeds::{Deeds, command};
use super::{Ground, InjectError, networks};

/// What nftables undoes a change of the guard by: the guard as it was, in one transaction.
pub(super) async fn guard(deeds: &mut Deeds, rules: &str) -> Result<(), InjectError> {
    let before = deeds.ask(&command("nft", &["--stateless", "list", "table", "inet", "homelab"])).await?;
    let back = format!("table inet homelab\ndelete table inet homelab\n{before}");
    let nft = |rules: String| command("nft", &["-f", "-"]).input(rules);
    deeds.on_host(&nft(rules.to_owned()), nft(back)).await
}

/// The host forwards from one to the other what a condition of nftables holds for, and the answers to it.
pub(super) async fn open(ground: &Ground<'_>, deeds: &mut Deeds, condition: &str) -> Result<(), InjectError> {
    let (from, to) = links(ground);
    let rules = format!(
        "{}
        insert rule inet homelab forward iifname {from} oifname {to} {condition} accept
        insert rule inet homelab forward iifname {to} oifname {from} ct state established,related accept
        {}",
        past_the_first_check(ground, condition),
        masquerade(ground)
    );
    route(ground, deeds)?;
    guard(deeds, &rules).await
}

/// The host forwards everything from one to the other, and nothing back.
pub(super) async fn one_way(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let (from, to) = links(ground);
    let rules = format!(
        "{}\ninsert rule inet homelab forward iifname {from} oifname {to} accept\n",
        past_the_first_check(ground, "")
    );
    route(ground, deeds)?;
    guard(deeds, &rules).await
}

/// The host forwards flows to the witness that begin early; then the rule comes, and flows that exist stay open.
pub(super) async fn established(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    const BEGINNINGS: &str = "tcp dport 7001 ct state new quota 4000 bytes"; // about 60 SYNs
    let (from, to) = links(ground);
    let rules = format!(
        "{}
        insert rule inet homelab forward iifname {from} oifname {to} {BEGINNINGS} accept
        insert rule inet homelab forward iifname {from} oifname {to} ct state established accept
        insert rule inet homelab forward iifname {to} oifname {from} ct state established accept
        {}",
        past_the_first_check(ground, "tcp dport 7001"),
        masquerade(ground)
    );
    route(ground, deeds)?;
    guard(deeds, &rules).await
}

/// The host forwards to pods and services of the other, by way of the node of its witness.
pub(super) async fn pods(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let target = ground.target;
    let node = target.nodes.iter().find(|node| node.name == target.pod.node);
    let missing = || InjectError::Missing { what: "the witness's node", cluster: target.name.clone() };
    let via = node.ok_or_else(missing)?.address.to_string();
    for net in [target.pod_cidr, target.service_cidr] {
        let net = net.to_string();
        let words = |verb| command("ip", &["route", verb, &net, "via", &via, "dev", &target.link]);
        deeds.on_host(&words("add"), words("del")).await?;
    }
    open(ground, deeds, &format!("ip daddr {{ {}, {} }}", target.pod_cidr, target.service_cidr)).await
}

/// Both links, as nftables takes names.
fn links(ground: &Ground<'_>) -> (String, String) {
    (format!("\"{}\"", ground.source.link), format!("\"{}\"", ground.target.link))
}

/// Past the check that a packet is for an address of its own link.
fn past_the_first_check(ground: &Ground<'_>, condition: &str) -> String {
    let ((from, _), theirs) = (links(ground), networks(ground.target));
    format!("insert rule inet homelab prerouting iifname {from} ip daddr {{ {theirs} }} {condition} accept")
}

/// The host's own address as the source.
fn masquerade(ground: &Ground<'_>) -> String {
    let (from, to) = links(ground);
    format!(
        "add chain inet homelab injected {{ type nat hook postrouting priority srcnat; }}
        add rule inet homelab injected iifname {from} oifname {to} masquerade\n"
    )
}

/// The host routes between both links.
fn route(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    for link in [&ground.source.link, &ground.target.link] {
        deeds.set(&format!("net/ipv4/conf/{link}/forwarding"), "1")?;
    }
    Ok(())
}
