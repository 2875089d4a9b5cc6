use ipnet::Ipv4Net;

use super::*;
use crate::audit::sample;
use crate::audit::verdict::Verdict;

#[test]
fn networks_of_every_kind_are_compared_with_every_kind_and_with_the_host() {
    let (acme, globex, host) =
        (sample::subject("acme", 60, 1), sample::subject("globex", 61, 1), sample::host());
    assert_eq!(networks(&acme, &globex, &host).verdict, Verdict::Isolated);
    let uplink = globex.uplink.as_ref().expect("a network on the host");
    let theirs = [Some(uplink.subnet), globex.pod_cidrs.first().copied(), globex.service_cidr];
    let theirs = theirs.into_iter().map(|net| net.expect("a network of every kind"));
    let theirs: Vec<Ipv4Net> = theirs.chain(["10.0.0.128/25".parse().expect("a network")]).collect();
    for net in theirs {
        for kind in 0..3 {
            let mut acme = acme.clone();
            let uplink = acme.uplink.as_mut().expect("a network on the host");
            let service = acme.service_cidr.as_mut().expect("a network of services");
            *[&mut uplink.subnet, &mut acme.pod_cidrs[0], service][kind] = net;
            assert_eq!(networks(&acme, &globex, &host).verdict, Verdict::Leak, "{net} as kind {kind}");
        }
    }
    let mut wide = acme.clone();
    wide.pod_cidrs = vec!["10.0.0.0/8".parse().expect("a network")];
    let why = networks(&wide, &globex, &host).why;
    assert_eq!(why, "pod CIDR of 'acme' (10.0.0.0/8) overlaps pod CIDR of 'globex' (10.245.0.0/16)");
    let unread = HostSubject { networks: None, ..host };
    assert_eq!(networks(&acme, &globex, &unread).verdict, Verdict::Inconclusive);
}

#[test]
fn one_shared_authority_of_any_two_kinds_is_a_leak_and_a_missing_one_is_inconclusive() {
    let (acme, globex) = (sample::subject("acme", 60, 1), sample::subject("globex", 61, 1));
    assert_eq!(authorities(&acme, &globex).verdict, Verdict::Isolated);
    let known = globex.authorities.clone().expect("authorities");
    for place in 0..known.len() {
        for other in &known {
            let mut bent = acme.clone();
            let own = bent.authorities.as_mut().expect("authorities");
            own[place].key = other.key.clone();
            assert_eq!(authorities(&bent, &globex).verdict, Verdict::Leak, "{place} {other:?}");
        }
        let mut without = acme.clone();
        without.authorities.as_mut().expect("authorities").remove(place);
        assert_eq!(authorities(&without, &globex).verdict, Verdict::Inconclusive);
        assert_eq!(authorities(&globex, &without).verdict, Verdict::Inconclusive);
        let mut empty = acme.clone();
        empty.authorities.as_mut().expect("authorities")[place].key.clear();
        assert_eq!(authorities(&empty, &globex).verdict, Verdict::Inconclusive);
    }
    let mut none = acme.clone();
    none.authorities = None;
    assert_eq!(authorities(&none, &globex).verdict, Verdict::Inconclusive);
}
