//! Compares what a node sees with what the nodes of the target see: what both see is shared.
//!
//! What must not be on both sides depends on the sight: a mount by device, inode and root
//! (`8:1 2 rw / /mnt ext4 /dev/sda1`), a socket by its file (`8:1 40 /run/a.sock /run`), the pid namespace of a process
//! (`1 pause pid:[4026531836]`), any MAC address of a link.

mod mounts;
mod sockets;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use probe::{Answer, Outcome};

use super::outcome;
use crate::audit::class::ClassId;
use crate::audit::verdict::Judgement;

/// What both sides saw.
pub(super) struct Looks<'a> {
    pub(super) class: ClassId,
    pub(super) here: Option<&'a Answer>,
    pub(super) there: Vec<Option<&'a Answer>>,
    /// The target's networks.
    pub(super) networks: Vec<Ipv4Net>,
}

/// The links of a node whose name is always the same: its own, and what the kernel puts into each network namespace for
/// tunnels that nobody uses (`fb_tunnels_only_for_init_net`, Documentation/admin-guide/sysctl/net.rst).
const LINKS: [&str; 11] = [
    "lo", "eth0", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0",
];

pub(super) fn judge(looks: &Looks<'_>) -> Judgement {
    let here = match lines(looks.here) {
        Ok(lines) => lines,
        Err(why) => return Judgement::inconclusive(format!("the look from the source failed: {why}")),
    };
    let there: Result<Vec<_>, _> = looks.there.iter().map(|answer| lines(*answer)).collect();
    let there = match there {
        Ok(sides) if !sides.is_empty() => sides.concat(),
        Ok(_) => return Judgement::inconclusive("nobody looked from the target"),
        Err(why) => return Judgement::inconclusive(format!("the look from the target failed: {why}")),
    };
    match looks.class {
        ClassId::L5 => links(&here, &looks.networks),
        ClassId::L7 => shared(&here, &there, macs),
        ClassId::H9 => sockets::judge(&here, &there),
        ClassId::H10 => shared(&here, &there, namespaces),
        _ => mounts::judge(&here, &there),
    }
}

/// A side that sees nothing at all did not look: there is always a mount, a process, a link.
fn lines(answer: Option<&Answer>) -> Result<Vec<String>, String> {
    match outcome(answer)? {
        Outcome::Seen { lines } if lines.is_empty() => Err("it saw nothing at all".to_owned()),
        Outcome::Seen { lines } => Ok(lines.clone()),
        _ => Err("the answer is none to this question".to_owned()),
    }
}

fn shared(here: &[String], there: &[String], keys: fn(&str) -> Vec<String>) -> Judgement {
    let of = |side: &[String]| side.iter().flat_map(|line| keys(line)).collect::<BTreeSet<_>>();
    let (ours, theirs) = (of(here), of(there));
    if ours.is_empty() || theirs.is_empty() {
        return Judgement::inconclusive("nothing that could be compared was seen");
    }
    let both: Vec<&String> = ours.intersection(&theirs).collect();
    let Some(first) = both.first() else {
        return Judgement::isolated(format!(
            "{} on one side, {} on the other, none on both",
            ours.len(),
            theirs.len()
        ));
    };
    let shows = |line: &&String| keys(line).contains(first);
    let line = here.iter().find(shows).map_or(first.as_str(), String::as_str);
    Judgement::leak(format!("both see {line} ({} in common)", both.len()))
}

fn namespaces(line: &str) -> Vec<String> {
    line.split_whitespace().filter(|word| word.starts_with("pid:[")).map(str::to_owned).collect()
}

/// All MAC addresses of a line but that of loopback and that for everybody.
fn macs(line: &str) -> Vec<String> {
    let is_mac = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
    };
    let words = line.split_whitespace().filter(is_mac).map(str::to_lowercase);
    words.filter(|mac| !["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"].contains(&mac.as_str())).collect()
}

fn links(here: &[String], networks: &[Ipv4Net]) -> Judgement {
    if networks.is_empty() {
        return Judgement::inconclusive("the target's networks are unknown");
    }
    for line in here {
        let words = line.split_whitespace();
        let addresses = words.filter_map(|word| word.split('/').next()?.parse::<Ipv4Addr>().ok());
        for address in addresses {
            if let Some(network) = networks.iter().find(|network| network.contains(&address)) {
                return Judgement::leak(format!("a link has {address}, which is in {network}: {line}"));
            }
        }
    }
    let names: BTreeSet<&str> = here.iter().filter_map(|line| line.split_whitespace().next()).collect();
    let unknown = names.iter().find(|name| !LINKS.contains(name) && !stays_here(here, name));
    match unknown {
        Some(name) => Judgement::inconclusive(format!("nobody knows why there is a link like this: {name}")),
        None => Judgement::isolated(format!("{} links, all of them its own", names.len())),
    }
}

/// A cable whose other end is on the same node: beside it, or in the namespace of a process that the node sees, as a
/// pod's is. Its name says nothing, and a cable of which nobody has the other end may lead anywhere.
fn stays_here(lines: &[String], name: &str) -> bool {
    lines.iter().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" ends ")))
}

#[cfg(test)]
mod tests;
