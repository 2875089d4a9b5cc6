//! Judges classes that need no probe, by the known facts of the host and the instances.

use std::collections::BTreeSet;

use provisioner::identity::CHAIN;

use super::{differences, structure};
use crate::audit::cells::Plan;
use crate::audit::class::Fact;
use crate::audit::subject::{After, HostSubject, Kernel, NodeIdentity, Property, Subject};
use crate::audit::verdict::Judgement;

/// The facts for one judgement.
pub(super) struct Known<'a> {
    pub(super) source: &'a Subject,
    /// `None` where the host is the target.
    pub(super) target: Option<&'a Subject>,
    pub(super) plan: &'a Plan,
    pub(super) after: &'a After,
}

pub(super) fn judge(fact: Fact, known: &Known<'_>) -> Judgement {
    let Known { source, plan, after, .. } = *known;
    match (fact, known.target) {
        (Fact::RouteLocalnet, _) => route_localnet(&plan.host),
        (Fact::Left, _) => none_of(after.left.as_deref(), "left behind"),
        (Fact::Registry, _) => none_of(plan.host.disagreements.as_deref(), "different from the registry"),
        (Fact::Structure(kind), target) => {
            differences::judge(kind, (source, target), &plan.subjects, after.structure.as_ref())
        }
        (_, None) => Judgement::inconclusive("the target is unknown"),
        (Fact::Forwards, Some(target)) => forwards(&plan.host, target),
        (Fact::NodeIdentities, Some(target)) => identities(source, target),
        (Fact::Keys, Some(target)) => keys(source, target),
        (Fact::Identity, Some(target)) => identity(source, target),
        (Fact::Stores, Some(target)) => stores(source, target),
        (Fact::Secrets, Some(target)) => secrets(source, target),
        (Fact::Inherited, Some(_)) => inherited(source, after),
        (Fact::Destroyed, Some(target)) => destroyed(source, target, after),
        (Fact::Networks, Some(target)) => structure::networks(source, target, &plan.host),
        (Fact::Authorities, Some(target)) => structure::authorities(source, target),
    }
}

/// Judges a list that must be empty, and must have been read. `what` describes its objects: `left behind`.
fn none_of(list: Option<&[String]>, what: &str) -> Judgement {
    match list {
        None => Judgement::inconclusive(format!("no check was made for objects {what}")),
        Some([]) => Judgement::isolated(format!("no object is {what}")),
        Some(found) => Judgement::leak(format!("{what}: {}", found.join("; "))),
    }
}

/// The host-wide setting counts, and the setting of each link: the kernel uses the larger value (ip-sysctl).
fn route_localnet(host: &HostSubject) -> Judgement {
    let all = "net.ipv4.conf.all.route_localnet";
    let mut links: BTreeSet<&str> = host.addresses.iter().map(|(link, _)| link.as_str()).collect();
    links.remove("lo");
    if links.is_empty() {
        return Judgement::inconclusive("the host's links are unknown");
    }
    let keys = links.iter().map(|link| format!("net.ipv4.conf.{link}.route_localnet"));
    for key in keys.chain([all.to_owned()]) {
        match host.settings.get(&key).map(String::as_str) {
            Some("0") => {}
            Some(value) => return Judgement::leak(format!("{key} is {value}")),
            None => return Judgement::inconclusive(format!("{key} was not read")),
        }
    }
    Judgement::isolated(format!("route_localnet is 0 on all {} links", links.len()))
}

fn forwards(host: &HostSubject, target: &Subject) -> Judgement {
    let Some(forwards) = &host.forwards else {
        return Judgement::inconclusive("the host's forwarded ports could not be read");
    };
    let inside = |address: &std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => super::networks(target).iter().any(|net| net.contains(address)),
        std::net::IpAddr::V6(_) => super::addresses(target).contains(address),
    };
    match forwards.iter().find(|(_, to)| inside(&to.ip())) {
        Some((listen, to)) => Judgement::leak(format!("{listen} of the host leads to {to}")),
        None => Judgement::isolated(format!(
            "none of the host's {} forwarded ports leads to the target",
            forwards.len()
        )),
    }
}

/// All nodes of an instance with their identities; `None` when one identity could not be read.
fn of_nodes(subject: &Subject) -> Option<Vec<(&str, &NodeIdentity)>> {
    subject.nodes.iter().map(|node| Some((node.name.as_str(), node.machine.as_ref()?))).collect()
}

/// The insecure public keys that Vagrant's boxes contain, whose private keys are published (its repository, `keys/`).
const EVERYBODYS: [&str; 2] = [
    "AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct",
    "AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9hXGoqiysfJOn5Y",
];

/// An SSH key that nodes of both instances accept opens both. The control: each node accepts at least one key.
fn keys(source: &Subject, target: &Subject) -> Judgement {
    let (Some(ours), Some(theirs)) = (of_nodes(source), of_nodes(target)) else {
        return Judgement::inconclusive("the SSH keys that a node accepts could not be read");
    };
    if let Some((node, _)) = ours.iter().chain(&theirs).find(|(_, machine)| machine.lets_in.is_empty()) {
        return Judgement::inconclusive(format!(
            "the control failed: {node} accepts no SSH key, not even its own"
        ));
    }
    let known = |key: &str| EVERYBODYS.iter().any(|known| key.contains(known));
    for (node, machine) in &theirs {
        if machine.lets_in.iter().any(|key| known(key)) {
            return Judgement::leak(format!("{node} accepts the insecure SSH key that Vagrant publishes"));
        }
        for (own, ours) in &ours {
            if ours.lets_in.iter().any(|key| machine.lets_in.contains(key)) {
                return Judgement::leak(format!("one SSH key opens {own} and {node}"));
            }
        }
    }
    Judgement::isolated(format!("{} and {} nodes, which accept different SSH keys", ours.len(), theirs.len()))
}

