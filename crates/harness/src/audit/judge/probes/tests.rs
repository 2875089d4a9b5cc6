use std::fmt::Write;
use std::net::IpAddr;

use probe::{Answer, Arrival, Ask, Nonce, ProbeOutcome};

use super::*;
use crate::audit::judge::{Party, WitnessState};
use crate::audit::verdict::Verdict;

const SOURCE: &str = "192.168.60.10";
const TARGET: &str = "192.168.61.10";
const ROUTER: &str = "10.0.0.1";

fn party(name: &str, address: &str) -> Party {
    Party {
        name: name.to_owned(),
        addresses: vec![address.parse().expect("an address")],
        witnesses: vec![format!("{name}-w")],
    }
}

fn sent(number: u32, to: &str, outcome: Option<ProbeOutcome>, at: &[&str]) -> Sent {
    let (nonce, to): (_, IpAddr) = (Nonce::new(1, number), to.parse().expect("an address"));
    let arrival = |owner: &&str| {
        let arrival = Arrival {
            nonce: nonce.clone(),
            at_us: 1,
            link: None,
            protocol: "tcp".to_owned(),
            from: Some("a".to_owned()),
            to: None,
        };
        ((*owner).to_owned(), format!("{owner}-w"), arrival)
    };
    Sent {
        answer: outcome.map(|outcome| Answer { nonce: nonce.clone(), sent: 3, at_us: 1, outcome }),
        ask: Some(Ask::Tcp { to: (to, 7001).into() }),
        arrivals: at.iter().map(arrival).collect(),
        from: None,
        command: None,
        broken: None,
        beside: Vec::new(),
        due: None,
        nonce,
    }
}

fn answered(identity: Option<&str>, from: Option<&str>, what: &str) -> ProbeOutcome {
    let from = from.map(|from| from.parse().expect("an address"));
    ProbeOutcome::Answered { identity: identity.map(str::to_owned), from, what: vec![what.to_owned()] }
}

fn refused(from: Option<&str>) -> ProbeOutcome {
    ProbeOutcome::Refused {
        from: from.map(|from| from.parse().expect("an address")),
        what: vec!["RST".to_owned()],
    }
}

fn hello(name: &str, address: &str) -> ProbeOutcome {
    answered(Some(&format!("{name}-w")), Some(address), "hello")
}

/// Answers of the prober, and whether each allows *isolated*.
fn outcomes() -> Vec<(&'static str, Option<ProbeOutcome>, bool)> {
    let why = || "no route".to_owned();
    vec![
        ("answered by the target's witness", Some(hello("b", TARGET)), false),
        ("answered by the source's witness", Some(hello("a", SOURCE)), false),
        ("answered by a third witness", Some(hello("c", ROUTER)), false),
        ("answered from the target's address", Some(answered(None, Some(TARGET), "SYN-ACK")), false),
        ("answered, sender unknown", Some(answered(None, None, "open")), false),
        ("answered from another address", Some(answered(None, Some(ROUTER), "hm")), false),
        ("refused by the target", Some(refused(Some(TARGET))), false),
        ("refused by a router", Some(refused(Some(ROUTER))), true),
        ("refused, sender unknown", Some(refused(None)), false),
        ("unreachable", Some(ProbeOutcome::Unreachable { why: why() }), true),
        ("silent", Some(ProbeOutcome::Silent), true),
        ("not run", Some(ProbeOutcome::NotRun { why: why() }), false),
        ("seen, no answer to the probe", Some(ProbeOutcome::Seen { boot: None, lines: vec![why()] }), false),
        ("no answer was read", None, false),
    ]
}

/// States of the witness: whether it saw the nonce, and whether its silence is proof.
const WITNESS: [(&str, bool, bool); 4] = [
    ("saw nothing", false, true),
    ("saw the nonce", true, true),
    ("in doubt", false, false),
    ("saw the nonce, in doubt", true, false),
];

/// Whether the control at the source succeeds, and the one at the target.
const CONTROLS: [(&str, bool, bool); 4] = [
    ("both controls hold", true, true),
    ("the control at the source fails", false, true),
    ("the control at the target fails", true, false),
    ("both controls fail", false, false),
];

