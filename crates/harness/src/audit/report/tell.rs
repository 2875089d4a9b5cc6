//! Evidence in words. Texts name the kind of credentials in a probe, and never the credentials.

use std::fmt::Write;
use std::net::IpAddr;

use jiff::Timestamp;
use probe::{Arrival, Ask, Credentials, Mac, NextHop};
use x509_parser::pem::parse_x509_pem;

use super::model::{CellReport, EvidenceReport, ProbeReport, WitnessReport};
use crate::audit::judge::{Evidence, Sent, words};

pub(super) fn evidence(evidence: &Evidence) -> EvidenceReport {
    let all = |sent: &[Sent]| sent.iter().map(probe).collect();
    let witness = |state: &crate::audit::judge::WitnessState| WitnessReport {
        witness: state.witness.clone(),
        doubt: state.doubt.clone(),
    };
    EvidenceReport {
        question: all(&evidence.cross),
        control: all(&evidence.control),
        own: evidence.own.as_deref().map(all).unwrap_or_default(),
        witnesses: evidence.witnesses.iter().map(witness).collect(),
    }
}

fn probe(sent: &Sent) -> ProbeReport {
    let arrivals = sent.arrivals.iter().map(|(owner, witness, arrival)| arrived(owner, witness, arrival));
    let silence = sent.broken.clone().unwrap_or_else(|| "the prober returned no answer".to_owned());
    ProbeReport {
        nonce: sent.nonce.to_string(),
        from: sent.from.as_ref().map_or_else(|| "an unknown place".to_owned(), ToString::to_string),
        command: sent.command.clone(),
        sent: sent.ask.as_ref().map_or_else(|| "no planned probe".to_owned(), ask),
        at: sent.answer.as_ref().map(|answer| time(answer.at_us)),
        packets: sent.answer.as_ref().map_or(0, |answer| answer.sent),
        answer: sent.answer.as_ref().map_or(silence, |answer| words(&answer.outcome)),
        arrivals: arrivals.collect(),
    }
}

fn arrived(owner: &str, witness: &str, arrival: &Arrival) -> String {
    let mut text = format!("{} at {witness} of '{owner}': {}", time(arrival.at_us), arrival.protocol);
    for (word, value) in [("on", &arrival.link), ("from", &arrival.from), ("to", &arrival.to)] {
        if let Some(value) = value {
            let _ = write!(text, " {word} {value}");
        }
    }
    text
}

fn time(us: u64) -> String {
    let time = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| format!("{us} µs"), |time| time.to_string())
}

/// The description of a probe.
fn ask(ask: &Ask) -> String {
    let link = |link: &Option<String>| link.as_ref().map_or(String::new(), |link| format!(" on {link}"));
    match ask {
        Ask::Tcp { to } => format!("TCP connection to {to}"),
        Ask::HeldTcp { to, hold_ms } => format!("TCP connection to {to}, used after {hold_ms} ms"),
        Ask::Syn { to, ports, via, from } => {
            format!("SYN to {to}, ports {}{}", ranges(ports), way(via, from))
        }
        Ask::Datagrams { to, ports, via, from } => {
            format!("UDP datagrams to {to}, ports {}{}", ranges(ports), way(via, from))
        }
        Ask::Protocols { to, protocols, via, from } => {
            format!("IP packets to {to}, protocols {}{}", ranges(protocols), way(via, from))
        }
        Ask::Frames { link, to, source, types, vlans, saps } => {
            let types = types.iter().map(|(first, last)| format!("{first:#06x}-{last:#06x}")).collect();
            let parts: [(&str, Vec<String>); 5] = [
                ("to", to.iter().map(Mac::to_string).collect()),
                ("from", source.iter().map(Mac::to_string).collect()),
                ("of EtherTypes", types),
                ("of VLANs", vlans.iter().map(u16::to_string).collect()),
                ("to SAPs", saps.iter().map(|sap| format!("{sap:#04x}")).collect()),
            ];
            let mut text = format!("Ethernet frames on {link}");
            for (word, values) in parts.iter().filter(|(_, values)| !values.is_empty()) {
                let _ = write!(text, " {word} {}", values.join(" "));
            }
            text
        }
        Ask::NextHops { link, net, prefix } => format!("search for neighbours on {link} in {net}/{prefix}"),
        Ask::Udp { to, size } => format!("UDP datagram of {size} bytes to {to}"),
        Ask::Ping { to, size, dont_fragment } => {
            format!(
                "ICMP echo of {size} bytes to {to}{}",
                if *dont_fragment { ", not to be fragmented" } else { "" }
            )
        }
        Ask::Arp { target, link: by } => format!("ARP request for {target}{}", link(by)),
        Ask::Neighbour { target, link: by } => format!("neighbour solicitation for {target}{}", link(by)),
        Ask::Advertise { link: by } => format!("router advertisement{}", link(by)),
        Ask::Group { to, link: by } => format!("multicast or broadcast UDP datagram to {to}{}", link(by)),
        Ask::Raw { to, protocol } => format!("IP packet of protocol {protocol} to {to}"),
        Ask::Overlay { to, overlay, inner } => {
            format!("{overlay:?} packet to {to} with the inner destination {inner}")
        }
        Ask::Dns { server, name } => format!("DNS query for {name} to {server}"),
        Ask::Https { to, name, path, credentials, authority } => {
            let shown = match credentials {
                Credentials::None => "without credentials".to_owned(),
                Credentials::Certificate { certificate, .. } => {
                    format!("with a client certificate{}", owner(certificate))
                }
                Credentials::FrontProxy { certificate, user, group, .. } => format!(
                    "with a front proxy's client certificate{}, for the user {user} of the group {group}",
                    owner(certificate)
                ),
                Credentials::Token { .. } => "with a token".to_owned(),
            };
            let only = if authority.is_some() { ", trusting one authority only" } else { "" };
            format!("GET https://{name}{path} at {to}, {shown}{only}")
        }
        Ask::Unix { path } => format!("connection to the socket {path}"),
        Ask::Look { at } => format!("inspection of {}", format!("{at:?}").to_lowercase()),
    }
}

