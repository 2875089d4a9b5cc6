//! Judges the structure, which must be right before a packet is sent: networks and authorities.

use ipnet::Ipv4Net;

use super::trust;
use crate::audit::subject::{AuthorityRole, HostSubject, Subject};
use crate::audit::verdict::{Judgement, Verdict};

/// Compares every kind of network of the source with every kind of the target, with its own other kinds, and with the
/// host's own networks.
pub(super) fn networks(source: &Subject, target: &Subject, host: &HostSubject) -> Judgement {
    let kinds = |of: &Subject| {
        let named = |kind: &str, net| (format!("{kind} of '{}'", of.name), net);
        let management = of.management.as_ref().and_then(|management| management.net);
        let management = management.map(|net| named("management network", net));
        let subnet = of.uplink.iter().map(|uplink| named("subnet", uplink.subnet));
        let pods = of.pod_cidrs.iter().map(|net| named("pod CIDR", *net));
        let services = of.service_cidr.iter().map(|net| named("service CIDR", *net));
        subnet.chain(pods).chain(services).chain(management).collect::<Vec<_>>()
    };
    let Some(host) = &host.networks else {
        return Judgement::inconclusive("the host's own networks could not be read");
    };
    let host = host.iter().map(|(name, net)| (format!("{name} of the host"), *net));
    let others: Vec<_> = kinds(target).into_iter().chain(host).collect();
    let ours = kinds(source);
    for (place, (what, net)) in ours.iter().enumerate() {
        let own = ours.iter().skip(place + 1);
        if let Some((other, found)) = others.iter().chain(own).find(|(_, found)| overlap(*net, *found)) {
            return Judgement::leak(format!("{what} ({net}) overlaps {other} ({found})"));
        }
    }
    Judgement::isolated(format!("{} networks against {}, no overlap", ours.len(), others.len()))
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Compares every certificate and key with every other one. A key that two instances share is a leak also where it has
/// a different role in each. Then [`trust`] judges what the target's servers trust.
pub(super) fn authorities(source: &Subject, target: &Subject) -> Judgement {
    let (Some(ours), Some(theirs)) = (&source.authorities, &target.authorities) else {
        return Judgement::inconclusive("the authorities of an instance could not be read");
    };
    for (name, known) in [(&source.name, ours), (&target.name, theirs)] {
        for role in AuthorityRole::ALL {
            let found = known.iter().find(|authority| authority.role == role);
            let whole = found.is_some_and(|authority| {
                let certified = authority.certificate.as_ref().is_some_and(|print| !print.is_empty());
                !authority.key.is_empty() && (certified || role == AuthorityRole::ServiceAccounts)
            });
            if !whole {
                return Judgement::inconclusive(format!("the {} of '{name}' was not read", role.name()));
            }
        }
    }
    for own in ours {
        for other in theirs {
            let certificate = own.certificate.is_some() && own.certificate == other.certificate;
            if certificate || own.key == other.key {
                let (one, two) = (own.role.name(), other.role.name());
                return Judgement::leak(format!("{one} of '{}' is {two} of '{}'", source.name, target.name));
            }
        }
    }
    let trusted = trust::judge(source, target);
    if trusted.verdict != Verdict::Isolated {
        return trusted;
    }
    let count = ours.len() + theirs.len();
    Judgement::isolated(format!("{count} authorities, all distinct; {}", trusted.why))
}

#[cfg(test)]
mod tests;
