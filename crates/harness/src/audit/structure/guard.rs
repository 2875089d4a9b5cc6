//! The host guard: its rules, routes and settings, as the walk has read them.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net};
use provisioner::fabric::{FoundGuard, ROUTE_PROTOCOL};

use super::ground::Ground;
use super::{Difference, DifferenceKind, Effect};

/// The type of routes that refuse packets (RTN_UNREACHABLE).
const UNREACHABLE: u8 = 7;

/// Every deviation of the guard is a difference of all instances: the guard is one for all of them.
pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let difference =
        |found: String| Difference::of(DifferenceKind::Guard, ground.names(), Effect::OpensPath, found);
    let Some(host) = ground.host() else {
        return vec![difference("the host's own network namespace was not read".to_owned())];
    };
    let Some(guard) = &ground.planned.guard else {
        return vec![difference("no guard is on record for this host".to_owned())];
    };
    let routes = host
        .routes
        .iter()
        .filter(|route| route.protocol == ROUTE_PROTOCOL && route.kind == UNREACHABLE && route.family == 2);
    let routes: BTreeSet<Ipv4Net> = routes
        .filter_map(|route| match route.to {
            Some(IpNet::V4(to)) => Some(to),
            _ => None,
        })
        .collect();
    let found = FoundGuard { rules: host.nft.clone(), routes, settings: host.settings.clone() };
    guard.deviations(&found).iter().map(|deviation| difference(deviation.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{found_by, pair};
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    #[test]
    fn a_guard_as_built_has_no_difference_and_every_deviation_is_one() {
        assert_eq!(found(|_| {}), "");
        insta::assert_snapshot!(found(|seen| {
            let host = &mut seen.networks[0];
            host.nft.clear();
            host.settings.insert("ipv4/conf/hl-a/rp_filter".to_owned(), "2".to_owned());
            host.routes.retain(|route| route.protocol != ROUTE_PROTOCOL);
        }), @r"
        acme, globex: nftables has no table inet homelab (opens a path)
        acme, globex: the unreachable route for 192.168.48.0/20 is missing (opens a path)
        acme, globex: net/ipv4/conf/hl-a/rp_filter is 2, not 1 (opens a path)
        ");
    }

    #[test]
    fn a_global_switch_and_a_rule_that_is_gone_are_differences() {
        insta::assert_snapshot!(found(|seen| {
            let host = &mut seen.networks[0];
            host.settings.insert("ipv4/conf/all/proxy_arp".to_owned(), "1".to_owned());
            let forward = |object: &serde_json::Value| {
                let rule = object.get("rule").is_some_and(|rule| rule["chain"] == "forward");
                rule && object.to_string().contains("oifname")
            };
            host.nft.retain(|object| !forward(object));
        }));
    }

    #[test]
    fn without_a_record_nothing_is_known_of_the_guard() {
        let (mut planned, seen) = pair();
        planned.guard = None;
        assert_eq!(compare(&Ground::of(&planned, &seen)).len(), 1);
    }
}