/// The owner of a certificate, such as ` of O=system:nodes, CN=system:node:acme-cp-1`; nothing if it cannot be read.
fn owner(certificate: &str) -> String {
    let pem = parse_x509_pem(certificate.as_bytes()).ok().map(|(_, pem)| pem);
    let subject = pem.as_ref().and_then(|pem| Some(pem.parse_x509().ok()?.subject().to_string()));
    subject.map_or_else(String::new, |subject| format!(" of {subject}"))
}

/// Ranges of numbers, such as `22 80-82`.
fn ranges<T: Copy + Eq + std::fmt::Display>(ranges: &[(T, T)]) -> String {
    let range = |(first, last): &(T, T)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(" ")
}

/// The next hop and the source address of a scan, where they are not the kernel's.
fn way(via: &Option<NextHop>, from: &Option<IpAddr>) -> String {
    let via = via.as_ref().map_or(String::new(), |via| format!(", via {} on {}", via.mac, via.link));
    from.map_or(via.clone(), |from| format!("{via}, from {from}"))
}

/// The name of a cell in one line: `N3 tcp, a pod of acme → globex`.
pub(super) fn name(cell: &CellReport) -> String {
    format!("{} {}, {} → {}", cell.class, cell.protocol, cell.viewpoint, cell.target)
}

/// A cell with its verdict, its reason and its evidence, as plain text.
pub(super) fn cell(cell: &CellReport) -> String {
    format!("{} {}\n{}", cell.verdict, name(cell), reasons(cell))
}

/// The reason for a cell's verdict and its evidence, indented.
pub(super) fn reasons(cell: &CellReport) -> String {
    let mut text = format!("  {}\n", cell.why);
    if let Some(reason) = &cell.accepted {
        let _ = writeln!(text, "  accepted: {reason}");
    }
    let Some(evidence) = &cell.evidence else { return text };
    for (title, probes) in sections(evidence) {
        let _ = writeln!(text, "  {title}:");
        for probe in probes {
            let at = probe.at.as_deref().unwrap_or("an unknown time");
            let _ = writeln!(text, "    {} from {} at {at}: {}", probe.nonce, probe.from, probe.sent);
            if let Some(command) = &probe.command {
                let _ = writeln!(text, "      $ {command}");
            }
            let _ =
                writeln!(text, "      sent {}; {}", count(probe.packets as usize, "packet"), probe.answer);
            for arrival in &probe.arrivals {
                let _ = writeln!(text, "      arrived {arrival}");
            }
        }
    }
    for witness in &evidence.witnesses {
        let state = witness.doubt.as_deref().unwrap_or("ran for the whole audit and saw its last probe");
        let _ = writeln!(text, "  witness {}: {state}", witness.witness);
    }
    text
}

/// `1 packet`, `3 packets`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The parts of the evidence that have probes, with their captions.
pub(super) fn sections(evidence: &EvidenceReport) -> Vec<(&'static str, &[ProbeReport])> {
    let all = [
        ("probes", evidence.question.as_slice()),
        ("control at the source", &evidence.control),
        ("control at the target", &evidence.own),
    ];
    all.into_iter().filter(|(_, probes)| !probes.is_empty()).collect()
}