fn evidence(control: bool, own: bool, outcome: Option<ProbeOutcome>, seen: bool, healthy: bool) -> Evidence {
    let control = if control { hello("a", SOURCE) } else { ProbeOutcome::Silent };
    let doubt = (!healthy).then(|| "it lost 3 packets".to_owned());
    Evidence {
        proof: Proof::Witnessed,
        source: party("a", SOURCE),
        target: party("b", TARGET),
        cross: vec![sent(1, TARGET, outcome, if seen { &["b"] } else { &[] })],
        control: vec![sent(2, SOURCE, Some(control), &[])],
        own: Some(vec![sent(3, TARGET, Some(hello("b", TARGET)), if own { &["b"] } else { &[] })]),
        witnesses: vec![WitnessState { witness: "b-w".to_owned(), doubt }],
        declared: Vec::new(),
    }
}

/// Every combination as a table. *Isolated* appears only where every condition holds.
#[test]
fn a_cell_is_isolated_only_if_every_condition_holds() {
    let mut table = String::new();
    for (controls, control, own) in CONTROLS {
        writeln!(table, "\n{controls}").expect("a string");
        write!(table, "  {:<36}", "").expect("a string");
        let head: String = WITNESS.iter().map(|(name, ..)| format!("{name:<25}")).collect();
        writeln!(table, "{}", head.trim_end()).expect("a string");
        for (said, outcome, quiet) in outcomes() {
            let mut row = format!("  {said:<36}");
            for (_, seen, healthy) in WITNESS {
                let verdict = judge(&evidence(control, own, outcome.clone(), seen, healthy)).verdict;
                let all_hold = control && own && healthy && !seen && quiet;
                assert_eq!(
                    verdict == Verdict::Isolated,
                    all_hold,
                    "{controls}, {said}, seen {seen}, healthy {healthy}"
                );
                assert!(!seen || verdict == Verdict::Leak, "what arrived is a leak, whatever else: {said}");
                write!(row, "{verdict:<25}").expect("a string");
            }
            writeln!(table, "{}", row.trim_end()).expect("a string");
        }
    }
    insta::assert_snapshot!(table);
}

