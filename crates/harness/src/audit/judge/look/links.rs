//! Judges the links of a node: each one must be given to it, or be known to stay on it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Adapter, macs};
use crate::audit::verdict::Judgement;

/// Links with fixed names, which the kernel makes in each network namespace: loopback, and unused tunnels
/// (`fb_tunnels_only_for_init_net`, Documentation/admin-guide/sysctl/net.rst).
const KERNEL: [&str; 10] =
    ["lo", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"];

/// A leak is a link with an address in the target's networks, an adapter that the node was not given, and an adapter
/// with an address outside its network. Any other link that is not known to stay on the node may lead anywhere:
/// inconclusive.
pub(super) fn judge(here: &[String], adapters: &[Adapter<'_>], networks: &[Ipv4Net]) -> Judgement {
    if networks.is_empty() || adapters.is_empty() {
        return Judgement::inconclusive("the target's networks or the node's own links are unknown");
    }
    for line in here {
        for address in addresses(line) {
            if let Some(network) = networks.iter().find(|network| network.contains(&address)) {
                return Judgement::leak(format!(
                    "a link has the address {address}, which is in the target's network {network}: {line}"
                ));
            }
        }
    }
    let given = |name: &str| adapters.iter().find(|adapter| adapter.link == name);
    for (name, device) in here.iter().filter_map(|line| device(line)) {
        let Some(adapter) = given(name) else {
            return Judgement::leak(format!(
                "the node was not given this network adapter: {name} on {device}"
            ));
        };
        let of_it = here.iter().filter(|line| is_of(line, name));
        let strange = of_it.clone().find(|line| {
            addresses(line).into_iter().any(|at| adapter.net.is_some_and(|net| !net.contains(&at)))
        });
        if let Some(line) = strange {
            return Judgement::leak(format!("an adapter has an address outside its network: {line}"));
        }
        if of_it.flat_map(|line| macs(line)).next().is_none() {
            return Judgement::inconclusive(format!("the adapter {name} has no MAC address"));
        }
    }
    let names: BTreeSet<&str> = here.iter().filter_map(|line| line.split_whitespace().next()).collect();
    let explained = |name: &str| given(name).is_some() || KERNEL.contains(&name) || stays_here(here, name);
    match names.iter().find(|name| !explained(name)) {
        Some(name) => Judgement::inconclusive(format!("the purpose of this link is unknown: {name}")),
        None => Judgement::isolated(format!(
            "{} links, all given to the node or known to stay on it",
            names.len()
        )),
    }
}

fn addresses(line: &str) -> Vec<Ipv4Addr> {
    line.split_whitespace().filter_map(|word| word.split('/').next()?.parse().ok()).collect()
}

/// A link that is a network device of the VM or the host: `eth0 on virtio1`.
fn device(line: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [name, "on", device] => Some((name, device)),
        _ => None,
    }
}

fn is_of(line: &str, name: &str) -> bool {
    line.split_whitespace().next() == Some(name)
}

/// Whether a link is a cable whose other end is on the same node: in the same namespace, or in the namespace of a
/// process that the node sees, as for a pod. A cable whose other end is not visible may lead anywhere. Names prove
/// nothing.
fn stays_here(lines: &[String], name: &str) -> bool {
    lines.iter().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" ends ")))
}
