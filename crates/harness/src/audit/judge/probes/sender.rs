//! What a sender's outcome means: the target was reached, nothing was heard of it, or neither is known.

use std::net::IpAddr;

use probe::Outcome;

use crate::audit::class::Proof;
use crate::audit::judge::evidence::{Party, Sent};
use crate::audit::judge::outcome;

/// What the sender's side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The target was reached.
    Reached(String),
    /// Nothing was heard of it, though the question was asked.
    Nothing(String),
    /// Neither is known.
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

/// What a probe's answer says about the target.
pub(super) fn heard(proof: Proof, sent: &Sent, source: &Party, target: &Party) -> Heard {
    let unknown = |why: String| match &sent.broken {
        Some(broken) => Heard::Unknown(format!("{}: {why}; {broken}", sent.nonce)),
        None => Heard::Unknown(format!("{}: {why}", sent.nonce)),
    };
    if sent.ask.is_none() {
        return unknown("the probe was not planned".to_owned());
    }
    let outcome = match outcome(sent.answer.as_ref()) {
        Err(why) => return unknown(why),
        Ok(outcome) => outcome,
    };
    let packets = sent.answer.as_ref().map_or(0, |answer| answer.sent);
    if packets == 0 && matches!(outcome, Outcome::Silent) {
        return unknown("no answer, and no packet was sent".to_owned());
    }
    if let Outcome::Seen { .. } = outcome {
        return unknown("the answer does not match the probe".to_owned());
    }
    match proof {
        Proof::Witnessed | Proof::Answer => by_whom(outcome, sent, source, target),
        Proof::AnyAnswer => match outcome {
            Outcome::Answered { what, .. } => {
                Heard::Reached(format!("a system answered: {}", what.join(", ")))
            }
            Outcome::Refused { .. } => {
                unknown("refused, although this kind of probe has no refusal".to_owned())
            }
            quiet => Heard::Nothing(quiet_words(quiet)),
        },
        Proof::Address => match outcome {
            Outcome::Answered { what, .. } if what.iter().any(|word| word.parse::<IpAddr>().is_ok()) => {
                Heard::Reached(format!("the name has an address: {}", what.join(", ")))
            }
            Outcome::Answered { what, .. }
                if what.iter().any(|word| NO_SUCH_NAME.contains(&word.as_str())) =>
            {
                Heard::Nothing(format!("no address: {}", what.join(", ")))
            }
            other => unknown(format!("the name server gave no usable answer: {}", words(other))),
        },
        Proof::Login => match outcome {
            Outcome::Answered { what, .. } => match status(what) {
                Some(200..=299) => {
                    Heard::Reached(format!("the server accepted the credentials: {}", what.join(", ")))
                }
                Some(401) => Heard::Nothing("HTTP 401".to_owned()),
                _ => unknown(format!("neither accepted nor refused with 401: {}", what.join(", "))),
            },
            other => unknown(format!("the server did not answer: {}", words(other))),
        },
        Proof::Handshake => match outcome {
            Outcome::Answered { what, .. } if status(what).is_some() => {
                Heard::Reached(format!("the TLS handshake succeeded: {}", what.join(", ")))
            }
            Outcome::Answered { what, .. } if what.iter().any(|word| is_distrust(word)) => {
                Heard::Nothing(format!("refused: {}", what.join(", ")))
            }
            other => unknown(format!("neither accepted nor refused for its certificate: {}", words(other))),
        },
    }
}

/// What name servers say of a name that is not there. `SERVFAIL` says that they do not know.
const NO_SUCH_NAME: [&str; 2] = ["NXDOMAIN", "NODATA"];

/// Whether one side refused the other's certificate for who vouches for it. Refusals of names and dates come after
/// that, and alerts of other kinds have other reasons (RFC 8446, section 6.2).
fn is_distrust(word: &str) -> bool {
    const ALERTS: [&str; 4] = ["BadCertificate", "UnknownCA", "CertificateUnknown", "CertificateRequired"];
    match (word.strip_prefix("certificate refused: "), word.strip_prefix("TLS alert ")) {
        (Some(why), _) => ["UnknownIssuer", "BadSignature"].contains(&why),
        (_, Some(alert)) => ALERTS.contains(&alert),
        _ => false,
    }
}

/// Who answered or refused: only the target's own answer counts, and one's own proves that the target was not asked.
fn by_whom(outcome: &Outcome, sent: &Sent, source: &Party, target: &Party) -> Heard {
    let is = |party: &Party, from: IpAddr| party.addresses.contains(&from);
    let cross = source.name != target.name;
    // A connection is answered by whom it leads to, even where the prober cannot say from where.
    let asked = |from: &Option<IpAddr>| from.is_none() || *from == sent.to();
    match outcome {
        // Of several who answered a group, only the first has its identity to itself.
        Outcome::Answered { what, .. } if sent.is_to_a_group() && names(what, &target.witnesses) => {
            Heard::Reached(format!("{}: answered by {}", sent.nonce, what.join(", ")))
        }
        Outcome::Answered { identity: Some(who), .. } => {
            if target.witnesses.contains(who) {
                return Heard::Reached(format!("{}: '{who}' answered", sent.nonce));
            }
            if cross && source.witnesses.contains(who) {
                return at_home(sent, who);
            }
            Heard::Unknown(format!("{}: '{who}' answered instead of the target", sent.nonce))
        }
        Outcome::Answered { identity: None, from, what } => {
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
        Outcome::Refused { from: Some(from), what } => {
            let what = what.join(", ");
            if is(target, *from) || Some(*from) == sent.to() {
                return Heard::Reached(format!("{from} refused: {what}"));
            }
            Heard::Nothing(format!("{from} refused in the target's place: {what}"))
        }
        Outcome::Refused { from: None, what } => {
            Heard::Unknown(format!("{}: refused by an unidentified peer: {}", sent.nonce, what.join(", ")))
        }
        other => Heard::Nothing(quiet_words(other)),
    }
}

/// Whether one of these witnesses is named among those who answered: `witness <identity> from <address>`.
fn names(what: &[String], witnesses: &[String]) -> bool {
    let named = what.iter().filter_map(|word| word.strip_prefix("witness ")?.split(' ').next());
    named.into_iter().any(|name| witnesses.iter().any(|witness| witness == name))
}

/// The own instance answered what was asked of another. A group is asked on one's own link, where neighbours may
/// answer; anything else was answered in the target's place: addresses are equal, and the target was never asked.
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

fn quiet_words(outcome: &Outcome) -> String {
    format!("no answer: {}", words(outcome))
}

/// An outcome, as reports say it.
pub(in crate::audit) fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered { identity, from, what } => {
            let who = identity.clone().or_else(|| from.map(|from| from.to_string()));
            format!("answered by {}: {}", who.as_deref().unwrap_or("an unidentified peer"), what.join(", "))
        }
        Outcome::Refused { from, what } => {
            let from = from.map_or_else(|| "an unidentified peer".to_owned(), |from| from.to_string());
            format!("refused by {from}: {}", what.join(", "))
        }
        Outcome::Unreachable { why } => format!("unreachable: {why}"),
        Outcome::Silent => "silent until the time-out".to_owned(),
        Outcome::NotRun { why } => format!("not run: {why}"),
        Outcome::Seen { lines, .. } => format!("seen: {} lines", lines.len()),
    }
}
