//! Interprets the answer of a prober: the target was reached, it did not answer, or neither is known.

use std::net::IpAddr;

use probe::ProbeOutcome;

use crate::audit::class::Proof;
use crate::audit::judge::evidence::{Party, Sent};
use crate::audit::judge::outcome;

/// The meaning of a prober's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The target was reached: the evidence, as a sentence.
    Reached(String),
    /// The probe was sent, and the target did not answer: the reason, as a sentence.
    Nothing(String),
    /// Neither is known: the reason, as a sentence.
    Unknown(String),
}

impl Heard {
    pub(super) fn reached(&self) -> Option<&str> {
        match self {
            Self::Reached(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

/// Interprets the answer to one probe. In a control, `source` is the target as well.
pub(super) fn heard(proof: Proof, sent: &Sent, source: &Party, target: &Party) -> Heard {
    let unknown = |why: String| match &sent.broken {
        Some(broken) => Heard::Unknown(format!("{}: {why}; {broken}", sent.nonce)),
        None => Heard::Unknown(format!("{}: {why}", sent.nonce)),
    };
    let Some(ask) = &sent.ask else { return unknown("the probe was not planned".to_owned()) };
    let outcome = match outcome(sent.answer.as_ref()) {
        Err(why) => return unknown(why),
        Ok(outcome) => outcome,
    };
    let packets = sent.answer.as_ref().map_or(0, |answer| u64::from(answer.sent));
    if packets < ask.packets_at_least() && matches!(outcome, ProbeOutcome::Silent) {
        return unknown(format!(
            "no answer, but only {packets} of {} packets were sent",
            ask.packets_at_least()
        ));
    }
    if let ProbeOutcome::Seen { .. } = outcome {
        return unknown("the answer does not match the probe".to_owned());
    }
    match proof {
        Proof::Witnessed | Proof::Answer => by_whom(outcome, sent, source, target),
        Proof::AnyAnswer => match outcome {
            ProbeOutcome::Answered { what, .. } => {
                Heard::Reached(format!("a system answered: {}", what.join(", ")))
            }
            ProbeOutcome::Refused { .. } => {
                unknown("refused, although this kind of probe has no refusal".to_owned())
            }
            quiet => Heard::Nothing(quiet_words(quiet)),
        },
        Proof::Address => match outcome {
            ProbeOutcome::Answered { what, .. } if what.iter().any(|word| word.parse::<IpAddr>().is_ok()) => {
                Heard::Reached(format!("the name has an address: {}", what.join(", ")))
            }
            ProbeOutcome::Answered { what, .. }
                if what.iter().any(|word| NO_SUCH_NAME.contains(&word.as_str())) =>
            {
                Heard::Nothing(format!("no address: {}", what.join(", ")))
            }
            other => unknown(format!("the name server gave no usable answer: {}", words(other))),
        },
        Proof::Login => match outcome {
            ProbeOutcome::Answered { what, .. } => match status(what) {
                Some(200..=299) => {
                    Heard::Reached(format!("the server accepted the credentials: {}", what.join(", ")))
                }
                Some(403) => Heard::Reached(format!(
                    "the server accepted the credentials, but not the request: {}",
                    what.join(", ")
                )),
                Some(401) => Heard::Nothing("HTTP 401".to_owned()),
                _ => unknown(format!("neither accepted nor refused with 401: {}", what.join(", "))),
            },
            other => unknown(format!("the server did not answer: {}", words(other))),
        },
        Proof::Access => match outcome {
            ProbeOutcome::Answered { what, .. } => match status(what) {
                Some(200..=299) => Heard::Reached(format!("the server gave access: {}", what.join(", "))),
                Some(code @ (401 | 403)) => Heard::Nothing(format!("HTTP {code}")),
                _ => unknown(format!("neither given nor refused with 401 or 403: {}", what.join(", "))),
            },
            other => unknown(format!("the server did not answer: {}", words(other))),
        },
        Proof::Handshake => match outcome {
            ProbeOutcome::Answered { what, .. } if status(what).is_some() => {
                Heard::Reached(format!("the TLS handshake succeeded: {}", what.join(", ")))
            }
            ProbeOutcome::Answered { what, .. } if what.iter().any(|word| is_distrust(word)) => {
                Heard::Nothing(format!("refused: {}", what.join(", ")))
            }
            other => unknown(format!("neither accepted nor refused for its certificate: {}", words(other))),
        },
    }
}

/// The answers of a name server for a name that does not exist. `SERVFAIL` means that the server does not know.
const NO_SUCH_NAME: [&str; 2] = ["NXDOMAIN", "NODATA"];

/// Whether one side refused the other's certificate because of its issuer. Names and dates are checked after the
/// issuer, and alerts of other kinds have other reasons (RFC 8446, section 6.2).
fn is_distrust(word: &str) -> bool {
    const ALERTS: [&str; 4] = ["BadCertificate", "UnknownCA", "CertificateUnknown", "CertificateRequired"];
    match (word.strip_prefix("certificate refused: "), word.strip_prefix("TLS alert ")) {
        (Some(why), _) => ["UnknownIssuer", "BadSignature"].contains(&why),
        (_, Some(alert)) => ALERTS.contains(&alert),
        _ => false,
    }
}

/// Interprets an answer by its sender: only an answer of the target counts. An answer of the source itself proves that
/// the probe did not reach the target.
fn by_whom(outcome: &ProbeOutcome, sent: &Sent, source: &Party, target: &Party) -> Heard {
    let is = |party: &Party, from: IpAddr| party.addresses.contains(&from);
    let cross = source.name != target.name;
    // The peer of a connection answers, even where the prober cannot report its address.
    let asked = |from: &Option<IpAddr>| from.is_none() || *from == sent.to();
    match outcome {
        // When several systems answer a group, only the first one is in `identity`; all are in `what`.
        ProbeOutcome::Answered { what, .. } if sent.is_to_a_group() && names(what, &target.witnesses) => {
            Heard::Reached(format!("{}: answered by {}", sent.nonce, what.join(", ")))
        }
        ProbeOutcome::Answered { identity: Some(who), .. } => {
            if target.witnesses.contains(who) {
                return Heard::Reached(format!("{}: '{who}' answered", sent.nonce));
            }
            if cross && source.witnesses.contains(who) {
                return at_home(sent, who);
            }
            Heard::Unknown(format!("{}: '{who}' answered instead of the target", sent.nonce))
        }
        ProbeOutcome::Answered { identity: None, from, what } => {
            let what = what.join(", ");
            match from {
                Some(from) if is(target, *from) => Heard::Reached(format!("{from} answered: {what}")),
                Some(from) if cross && is(source, *from) => at_home(sent, &from.to_string()),
                from if asked(from) && !sent.is_to_a_group() => {
                    Heard::Reached(format!("{}: answered: {what}", sent.nonce))
                }
                Some(from) => {
                    Heard::Unknown(format!("{}: {from} answered instead of the target: {what}", sent.nonce))
                }
                None => Heard::Unknown(format!("{}: an unidentified peer answered: {what}", sent.nonce)),
            }
        }
        ProbeOutcome::Refused { from: Some(from), what } => {
            let what = what.join(", ");
            if is(target, *from) || Some(*from) == sent.to() {
                return Heard::Reached(format!("{from} refused: {what}"));
            }
            Heard::Nothing(format!("{from} refused in the target's place: {what}"))
        }
        ProbeOutcome::Refused { from: None, what } => {
            Heard::Unknown(format!("{}: refused by an unidentified peer: {}", sent.nonce, what.join(", ")))
        }
        other => Heard::Nothing(quiet_words(other)),
    }
}

/// Whether the answers name one of these witnesses: `witness <identity> from <address>`.
fn names(what: &[String], witnesses: &[String]) -> bool {
    let named = what.iter().filter_map(|word| word.strip_prefix("witness ")?.split(' ').next());
    named.into_iter().any(|name| witnesses.iter().any(|witness| witness == name))
}

/// The source's own instance answered a probe to the target. A probe to a group goes out on the source's own link,
/// where neighbours may answer. Any other such answer means that both instances use one address, and the probe did not
/// reach the target.
fn at_home(sent: &Sent, who: &str) -> Heard {
    if sent.is_to_a_group() {
        return Heard::Nothing(format!("only {who} answered, a neighbour of the prober"));
    }
    Heard::Unknown(format!(
        "{}: '{who}' of the source itself answered: the probe did not reach the target",
        sent.nonce
    ))
}

fn status(what: &[String]) -> Option<u16> {
    what.iter().find_map(|word| word.strip_prefix("HTTP ")?.get(..3)?.parse().ok())
}

fn quiet_words(outcome: &ProbeOutcome) -> String {
    format!("no answer: {}", words(outcome))
}

/// An outcome as a sentence for reports.
pub(in crate::audit) fn words(outcome: &ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Answered { identity, from, what } => {
            let who = identity.clone().or_else(|| from.map(|from| from.to_string()));
            format!("answered by {}: {}", who.as_deref().unwrap_or("an unidentified peer"), what.join(", "))
        }
        ProbeOutcome::Refused { from, what } => {
            let from = from.map_or_else(|| "an unidentified peer".to_owned(), |from| from.to_string());
            format!("refused by {from}: {}", what.join(", "))
        }
        ProbeOutcome::Unreachable { why } => format!("unreachable: {why}"),
        ProbeOutcome::Silent => "silent until the time-out".to_owned(),
        ProbeOutcome::NotRun { why } => format!("not run: {why}"),
        ProbeOutcome::Seen { lines, .. } => format!("seen: {} lines", lines.len()),
    }
}
