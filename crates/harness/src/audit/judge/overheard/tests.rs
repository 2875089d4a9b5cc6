use probe::{Cast, Nonce};

use super::*;
use crate::audit::sample::{declared, host, subject};
use crate::audit::verdict::Verdict;
use crate::audit::viewpoint::Route;

const IPV4: u16 = 0x0800;

fn frame(link: &str, mac: [u8; 6], from: &str) -> Peer {
    Peer {
        at_us: 1,
        link: Some(link.to_owned()),
        mac: Some(Mac(mac)),
        ether_type: IPV4,
        vlan: None,
        from: Some(from.parse().unwrap()),
        to: None,
        cast: Cast::Own,
    }
}

/// The frames that each witness of globex hears in a clean run: of the host, and of the other node.
fn usual() -> Vec<(&'static str, Peer)> {
    let host = frame("eth0", [2, 0, 192, 168, 61, 1], "192.168.61.1");
    let other = |number| frame("eth0", [2, 0, 192, 168, 61, number], &format!("192.168.61.{number}"));
    vec![("globex-cp-1/witness", host), ("globex-cp-1/witness", other(21)), ("globex-w-1/witness", other(10))]
}

/// The judgement from acme to globex, when its witnesses heard these frames.
fn judged(frames: &[(&str, Peer)], arrivals: &[(&str, &Viewpoint)], doubt: Option<&str>) -> Judgement {
    let (source, target, host) = (subject("acme", 60, 1), subject("globex", 61, 1), host());
    let arrival = Arrival {
        nonce: Nonce::new(1, 7),
        at_us: 1,
        link: None,
        protocol: "tcp".to_owned(),
        from: None,
        to: None,
    };
    judge(&Heard {
        source: &source,
        target: &target,
        host: &host,
        arrivals: arrivals.iter().map(|(witness, from)| (*witness, &arrival, *from)).collect(),
        frames: frames.iter().map(|(witness, peer)| (*witness, peer)).collect(),
        doubt: doubt.map(str::to_owned),
        declared: Vec::new(),
    })
}

#[test]
fn a_frame_of_the_source_is_a_leak_and_one_of_an_unknown_system_is_inconclusive() {
    use Verdict::{Inconclusive, Isolated, Leak};
    let own = [2, 0, 192, 168, 61, 10];
    let pod = "globex/pod-witness";
    for (expected, witness, more) in [
        (Isolated, "globex-w-1/witness", frame("eth0", own, "0.0.0.0")),
        (Isolated, "globex-w-1/witness", frame("eth0", own, "fe80::7")),
        (Isolated, "globex-w-1/witness", frame("eth0", own, "10.245.0.7")),
        (Isolated, "globex-w-1/witness", frame("veth7", [4; 6], "10.245.0.7")),
        (Isolated, pod, frame("eth0", [4; 6], "10.245.0.1")),
        (Leak, "globex-w-1/witness", frame("eth0", [2, 0, 192, 168, 60, 10], "10.99.0.1")),
        (Leak, "globex-w-1/witness", frame("eth0", own, "192.168.60.10")),
        (Leak, "globex-w-1/witness", frame("veth7", [4; 6], "10.244.0.7")),
        (Leak, "globex-w-1/witness", frame("eth0", own, "fe80::60:10")),
        (Leak, "globex-w-1/witness", frame("eth0", own, "fd6c:6162:c0a8:3c00::1")),
        (Leak, pod, frame("eth0", [4; 6], "10.244.0.7")),
        (Inconclusive, "globex-w-1/witness", frame("eth0", [4; 6], "192.168.61.10")),
        (Inconclusive, "globex-w-1/witness", frame("eth0", own, "203.0.113.7")),
    ] {
        let words = format!("{witness} {more:?}");
        let frames = [usual(), vec![(witness, more)]].concat();
        assert_eq!(judged(&frames, &[], None).verdict, expected, "{words}");
    }
}

#[test]
fn a_probe_of_the_source_is_a_leak_whatever_it_was_sent_for() {
    let node = |instance: &str| Viewpoint::Node {
        instance: instance.to_owned(),
        node: format!("{instance}-w-1"),
        by: Route::Own,
    };
    let of = |from: &Viewpoint| judged(&usual(), &[("globex-w-1/witness", from)], None).verdict;
    assert_eq!(of(&node("acme")), Verdict::Leak);
    assert_eq!(of(&node("globex")), Verdict::Isolated);
    assert_eq!(of(&Viewpoint::Host), Verdict::Isolated, "the host reaches each instance");
}

#[test]
fn a_witness_that_heard_nothing_or_cannot_be_relied_on_is_inconclusive() {
    let doubtful = judged(&usual(), &[], Some("it lost 7 packets"));
    assert_eq!((doubtful.verdict, doubtful.why.as_str()), (Verdict::Inconclusive, "it lost 7 packets"));
    let deaf = judged(&usual()[..2], &[], None);
    assert_eq!(deaf.verdict, Verdict::Inconclusive);
    assert!(deaf.why.contains("globex-w-1/witness heard no frame"), "{}", deaf.why);
}

#[test]
fn probes_of_the_source_on_a_declared_path_are_expected_and_any_other_one_is_a_leak() {
    use Verdict::{Expected, Isolated, Leak};
    let (source, target, host) = (subject("acme", 60, 1), subject("globex", 61, 1), host());
    let from = Viewpoint::Pod { instance: "acme".to_owned() };
    let path = declared("globex", "192.168.61.10/32", (443, 443));
    let routed = frame("eth0", [2, 0, 192, 168, 61, 1], "192.168.60.10");
    for (expected, protocol, to, declared) in [
        (Expected, "tcp", "192.168.61.10:443", true),
        (Leak, "tcp", "192.168.61.10:443", false),
        (Leak, "udp", "192.168.61.10:443", true),
        (Leak, "tcp", "192.168.61.10:444", true),
        (Leak, "icmp", "192.168.61.10", true),
    ] {
        let frames: Vec<_> = usual().into_iter().chain([("globex-cp-1/witness", routed.clone())]).collect();
        let nonce = Nonce::new(1, 7);
        let arrival = Arrival {
            nonce,
            at_us: 1,
            link: None,
            protocol: protocol.to_owned(),
            from: None,
            to: Some(to.to_owned()),
        };
        let heard = |arrivals| Heard {
            source: &source,
            target: &target,
            host: &host,
            arrivals,
            frames: frames.iter().map(|(witness, peer)| (*witness, peer)).collect(),
            doubt: None,
            declared: if declared { vec![&path] } else { Vec::new() },
        };
        let judgement = judge(&heard(vec![("globex-cp-1/witness", &arrival, &from)]));
        assert_eq!(judgement.verdict, expected, "{protocol} {to}: {}", judgement.why);
        let silent = judge(&heard(Vec::new())).verdict;
        assert_eq!(silent, if declared { Isolated } else { Leak }, "only a frame of the source");
    }
}
