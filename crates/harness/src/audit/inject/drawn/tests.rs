//! The draw: repeatable, of all kinds, within the ranges of ports, protocols and names.

use std::collections::BTreeSet;

use super::draw::draw;
use super::leak::{DrawnLeak, Leak, LeakKind, NearEnd, Place, Traffic, Transport};

const NAMES: [&str; 2] = ["acme", "globex"];

fn kind(leak: &Leak) -> LeakKind {
    match leak {
        Leak::Forward { traffic: Traffic { protocol: Transport::Tcp, .. }, .. } => LeakKind::ForwardTcp,
        Leak::Forward { .. } => LeakKind::ForwardUdp,
        Leak::ForwardProtocol { .. } => LeakKind::ForwardProtocol,
        Leak::EtherTypeCable { .. } => LeakKind::EtherTypeCable,
        Leak::PortCable { .. } => LeakKind::PortCable,
        Leak::Router { .. } => LeakKind::Router,
        Leak::Interface { at, .. } if at.pod.is_some() => LeakKind::PodInterface,
        Leak::Interface { .. } => LeakKind::NodeInterface,
        Leak::Macvlan { .. } => LeakKind::Macvlan,
        Leak::Mirror { .. } => LeakKind::Mirror,
        Leak::Relay { near: NearEnd::Path, .. } => LeakKind::SocketRelay,
        Leak::Relay { near: NearEnd::Port { at, .. }, .. } if at.pod.is_some() => LeakKind::PodRelay,
        Leak::Relay { .. } => LeakKind::NodeRelay,
        Leak::Listener { .. } => LeakKind::Listener,
        Leak::File { .. } => LeakKind::File,
        Leak::Mount { in_pod: Some(_), .. } => LeakKind::PodMount,
        Leak::Mount { .. } => LeakKind::NodeMount,
        Leak::Device { .. } => LeakKind::Device,
        Leak::Object { .. } => LeakKind::Object,
        Leak::Trust { .. } => LeakKind::Trust,
        Leak::Process { .. } => LeakKind::Process,
        Leak::Pipe { .. } => LeakKind::Pipe,
    }
}

fn kinds(leaks: &[DrawnLeak]) -> Vec<LeakKind> {
    leaks.iter().map(|leak| kind(&leak.leak)).collect()
}

/// Many leaks, of several seeds.
fn many() -> Vec<DrawnLeak> {
    (0..20).flat_map(|seed| draw(seed, 200, NAMES)).collect()
}

#[test]
fn the_same_seed_draws_the_same_leaks_and_another_seed_other_ones() {
    let drawn = draw(7, 20, NAMES);
    assert_eq!(drawn, draw(7, 20, NAMES));
    assert_ne!(drawn, draw(8, 20, NAMES));
    assert_eq!(drawn.len(), LeakKind::ALL.len() + 20);
}

#[test]
fn each_kind_is_drawn_once_at_the_beginning_and_every_kind_occurs_among_the_random_ones() {
    for seed in 0..50 {
        assert_eq!(kinds(&draw(seed, 0, NAMES)), LeakKind::ALL);
    }
    let drawn = draw(7, 500, NAMES);
    let random: BTreeSet<_> = kinds(&drawn[LeakKind::ALL.len()..]).into_iter().collect();
    assert_eq!(random, BTreeSet::from(LeakKind::ALL));
}

#[test]
fn both_directions_are_drawn_for_every_kind() {
    let directions: BTreeSet<_> =
        many().iter().map(|leak| (kind(&leak.leak), leak.from.clone(), leak.to.clone())).collect();
    assert_eq!(directions.len(), 2 * LeakKind::ALL.len());
    assert!(directions.iter().all(|(_, from, to)| from != to));
}

#[test]
fn numbers_and_names_are_in_their_ranges() {
    let in_folders = |at: &Place| {
        assert!((2..=6).contains(&at.parts.len()), "{at}");
        assert!(at.to_string().starts_with(&at.top()) && at.to_string() != at.top(), "{at}");
    };
    for DrawnLeak { leak, .. } in many() {
        match leak {
            Leak::Forward { traffic, near, .. } => {
                assert!(traffic.port > 0 && near != Some(0));
            }
            Leak::PortCable { traffic } | Leak::Mirror { traffic } => assert!(traffic.port > 0),
            Leak::ForwardProtocol { number, .. } => {
                assert!((2..=254).contains(&number) && number != 6 && number != 17, "{number}");
            }
            Leak::EtherTypeCable { number, .. } => {
                assert!(number >= 0x0600, "{number:#06x}");
                assert!(![0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8].contains(&number), "{number:#06x}");
            }
            // IFNAMSIZ is 16, with the final zero.
            Leak::Interface { name, place, .. } | Leak::Macvlan { name, place, .. } => {
                assert!(name.len() <= 15 && place < 8, "{name}");
            }
            Leak::Relay { near: NearEnd::Port { port, .. }, far, .. } => assert!(port > 0 && far > 0),
            Leak::Listener { near, far, .. } => assert!(near > 0 && far > 0),
            Leak::File { at, .. } | Leak::Mount { at, .. } | Leak::Device { at, .. } => in_folders(&at),
            Leak::Relay { .. }
            | Leak::Router { .. }
            | Leak::Object { .. }
            | Leak::Trust { .. }
            | Leak::Process { .. }
            | Leak::Pipe { .. } => {}
        }
    }
}

#[test]
fn each_leak_says_what_is_opened() {
    let lines: Vec<String> = draw(7, 8, NAMES).iter().map(DrawnLeak::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
