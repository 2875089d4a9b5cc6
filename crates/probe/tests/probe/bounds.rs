//! Time, memory and answers are bounded, whatever the batch contains.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use probe::{Ask, Batch, Mac, ProbeOutcome, Sight};
use proptest::prelude::*;

use crate::run::{Process, batch, prober};

/// What a prober may take beyond its deadline (300 ms), and the allowance for a test on two busy cores (700 ms).
const OVER: Duration = Duration::from_millis(300 + 700);

fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn four_thousand_silent_probes_end_with_their_time_out_in_little_memory() {
    let (_socket, to) = silent();
    let asks = (0..4000).map(|_| Ask::Udp { to, size: 0 });
    let wanted = Batch { answer_timeout_ms: 200, ..batch(Duration::from_secs(60), asks) };
    let mut process = Process::start(&["prober"]);
    process.stdin().write_all(&serde_json::to_vec(&wanted).unwrap()).unwrap();
    let mut peak = 0;
    let status = format!("/proc/{}/status", process.0.id());
    let mut output = String::new();
    let mut lines = process.stdout();
    // Answers arrive in batches, the last ones when all other probes have answered.
    loop {
        use std::io::BufRead;
        let seen = std::fs::read_to_string(&status).unwrap_or_default();
        let high = seen.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(high.map_or(0, |high| high.trim().parse::<u64>().unwrap()));
        if lines.read_line(&mut output).unwrap() == 0 {
            break;
        }
    }
    assert!(process.0.wait().unwrap().success());
    // One after another, the probes would exceed the deadline by ten minutes, and most would not run.
    assert_eq!(output.matches(r#""kind":"silent""#).count(), 4000, "{} bytes", output.len());
    assert!((1..32_000).contains(&peak), "{peak} kB");
}

#[test]
fn a_rate_too_low_leaves_probes_that_were_not_run_and_says_so() {
    let (_socket, to) = silent();
    let asks = (0..100).map(|_| Ask::Udp { to, size: 0 });
    let wanted = batch(Duration::from_millis(500), asks);
    let done = prober(&Batch { rate: 50, answer_timeout_ms: 10, ..wanted });
    let silent = done.answers.iter().filter(|answer| answer.outcome == ProbeOutcome::Silent).count();
    let not_run = done.answers.iter().filter(|it| matches!(it.outcome, ProbeOutcome::NotRun { .. })).count();
    assert_eq!(silent + not_run, 100);
    let sent: u32 = done.answers.iter().map(|answer| answer.sent).sum();
    assert!((10..=27).contains(&sent), "{sent} at 50 a second in half a second");
    assert!(silent * 3 <= sent as usize, "each probe is sent three times before it is silent");
    assert!(done.took < Duration::from_millis(500) + OVER, "{:?}", done.took);
}

#[test]
fn a_bad_batch_is_refused_with_a_reason() {
    let good = serde_json::to_string(&batch(Duration::from_secs(1), [])).unwrap();
    let bad = [
        ("", "parse the batch"),
        ("{}", "missing field `version`"),
        (&good.replace(r#""version":2"#, r#""version":1"#), "its version is 1, not 2"),
        (&good.replace("20000", "0"), "its rate is 0"),
    ];
    for (text, reason) in bad {
        let mut process = Process::start(&["prober"]);
        process.stdin().write_all(text.as_bytes()).unwrap();
        let mut said = String::new();
        process.stdout().read_to_string(&mut said).unwrap();
        assert_eq!((process.0.wait().unwrap().code(), said.as_str()), (Some(2), ""), "{text}");
        let error = process.stderr();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_prober_ends_when_its_reader_closes() {
    let (_socket, to) = silent();
    let mut process = Process::start(&["prober"]);
    let wanted = batch(Duration::from_secs(60), [Ask::Udp { to, size: 0 }]);
    process.stdin().write_all(&serde_json::to_vec(&wanted).unwrap()).unwrap();
    drop(process.stdout());
    let started = Instant::now();
    assert_eq!(process.0.wait().unwrap().code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// Any probe that stays on loopback. Most of them make no sense.
fn ask() -> impl Strategy<Value = Ask> {
    let end = (1_u16..=65535).prop_map(|port| SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), port)));
    let to = IpAddr::from(Ipv4Addr::LOCALHOST);
    prop_oneof![
        end.clone().prop_map(|to| Ask::Tcp { to }),
        (end.clone(), 0_u64..500).prop_map(|(to, hold_ms)| Ask::HeldTcp { to, hold_ms }),
        (end.clone(), 0_usize..70_000).prop_map(|(to, size)| Ask::Udp { to, size }),
        (0_usize..70_000, any::<bool>()).prop_map(|(size, dont_fragment)| {
            Ask::Ping { to: Ipv4Addr::LOCALHOST.into(), size, dont_fragment }
        }),
        (end.clone(), "[a-z*.]{0,30}").prop_map(|(server, name)| Ask::Dns { server, name }),
        (end, "[a-z.]{0,9}", "[/a-z \n]{0,9}").prop_map(|(to, name, path)| Ask::Https {
            to,
            name,
            path,
            credentials: probe::Credentials::None,
            authority: None,
        }),
        "[@/]?[a-z]{0,120}".prop_map(move |path| Ask::Unix { path }),
        Just(Ask::Look { at: Sight::Links }),
        Just(Ask::Arp { target: Ipv4Addr::LOCALHOST, link: Some("none".to_owned()) }),
        any::<(u16, u16)>().prop_map(move |ports| Ask::Syn { to, ports: vec![ports], via: None, from: None }),
        any::<(u16, u16)>().prop_map(move |ports| Ask::Datagrams {
            to,
            ports: vec![ports],
            via: None,
            from: None
        }),
        any::<(u8, u8)>().prop_map(move |protocols| Ask::Protocols {
            to,
            protocols: vec![protocols],
            via: None,
            from: None
        }),
        any::<(u16, u16)>().prop_map(move |types| Ask::Frames {
            link: "lo".to_owned(),
            to: vec![Mac::BROADCAST],
            source: None,
            types: vec![types],
            vlans: Vec::new(),
            saps: Vec::new(),
        }),
        any::<u8>().prop_map(|prefix| Ask::NextHops {
            link: "lo".to_owned(),
            net: Ipv4Addr::LOCALHOST,
            prefix
        }),
        any::<u8>().prop_map(|protocol| Ask::Raw { to: Ipv4Addr::LOCALHOST, protocol }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_probe_is_answered_exactly_once(asks in proptest::collection::vec(ask(), 0..40)) {
        let done = prober(&batch(Duration::from_millis(150), asks));
        for number in 0..done.answers.len() {
            done.outcome(number as u32);
        }
        prop_assert!(done.status.success());
        prop_assert!(done.took < Duration::from_millis(150) + OVER, "{:?}", done.took);
    }
}
