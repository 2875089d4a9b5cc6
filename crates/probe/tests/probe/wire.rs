//! The wire types as JSON: each version must read the text that another version writes.

use probe::{
    Answer, Arrival, Ask, Cast, Credentials, Mac, NextHop, Nonce, Overlay, Peer, ProbeOutcome, ProbeResult,
    Sight, WitnessLine,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::net::IpAddr;

/// Asserts that the value serialises to this text, and that the text deserialises to the value.
fn is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), text);
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
}

#[test]
fn the_wire_format_of_probes_never_changes() {
    is(&Ask::Tcp { to: "10.0.0.1:6443".parse().unwrap() }, r#"{"kind":"tcp","to":"10.0.0.1:6443"}"#);
    let held = Ask::HeldTcp { to: "[fd00::1]:1".parse().unwrap(), hold_ms: 5 };
    is(&held, r#"{"kind":"held-tcp","to":"[fd00::1]:1","holdMs":5}"#);
    let syn = Ask::Syn {
        to: IpAddr::from([10, 0, 0, 1]),
        ports: vec![(22, 22), (30000, 32767)],
        via: None,
        from: None,
    };
    is(&syn, r#"{"kind":"syn","to":"10.0.0.1","ports":[[22,22],[30000,32767]]}"#);
    let ping = Ask::Ping { to: "ff02::1".parse().unwrap(), size: 1300, dont_fragment: true };
    is(&ping, r#"{"kind":"ping","to":"ff02::1","size":1300,"dontFragment":true}"#);
    let via = Some(NextHop { link: "eth0".to_owned(), mac: Mac([2, 0, 0, 0, 0, 1]) });
    let from = Some([10, 9, 9, 9].into());
    let datagrams = Ask::Datagrams { to: "fd00::1".parse().unwrap(), ports: vec![(53, 53)], via, from };
    is(
        &datagrams,
        concat!(
            r#"{"kind":"datagrams","to":"fd00::1","ports":[[53,53]],"#,
            r#""via":{"link":"eth0","mac":"02:00:00:00:00:01"},"from":"10.9.9.9"}"#
        ),
    );
    let protocols =
        Ask::Protocols { to: [10, 0, 0, 1].into(), protocols: vec![(0, 255)], via: None, from: None };
    is(&protocols, r#"{"kind":"protocols","to":"10.0.0.1","protocols":[[0,255]]}"#);
    let frames = Ask::Frames {
        link: "eth0".to_owned(),
        to: vec![Mac::BROADCAST],
        source: None,
        types: vec![(0x0600, 0xffff)],
        vlans: vec![7],
        saps: vec![0x42],
    };
    is(
        &frames,
        concat!(
            r#"{"kind":"frames","link":"eth0","to":["ff:ff:ff:ff:ff:ff"],"source":null,"#,
            r#""types":[[1536,65535]],"vlans":[7],"saps":[66]}"#
        ),
    );
    let hops = Ask::NextHops { link: "eth0".to_owned(), net: [192, 168, 48, 0].into(), prefix: 20 };
    is(&hops, r#"{"kind":"next-hops","link":"eth0","net":"192.168.48.0","prefix":20}"#);
    let arp = Ask::Arp { target: [10, 0, 0, 1].into(), link: None };
    is(&arp, r#"{"kind":"arp","target":"10.0.0.1","link":null}"#);
    let overlay = Ask::Overlay {
        to: "10.0.0.1:8472".parse().unwrap(),
        overlay: Overlay::Vxlan,
        inner: [10, 244, 0, 5].into(),
    };
    is(&overlay, r#"{"kind":"overlay","to":"10.0.0.1:8472","overlay":"vxlan","inner":"10.244.0.5"}"#);
    is(&Credentials::Token { token: "t".to_owned() }, r#"{"kind":"token","token":"t"}"#);
    is(&Ask::Look { at: Sight::Processes }, r#"{"kind":"look","at":"processes"}"#);
}

#[test]
fn the_wire_format_of_answers_and_reports_never_changes() {
    let nonce = Nonce::new(1, 2);
    let answer = |outcome| ProbeResult::Answer(Answer { nonce: nonce.clone(), sent: 1, at_us: 3, outcome });
    is(
        &answer(ProbeOutcome::Refused {
            from: Some([10, 0, 0, 1].into()),
            what: vec!["RST from 22".to_owned()],
        }),
        concat!(
            r#"{"said":"answer","nonce":"hl1-00000001-000002","sent":1,"atUs":3,"#,
            r#""outcome":{"kind":"refused","from":"10.0.0.1","what":["RST from 22"]}}"#
        ),
    );
    is(
        &answer(ProbeOutcome::Silent),
        r#"{"said":"answer","nonce":"hl1-00000001-000002","sent":1,"atUs":3,"outcome":{"kind":"silent"}}"#,
    );
    is(&ProbeResult::End { answers: 2 }, r#"{"said":"end","answers":2}"#);
    let arrival = Arrival {
        nonce,
        at_us: 3,
        link: Some("eth0".to_owned()),
        protocol: "protocol 47".to_owned(),
        from: Some("10.0.0.1".to_owned()),
        to: None,
    };
    is(
        &WitnessLine::Arrived(arrival),
        concat!(
            r#"{"said":"arrived","nonce":"hl1-00000001-000002","atUs":3,"link":"eth0","#,
            r#""protocol":"protocol 47","from":"10.0.0.1","to":null}"#
        ),
    );
    let peer = Peer {
        at_us: 3,
        link: Some("eth0".to_owned()),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        ether_type: 0x0800,
        vlan: Some(7),
        from: Some([10, 0, 0, 1].into()),
        to: None,
        cast: Cast::Other,
    };
    is(
        &WitnessLine::Peer(peer),
        concat!(
            r#"{"said":"peer","atUs":3,"link":"eth0","mac":"02:00:00:00:00:01","etherType":2048,"vlan":7,"#,
            r#""from":"10.0.0.1","to":null,"cast":"other"}"#
        ),
    );
    is(&WitnessLine::PeersOmitted { peers: 5 }, r#"{"said":"peers-omitted","peers":5}"#);
    is(&WitnessLine::Lost { packets: 4 }, r#"{"said":"lost","packets":4}"#);
}
