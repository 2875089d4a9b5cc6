//! Judges what the target's witnesses heard without a question (L9).
//!
//! A witness reports each kind of frame that arrives on its links. The plan says which systems belong there, so a frame
//! of any other one is a finding, with or without a nonce. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use probe::{Arrival, Mac, Peer};

use crate::audit::declared::{DeclaredPath, DeclaredProtocol};
use crate::audit::ipv6;
use crate::audit::subject::{HostSubject, Subject};
use crate::audit::verdict::Judgement;
use crate::audit::viewpoint::Viewpoint;

/// What the witnesses of a target heard in a run.
pub(super) struct Heard<'a> {
    pub(super) source: &'a Subject,
    pub(super) target: &'a Subject,
    pub(super) host: &'a HostSubject,
    /// The arrivals of probes at the target's witnesses, each with its witness and its sender, the controls of other
    /// cells included.
    pub(super) arrivals: Vec<(&'a str, &'a Arrival, &'a Viewpoint)>,
    /// The kinds of frames, each with its witness.
    pub(super) frames: Vec<(&'a str, &'a Peer)>,
    /// Why the silence of a witness proves nothing.
    pub(super) doubt: Option<String>,
    /// The paths from the source to the target that are open on purpose.
    pub(super) declared: Vec<&'a DeclaredPath>,
}

pub(super) fn judge(heard: &Heard<'_>) -> Judgement {
    let Heard { source, target, .. } = heard;
    let of_source = heard.arrivals.iter().filter(|(.., from)| from.instance() == Some(source.name.as_str()));
    let mut declared = BTreeSet::new();
    for (witness, arrival, from) in of_source {
        if let Some(path) = heard.declared.iter().find(|path| on_path(path, arrival)) {
            declared.insert(path.to_string());
            continue;
        }
        return Judgement::leak(format!(
            "{} of {from} arrived as {} at witness {witness}",
            arrival.nonce, arrival.protocol
        ));
    }
    let theirs = |peer: &Peer| {
        let by_mac = peer.mac.is_some_and(|mac| is_node(source, mac) && !is_node(target, mac));
        // A routed frame has no port, so the addresses of a source with a declared path are judged by its probes.
        let from = peer.from.filter(|_| heard.declared.is_empty());
        by_mac || from.is_some_and(|address| belongs(source, address) && !belongs(target, address))
    };
    if let Some((witness, peer)) = heard.frames.iter().find(|(_, peer)| theirs(peer)) {
        return Judgement::leak(format!("{} arrived at witness {witness}", words(peer)));
    }
    if let Some(why) = heard.doubt.clone().or_else(|| deaf(heard)) {
        return Judgement::inconclusive(why);
    }
    let no_leak = |why: String| match declared.is_empty() {
        true => Judgement::isolated(why),
        false => {
            let words = declared.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
            Judgement::expected(format!("probes of the source arrived by declared paths only: {words}"))
        }
    };
    if target.uplink.is_none() {
        return no_leak(format!(
            "{} kinds of frames arrived, none of the source; which other systems belong on the links of '{}' is not known",
            heard.frames.len(),
            target.name
        ));
    }
    let strange = |witness: &str, peer: &Peer| {
        let unknown = |mac| target.macs().all(|own| own != mac);
        is_on_link(target, witness, peer)
            && (peer.mac.is_some_and(unknown) || peer.from.is_some_and(|from| !is_expected(heard, from)))
    };
    if let Some((witness, peer)) = heard.frames.iter().find(|(witness, peer)| strange(witness, peer)) {
        return Judgement::inconclusive(format!(
            "{} arrived at witness {witness}, and no such system is planned on this link",
            words(peer)
        ));
    }
    no_leak(format!(
        "{} kinds of frames arrived, all of the target itself and of the host",
        heard.frames.len()
    ))
}

/// Whether a probe arrived on a declared path.
fn on_path(path: &DeclaredPath, arrival: &Arrival) -> bool {
    let protocol = match arrival.protocol.as_str() {
        "tcp" => DeclaredProtocol::Tcp,
        "udp" => DeclaredProtocol::Udp,
        _ => return false,
    };
    let to = arrival.to.as_deref().and_then(|to| to.parse().ok());
    to.is_some_and(|to| path.covers(protocol, to))
}

/// The control: each witness of a node hears its own cluster, or the host. `None` where all do.
fn deaf(heard: &Heard<'_>) -> Option<String> {
    let Heard { target, frames, .. } = heard;
    let hears = |witness: &str| {
        let own = |peer: &Peer| peer.mac.is_some_and(|mac| target.macs().any(|own| own == mac));
        frames.iter().any(|(at, peer)| *at == witness && is_on_link(target, at, peer) && own(peer))
    };
    let deaf = target.nodes.iter().find(|node| !hears(&node.witness))?;
    Some(format!(
        "the control failed: witness {} heard no frame of its own cluster or the host",
        deaf.witness
    ))
}

/// Whether a frame arrived on a link of the target's network, and not on one inside a node.
fn is_on_link(target: &Subject, witness: &str, peer: &Peer) -> bool {
    let link = peer.link.as_deref();
    target.nodes.iter().any(|node| node.witness == witness && link == Some(node.link.as_str()))
}

fn is_node(subject: &Subject, mac: Mac) -> bool {
    subject.nodes.iter().any(|node| node.macs.contains(&mac))
}

/// Whether an address is one of the subject's, or in one of its networks.
fn belongs(subject: &Subject, address: IpAddr) -> bool {
    let in_network = match address {
        IpAddr::V4(address) => super::networks(subject).iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            subject.uplink.as_ref().is_some_and(|uplink| ipv6::network(uplink.subnet).contains(&address))
        }
    };
    in_network || super::addresses(subject).contains(&address)
}

/// Whether a frame on the target's link may come from this address: one of the target's or the host's, one of a source
/// with a declared path, or one that a system uses before it has another one (RFC 4862, section 5.4; RFC 4291, section 2.5.6).
fn is_expected(heard: &Heard<'_>, from: IpAddr) -> bool {
    let of_link = match from {
        IpAddr::V4(from) => from.is_unspecified() || Some(from) == heard.target.gateway(),
        IpAddr::V6(from) => from.is_unspecified() || from.is_unicast_link_local(),
    };
    let on_path = !heard.declared.is_empty() && belongs(heard.source, from);
    of_link
        || on_path
        || belongs(heard.target, from)
        || heard.host.addresses.iter().any(|(_, own)| *own == from)
}

/// A kind of frame as the subject of a sentence: `a frame (0x0800) of 02:00:c0:a8:3c:0a from 192.168.60.10 to 10.1.0.7`.
fn words(peer: &Peer) -> String {
    let of = peer.mac.map_or(String::new(), |mac| format!(" of {mac}"));
    let from = peer.from.map_or(String::new(), |from| format!(" from {from}"));
    let to = peer.to.map_or(String::new(), |to| format!(" to {to}"));
    let vlan = peer.vlan.map_or(String::new(), |vlan| format!(", VLAN {vlan}"));
    format!("a frame (0x{:04x}{vlan}){of}{from}{to}", peer.ether_type)
}

#[cfg(test)]
mod tests;