/// Where no witness can see the nonce, its state changes nothing, and the answer alone decides.
#[test]
fn each_kind_of_proof_judges_every_answer_as_recorded_and_none_isolates_without_a_control() {
    let mut table = String::new();
    let proofs =
        [Proof::Answer, Proof::AnyAnswer, Proof::Address, Proof::Login, Proof::Access, Proof::Handshake];
    let answers = [
        ("an address", answered(None, Some(TARGET), "192.168.61.10")),
        ("NXDOMAIN", answered(None, Some(TARGET), "NXDOMAIN")),
        ("SERVFAIL", answered(None, Some(TARGET), "SERVFAIL")),
        ("TLS alert UnknownCA", answered(None, Some(TARGET), "TLS alert UnknownCA")),
        ("TLS alert InternalError", answered(None, Some(TARGET), "TLS alert InternalError")),
        ("UnknownIssuer", answered(None, Some(TARGET), "certificate refused: UnknownIssuer")),
        ("Expired", answered(None, Some(TARGET), "certificate refused: Expired")),
        ("connected, then silent", answered(None, Some(TARGET), "connected")),
        ("HTTP 200", answered(None, Some(TARGET), "HTTP 200")),
        ("HTTP 401", answered(None, Some(TARGET), "HTTP 401")),
        ("HTTP 403", answered(None, Some(TARGET), "HTTP 403")),
        ("HTTP 500", answered(None, Some(TARGET), "HTTP 500")),
        ("refused by it", refused(Some(TARGET))),
        ("refused by a router", refused(Some(ROUTER))),
        ("refused, sender unknown", refused(None)),
        ("silent", ProbeOutcome::Silent),
        ("unreachable", ProbeOutcome::Unreachable { why: "no route".to_owned() }),
        ("not run", ProbeOutcome::NotRun { why: "no program".to_owned() }),
    ];
    for proof in proofs {
        writeln!(table, "{proof:?}").expect("a string");
        for (said, outcome) in &answers {
            let good = match proof {
                Proof::Address => "192.168.60.10",
                _ => "HTTP 200",
            };
            let good = |address| Some(answered(None, Some(address), good));
            let mut cell = evidence(true, true, Some(outcome.clone()), false, false);
            cell.proof = proof;
            cell.control = vec![sent(2, SOURCE, good(SOURCE), &[])];
            cell.own = Some(vec![sent(3, TARGET, good(TARGET), &[])]);
            writeln!(table, "  {said:<26}{}", judge(&cell).verdict).expect("a string");
            cell.control = Vec::new();
            assert_ne!(judge(&cell).verdict, Verdict::Isolated, "without a control: {proof:?}, {said}");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn one_failed_control_of_several_makes_a_cell_inconclusive() {
    let mut cell = evidence(true, true, Some(ProbeOutcome::Silent), false, true);
    assert_eq!(judge(&cell).verdict, Verdict::Isolated);
    cell.control.push(sent(4, SOURCE, None, &[]));
    insta::assert_snapshot!(judge(&cell).why, @"the control at 'a' failed: hl1-00000001-000004: the prober returned no answer");
}

#[test]
fn an_arrival_at_a_witness_next_to_the_prober_is_no_control() {
    let mut cell = evidence(false, true, Some(ProbeOutcome::Silent), false, true);
    cell.control =
        vec![Sent { beside: vec!["a-w".to_owned()], ..sent(2, SOURCE, Some(ProbeOutcome::Silent), &["a"]) }];
    assert_eq!(judge(&cell).verdict, Verdict::Inconclusive);
    cell.control[0].beside.clear();
    assert_eq!(judge(&cell).verdict, Verdict::Isolated);
}

#[test]
fn an_arrival_in_transit_at_another_witness_is_no_control() {
    let mut cell = evidence(false, true, Some(ProbeOutcome::Silent), false, true);
    let due = |witness: &str| {
        vec![Sent { due: Some(witness.to_owned()), ..sent(2, SOURCE, Some(ProbeOutcome::Silent), &["a"]) }]
    };
    cell.control = due("a-pod");
    assert_eq!(judge(&cell).verdict, Verdict::Inconclusive);
    cell.control = due("a-w");
    assert_eq!(judge(&cell).verdict, Verdict::Isolated);
    // A probe that passes any witness of the target has left the source.
    cell.cross[0] =
        Sent { due: Some("b-pod".to_owned()), ..sent(1, TARGET, Some(ProbeOutcome::Silent), &["b"]) };
    assert_eq!(judge(&cell).verdict, Verdict::Leak);
}

#[test]
fn a_cell_without_probes_controls_witnesses_or_sent_packets_is_inconclusive() {
    let whole = || evidence(true, true, Some(ProbeOutcome::Silent), false, true);
    let empty = [
        Evidence { cross: Vec::new(), ..whole() },
        Evidence { control: Vec::new(), ..whole() },
        Evidence { own: Some(Vec::new()), ..whole() },
        Evidence { witnesses: Vec::new(), ..whole() },
    ];
    for cell in empty {
        assert_eq!(judge(&cell).verdict, Verdict::Inconclusive);
    }
    let mut unsent = whole();
    unsent.cross[0].answer.as_mut().expect("an answer").sent = 0;
    assert_eq!(judge(&unsent).verdict, Verdict::Inconclusive);
}

#[test]
fn an_answer_to_a_multicast_from_the_own_side_is_isolated_and_one_from_the_target_is_a_leak() {
    let mut cell = evidence(true, true, Some(hello("a", SOURCE)), false, true);
    let to = "224.0.0.1:7002".parse().expect("an address");
    cell.cross[0].ask = Some(Ask::Group { to, link: None });
    assert_eq!(judge(&cell).verdict, Verdict::Isolated);
    let both = vec!["witness a-w from 192.168.60.10".to_owned(), "witness b-w from 192.168.61.10".to_owned()];
    let both = ProbeOutcome::Answered { identity: Some("a-w".to_owned()), from: None, what: both };
    cell.cross[0].answer.as_mut().expect("an answer").outcome = both;
    assert_eq!(judge(&cell).verdict, Verdict::Leak, "the second of two answers");
    cell.cross[0] = sent(1, TARGET, Some(ProbeOutcome::Silent), &["c"]);
    insta::assert_snapshot!(judge(&cell).why, @"hl1-00000001-000001 arrived as tcp from a at witness c-w, which is a witness of 'c'");
}
