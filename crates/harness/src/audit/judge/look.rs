//! Compares the inspection of a node with those of the target's nodes: an object that both see is shared.
//!
//! What identifies an object depends on the kind of inspection:
//!
//! - a mount: device, inode and root, `8:1 2 rw / /mnt ext4 /dev/sda1`
//! - a socket: its file, `8:1 40 /run/a.sock /run`
//! - a process: its pid namespace, `1 pause pid:[4026531836]`
//! - a link: each of its MAC addresses.
//!
//! Device, inode and namespace numbers are valid within one kernel only, so they are compared where both sides report
//! the same boot id. On different kernels, only objects that lead out of a VM are compared.

mod links;
mod mounts;
mod sockets;

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use probe::{Answer, ProbeOutcome};

use super::outcome;
use crate::audit::class::ClassId;
use crate::audit::verdict::Judgement;

/// The inspections of both sides.
pub(super) struct Looks<'a> {
    pub(super) class: ClassId,
    pub(super) here: Option<&'a Answer>,
    pub(super) there: Vec<Option<&'a Answer>>,
    /// Whether the nodes of both sides are containers, which run on one kernel.
    pub(super) one_kernel: bool,
    /// The links that the source's nodes were given.
    pub(super) adapters: Vec<Adapter<'a>>,
    /// The target's networks.
    pub(super) networks: Vec<Ipv4Net>,
}

/// A link that a node was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adapter<'a> {
    pub(super) link: &'a str,
    /// The network of its addresses; `None` where the hypervisor chooses them.
    pub(super) net: Option<Ipv4Net>,
}

/// The inspection of one node.
struct Side {
    /// The boot id of its kernel; `None` where the prober could not read it.
    boot: Option<String>,
    lines: Vec<String>,
}

pub(super) fn judge(looks: &Looks<'_>) -> Judgement {
    let here = match side(looks.here) {
        Ok(side) => side,
        Err(why) => return Judgement::inconclusive(format!("the inspection at the source failed: {why}")),
    };
    let there: Result<Vec<_>, _> = looks.there.iter().map(|answer| side(*answer)).collect();
    let there = match there {
        Ok(sides) if !sides.is_empty() => sides,
        Ok(_) => return Judgement::inconclusive("no node of the target was inspected"),
        Err(why) => return Judgement::inconclusive(format!("the inspection at the target failed: {why}")),
    };
    let all = |sides: &[Side]| sides.iter().flat_map(|side| side.lines.clone()).collect::<Vec<_>>();
    match looks.class {
        ClassId::L5 => return links::judge(&here.lines, &looks.adapters, &looks.networks),
        ClassId::L7 => return shared(&here.lines, &all(&there), macs),
        _ => {}
    }
    let boot = |side: &Side| side.boot.clone();
    let (Some(own), Some(others)) = (boot(&here), there.iter().map(boot).collect::<Option<Vec<_>>>()) else {
        return Judgement::inconclusive("a node did not report the boot id of its kernel");
    };
    if looks.one_kernel && others.iter().any(|other| *other != own) {
        return Judgement::inconclusive("containers on one host report different kernels");
    }
    let (same, apart): (Vec<Side>, Vec<Side>) =
        there.into_iter().partition(|side| side.boot.as_ref() == Some(&own));
    let within = (!same.is_empty()).then(|| within_a_kernel(looks.class, &here.lines, &all(&same)));
    let across = (!apart.is_empty()).then(|| across_kernels(looks.class, &here.lines, &all(&apart)));
    let worst = within.into_iter().chain(across).max_by_key(|judgement| judgement.verdict);
    worst.unwrap_or_else(|| Judgement::inconclusive("no node of the target was inspected"))
}

fn within_a_kernel(class: ClassId, here: &[String], there: &[String]) -> Judgement {
    match class {
        ClassId::H9 => sockets::judge(here, there),
        ClassId::H10 => shared(here, there, namespaces),
        _ => mounts::judge(here, there),
    }
}

fn across_kernels(class: ClassId, here: &[String], there: &[String]) -> Judgement {
    match class {
        ClassId::H9 => sockets::across(here, there),
        ClassId::H10 => {
            let read = |lines: &[String]| lines.iter().any(|line| !namespaces(line).is_empty());
            if !read(here) || !read(there) {
                return Judgement::inconclusive("the inspection found nothing to compare");
            }
            Judgement::isolated(
                "source and target run on different kernels (boot ids): no process is visible on both",
            )
        }
        _ => mounts::across(here, there),
    }
}

/// The lines of an inspection. An empty inspection has failed: every node has a mount, a process and a link.
fn side(answer: Option<&Answer>) -> Result<Side, String> {
    match outcome(answer)? {
        ProbeOutcome::Seen { lines, .. } if lines.is_empty() => Err("it returned no lines".to_owned()),
        ProbeOutcome::Seen { boot, lines } => Ok(Side { boot: boot.clone(), lines: lines.clone() }),
        _ => Err("the answer does not match the probe".to_owned()),
    }
}

fn shared(here: &[String], there: &[String], keys: fn(&str) -> Vec<String>) -> Judgement {
    let of = |side: &[String]| side.iter().flat_map(|line| keys(line)).collect::<BTreeSet<_>>();
    let (ours, theirs) = (of(here), of(there));
    if ours.is_empty() || theirs.is_empty() {
        return Judgement::inconclusive("the inspection found nothing to compare");
    }
    let both: Vec<&String> = ours.intersection(&theirs).collect();
    let Some(first) = both.first() else {
        return Judgement::isolated(format!(
            "{} at the source, {} at the target, none in common",
            ours.len(),
            theirs.len()
        ));
    };
    let shows = |line: &&String| keys(line).contains(first);
    let line = here.iter().find(shows).map_or(first.as_str(), String::as_str);
    Judgement::leak(format!("both sides see {line} ({} in common)", both.len()))
}

fn namespaces(line: &str) -> Vec<String> {
    line.split_whitespace().filter(|word| word.starts_with("pid:[")).map(str::to_owned).collect()
}

/// All MAC addresses of a line except those of loopback and broadcast.
fn macs(line: &str) -> Vec<String> {
    let is_mac = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
    };
    let words = line.split_whitespace().filter(is_mac).map(str::to_lowercase);
    words.filter(|mac| !["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"].contains(&mac.as_str())).collect()
}

#[cfg(test)]
mod tests;
