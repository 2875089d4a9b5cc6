//! Whether everything by which a probe reached the target is a declared path.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use probe::{Ask, ProbeOutcome};

use crate::audit::class::Proof;
use crate::audit::declared::{DeclaredPath, DeclaredProtocol};
use crate::audit::judge::evidence::{Evidence, Sent};

/// The declarations that explain how a probe of the cell reached the target. `None` if a part of it is not declared, or
/// if it is not known by which ports the probe reached the target.
pub(super) fn explained<'a>(evidence: &'a Evidence, sent: &Sent) -> Option<Vec<&'a DeclaredPath>> {
    // What a server accepts is no path.
    if !matches!(evidence.proof, Proof::Witnessed | Proof::Answer) {
        return None;
    }
    let (protocol, ends) = ends(sent, &evidence.source.name)?;
    let by = |to: &SocketAddr| evidence.declared.iter().find(|path| path.covers(protocol, *to));
    let mut paths = ends.iter().map(by).collect::<Option<Vec<_>>>()?;
    paths.dedup();
    (!paths.is_empty()).then_some(paths)
}

/// The declared paths that were used, as a sentence.
pub(super) fn words(paths: Vec<&DeclaredPath>) -> String {
    let words: BTreeSet<String> = paths.into_iter().map(ToString::to_string).collect();
    format!("reached by declared paths only: {}", Vec::from_iter(words).join("; "))
}

/// The destinations at which a probe reached a system outside of the source. `None` for a probe that has no ports.
fn ends(sent: &Sent, source: &str) -> Option<(DeclaredProtocol, Vec<SocketAddr>)> {
    let (protocol, to) = match sent.ask.as_ref()? {
        Ask::Tcp { to } | Ask::HeldTcp { to, .. } | Ask::Https { to, .. } => {
            return Some((DeclaredProtocol::Tcp, vec![*to]));
        }
        Ask::Udp { to, .. } | Ask::Dns { server: to, .. } => return Some((DeclaredProtocol::Udp, vec![*to])),
        Ask::Syn { to, .. } => (DeclaredProtocol::Tcp, *to),
        Ask::Datagrams { to, .. } => (DeclaredProtocol::Udp, *to),
        _ => return None,
    };
    let outside = sent.arrivals.iter().filter(|(owner, ..)| owner != source);
    let seen = outside.map(|(.., arrival)| arrival.to.as_deref()?.parse::<SocketAddr>().ok());
    let seen = seen.collect::<Option<Vec<_>>>()?;
    let heard = match sent.answer.as_ref().map(|answer| &answer.outcome) {
        Some(ProbeOutcome::Answered { what, .. } | ProbeOutcome::Refused { what, .. }) => {
            what.iter().map(|word| ports(word)).collect::<Option<Vec<_>>>()?.concat()
        }
        _ => Vec::new(),
    };
    let answered = heard.into_iter().flat_map(|(first, last)| first..=last);
    // A service translates the destination, so the pod's witness sees another one; the node's sees the original.
    let seen = seen.into_iter().filter(|end| end.ip() == to).map(|end| end.port());
    let ends: Vec<SocketAddr> = seen.chain(answered).map(|port| SocketAddr::new(to, port)).collect();
    (!ends.is_empty()).then_some((protocol, ends))
}

/// The ports in the words of a sweep: `SYN-ACK from 22 80-82`, `RST from 22, says 192.168.60.1`.
fn ports(words: &str) -> Option<Vec<(u16, u16)>> {
    let (_, listed) = words.split_once(" from ")?;
    let listed = listed.split(", says ").next()?;
    let range = |word: &str| match word.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => word.parse().ok().map(|port| (port, port)),
    };
    listed.split(' ').map(range).collect()
}

#[cfg(test)]
mod tests {
    use probe::{Answer, Arrival, Nonce};

    use super::*;
    use crate::audit::judge::{Party, WitnessState, judge};
    use crate::audit::sample::declared;
    use crate::audit::verdict::Verdict;

    const SOURCE: &str = "192.168.60.10";
    const TARGET: &str = "192.168.61.10";

    fn party(name: &str, address: &str) -> Party {
        let witnesses = vec![format!("{name}-w")];
        Party { name: name.to_owned(), addresses: vec![address.parse().unwrap()], witnesses }
    }

    fn tcp(to: &str) -> Ask {
        Ask::Tcp { to: to.parse().unwrap() }
    }

    fn sweep() -> Ask {
        Ask::Syn { to: TARGET.parse().unwrap(), ports: vec![(1, 65535)], via: None, from: None }
    }

    fn sent(number: u32, ask: Ask, outcome: ProbeOutcome, arrived: &[(&str, &str)]) -> Sent {
        let nonce = Nonce::new(1, number);
        let arrival = |(protocol, to): &(&str, &str)| {
            let arrival = Arrival {
                nonce: nonce.clone(),
                at_us: 1,
                link: None,
                protocol: (*protocol).to_owned(),
                from: None,
                to: Some((*to).to_owned()),
            };
            ("b".to_owned(), "b-w".to_owned(), arrival)
        };
        Sent {
            answer: Some(Answer { nonce: nonce.clone(), sent: 200_000, at_us: 1, outcome }),
            from: None,
            ask: Some(ask),
            command: None,
            broken: None,
            beside: Vec::new(),
            due: None,
            arrivals: arrived.iter().map(arrival).collect(),
            nonce,
        }
    }