fn identities(source: &Subject, target: &Subject) -> Judgement {
    let of = of_nodes;
    let (Some(ours), Some(theirs)) = (of(source), of(target)) else {
        return Judgement::inconclusive("a node's machine id, UID or host keys could not be read");
    };
    for (node, machine) in &ours {
        if machine.machine_id.is_empty() || machine.node_uid.is_empty() {
            return Judgement::inconclusive(format!("{node} has no machine id or no UID"));
        }
        if source.kernel == Kernel::Own && (machine.host_keys.is_empty() || machine.product.is_none()) {
            return Judgement::inconclusive(format!("{node} has no host key or no UUID of its own"));
        }
        for (other, theirs) in &theirs {
            let same = [
                ("machine id", machine.machine_id == theirs.machine_id),
                ("UID", machine.node_uid == theirs.node_uid),
                ("UUID", machine.product.is_some() && machine.product == theirs.product),
                ("host key", machine.host_keys.iter().any(|key| theirs.host_keys.contains(key))),
            ];
            if let Some((what, _)) = same.iter().find(|(_, same)| *same) {
                return Judgement::leak(format!("{node} and {other} have the same {what}"));
            }
        }
    }
    Judgement::isolated(format!("{} and {} nodes, all with different identities", ours.len(), theirs.len()))
}

fn identity(source: &Subject, target: &Subject) -> Judgement {
    let (Some(ours), Some(theirs)) = (&source.identity, &target.identity) else {
        return Judgement::inconclusive("an identity was not recorded, or could not be read");
    };
    for what in CHAIN {
        let of = |links: &[Property]| links.iter().find(|link| link.what == what).cloned();
        let (Some(own), Some(other)) = (of(ours), of(theirs)) else {
            return Judgement::inconclusive(format!("the {what} was not recorded, or could not be read"));
        };
        if own.recorded.is_empty() || own.found.is_empty() || other.recorded.is_empty() {
            return Judgement::inconclusive(format!("the {what} is empty"));
        }
        if own.found == other.recorded || own.recorded == other.recorded {
            return Judgement::leak(format!(
                "the {what} of '{}' is that of '{}': {}",
                source.name, target.name, own.found
            ));
        }
        if own.found != own.recorded {
            let Property { found, recorded, .. } = own;
            return Judgement::inconclusive(format!("the {what} is {found}, but {recorded} was recorded"));
        }
    }
    Judgement::isolated(format!("{} are as recorded, and differ from the target's", CHAIN.join(", ")))
}

fn stores(source: &Subject, target: &Subject) -> Judgement {
    let (Some(ours), Some(theirs)) = (&source.store, &target.store) else {
        return Judgement::inconclusive("an image store could not be read");
    };
    if ours.is_empty() || theirs.is_empty() {
        return Judgement::inconclusive("an image store is empty: nothing could be compared");
    }
    let key = |line: &String| line.split_whitespace().next().map(str::to_owned);
    let others: BTreeSet<String> = theirs.iter().filter_map(key).collect();
    let mut shared = ours.iter().filter(|line| key(line).is_some_and(|key| others.contains(&key)));
    match shared.next() {
        Some(first) => {
            Judgement::leak(format!("{} writable files are shared, such as {first}", shared.count() + 1))
        }
        None => Judgement::isolated("no writable file of an image store is shared"),
    }
}

fn secrets(source: &Subject, target: &Subject) -> Judgement {
    match &source.search {
        None => Judgement::inconclusive("no search was made"),
        Some(search) if !search.control_found => {
            Judgement::inconclusive("the control failed: the search did not find a secret in its known place")
        }
        Some(search) => match search.found.iter().find(|(whose, _)| *whose == target.name) {
            Some((_, place)) => Judgement::leak(format!("a secret of '{}' is in {place}", target.name)),
            None if search.traces.iter().any(|(whose, _)| *whose == target.name) => {
                let places = search.traces.iter().filter(|(whose, _)| *whose == target.name);
                let places: BTreeSet<&str> = places.map(|(_, place)| place.as_str()).collect();
                let places = Vec::from_iter(places).join(", ");
                Judgement::inconclusive(format!(
                    "data of '{}' is in {places}: a certificate that it has signed, or a part of its etcd",
                    target.name
                ))
            }
            None => Judgement::isolated("the search found its control, and no secret of the target"),
        },
    }
}

fn inherited(source: &Subject, after: &After) -> Judgement {
    match &after.destroyed {
        Some(destroyed) if destroyed.instance == source.name => {
            none_of(destroyed.inherited.as_deref(), "inherited from a destroyed instance")
        }
        _ => {
            Judgement::not_covered(format!("'{}' was not destroyed and made again in this run", source.name))
        }
    }
}

fn destroyed(source: &Subject, target: &Subject, after: &After) -> Judgement {
    let Some(destroyed) = after.destroyed.as_ref().filter(|destroyed| destroyed.instance == source.name)
    else {
        return Judgement::not_covered(format!("'{}' was not destroyed in this run", source.name));
    };
    match destroyed.others.get(&target.name).map(Vec::as_slice) {
        None | Some([]) => Judgement::inconclusive(format!(
            "'{}' was not inspected before and after the destruction",
            target.name
        )),
        Some(links) => match links.iter().find(|link| link.recorded != link.found) {
            Some(Property { what, recorded, found }) => Judgement::leak(format!(
                "the {what} was {recorded} before the destruction, and is {found} now"
            )),
            None => Judgement::isolated(format!("{} properties compared, all as before", links.len())),
        },
    }
}

#[cfg(test)]
mod tests;