    fn answered(from: &str, what: &str) -> ProbeOutcome {
        let from = Some(from.parse().unwrap());
        ProbeOutcome::Answered { identity: None, from, what: vec![what.to_owned()] }
    }

    fn verdict(proof: Proof, cross: Vec<Sent>, healthy: bool) -> Verdict {
        let control = |number, to: &str| {
            let hello = ProbeOutcome::Answered {
                identity: Some(if to == SOURCE { "a-w" } else { "b-w" }.to_owned()),
                from: Some(to.parse().unwrap()),
                what: vec!["HTTP 200".to_owned()],
            };
            let end = format!("{to}:443");
            sent(number, tcp(&end), hello, &[("tcp", &end)])
        };
        let doubt = (!healthy).then(|| "it lost 3 packets".to_owned());
        let evidence = Evidence {
            proof,
            source: party("a", SOURCE),
            target: party("b", TARGET),
            cross,
            control: vec![control(8, SOURCE)],
            own: Some(vec![control(9, TARGET)]),
            witnesses: vec![WitnessState { witness: "b-w".to_owned(), doubt }],
            declared: vec![declared("b", "192.168.61.10/32", (443, 445))],
        };
        judge(&evidence).verdict
    }

    #[test]
    fn a_declared_path_is_expected_and_everything_beyond_it_is_a_leak() {
        use Verdict::{Expected, Leak};
        let ask = |to: &str| tcp(to);
        let udp = Ask::Udp { to: "192.168.61.10:443".parse().unwrap(), size: 64 };
        let ping = Ask::Ping { to: TARGET.parse().unwrap(), size: 64, dont_fragment: false };
        let silent = || ProbeOutcome::Silent;
        let refused = |from: &str, what: &str| ProbeOutcome::Refused {
            from: Some(from.parse().unwrap()),
            what: vec![what.to_owned()],
        };
        for (expected, name, sent) in [
            (
                Expected,
                "the declared port answers",
                sent(1, ask("192.168.61.10:443"), answered(TARGET, "hello"), &[]),
            ),
            (
                Expected,
                "it arrives one way",
                sent(1, ask("192.168.61.10:445"), silent(), &[("tcp", "192.168.61.10:445")]),
            ),
            (Leak, "another port", sent(1, ask("192.168.61.10:446"), answered(TARGET, "hello"), &[])),
            (
                Leak,
                "another address",
                sent(1, ask("192.168.61.11:443"), silent(), &[("tcp", "192.168.61.11:443")]),
            ),
            (Leak, "another protocol", sent(1, udp, silent(), &[("udp", "192.168.61.10:443")])),
            (Leak, "a protocol without ports", sent(1, ping, answered(TARGET, "echo reply"), &[])),
            (
                Expected,
                "a sweep that finds the declared ports",
                sent(1, sweep(), answered(TARGET, "SYN-ACK from 443-444"), &[]),
            ),
            (Expected, "a sweep to closed ports", sent(1, sweep(), refused(TARGET, "RST from 443 445"), &[])),
            (
                Leak,
                "a sweep that finds one more",
                sent(1, sweep(), answered(TARGET, "SYN-ACK from 22 443"), &[]),
            ),
            (
                Leak,
                "more ports than are listed",
                sent(1, sweep(), answered(TARGET, "SYN-ACK from 443 and 7 more"), &[]),
            ),
            (
                Leak,
                "a sweep seen at another port",
                sent(1, sweep(), answered(TARGET, "SYN-ACK from 443"), &[("tcp", "192.168.61.10:80")]),
            ),
            (
                Expected,
                "a translated destination",
                sent(1, sweep(), silent(), &[("tcp", "192.168.61.10:443"), ("tcp", "10.245.1.5:7001")]),
            ),
            (
                Leak,
                "a translated destination alone",
                sent(1, sweep(), silent(), &[("tcp", "10.245.1.5:443")]),
            ),
            (Leak, "an arrival without a destination", sent(1, sweep(), silent(), &[("tcp", "")])),
        ] {
            assert_eq!(verdict(Proof::Witnessed, vec![sent], true), expected, "{name}");
        }
    }

    #[test]
    fn a_declared_path_explains_neither_other_probes_of_the_cell_nor_credentials_nor_missing_evidence() {
        let on_path = || sent(1, tcp("192.168.61.10:443"), answered(TARGET, "hello"), &[]);
        let beyond = sent(2, tcp("192.168.61.10:80"), answered(TARGET, "hello"), &[]);
        let quiet = sent(2, tcp("192.168.61.10:80"), ProbeOutcome::Silent, &[]);
        assert_eq!(verdict(Proof::Witnessed, vec![on_path(), quiet], true), Verdict::Expected);
        assert_eq!(verdict(Proof::Witnessed, vec![on_path(), beyond], true), Verdict::Leak);
        assert_eq!(
            verdict(Proof::Witnessed, vec![on_path()], false),
            Verdict::Inconclusive,
            "a witness in doubt"
        );
        let accepted = sent(1, tcp("192.168.61.10:443"), answered(TARGET, "HTTP 200"), &[]);
        assert_eq!(verdict(Proof::Login, vec![accepted], true), Verdict::Leak);
    }
}
