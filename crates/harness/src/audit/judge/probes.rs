//! Judges cells with probes: compares the prober's answers with the reports of the target's witnesses.
//!
//! In this order: a nonce that arrived is a leak, whatever the prober reports. An answer that only the target can give
//! is a leak. Both are expected where a declared path explains them completely. Then the controls must have succeeded, the witnesses must have run for the whole audit, and the probes
//! must really have been sent. A cell that passes all of this is isolated, or expected.

mod expected;
mod sender;

use super::Evidence;
use super::evidence::Sent;
use crate::audit::class::Proof;
use crate::audit::verdict::Judgement;

pub(in crate::audit) use sender::words;
use sender::{Heard, heard};

/// The verdict of a cell with probes.
pub fn judge(evidence: &Evidence) -> Judgement {
    let Evidence { proof, source, target, cross, .. } = evidence;
    let heard: Vec<Heard> = cross.iter().map(|sent| heard(*proof, sent, source, target)).collect();
    let by_witness = cross.iter().map(|sent| (sent, arrived(sent, &source.name, &target.name)));
    let by_answer = cross.iter().zip(&heard).map(|(sent, heard)| (sent, heard.reached().map(str::to_owned)));
    let reached = by_witness.chain(by_answer).filter_map(|(sent, why)| Some((sent, why?)));
    let mut declared = Vec::new();
    for (sent, why) in reached {
        match expected::explained(evidence, sent) {
            Some(paths) => declared.extend(paths),
            None => return Judgement::leak(why),
        }
    }
    let doubt = control(evidence)
        .or_else(|| own(evidence))
        .or_else(|| witnesses(evidence))
        .or_else(|| cross.is_empty().then(|| "the cell has no probe".to_owned()))
        .or_else(|| heard.iter().find_map(Heard::unknown).map(str::to_owned));
    match doubt {
        Some(why) => Judgement::inconclusive(why),
        None if !declared.is_empty() => Judgement::expected(expected::words(declared)),
        None => Judgement::isolated(match proof {
            Proof::Witnessed => {
                "the controls answered; the prober got no answer, and no witness of the target saw the probe"
            }
            Proof::Answer | Proof::AnyAnswer => "the controls answered; this probe got no answer",
            Proof::Address => "the control's name has an address; this name has none",
            Proof::Login => "each instance accepts its own credentials; the target refused these (HTTP 401)",
            Proof::Access => {
                "each instance gives its own credentials access; the target refused this (HTTP 401 or 403)"
            }
            Proof::Handshake => "the TLS handshakes of the controls succeeded; this one was refused",
        }),
    }
}

/// A forbidden arrival of a nonce, as a sentence: any arrival outside of the source. Witnesses of the source also see
/// packets that the source sends.
fn arrived(sent: &Sent, source: &str, target: &str) -> Option<String> {
    let (owner, witness, arrival) = sent.arrivals.iter().find(|(owner, ..)| owner != source)?;
    let from = arrival.from.as_deref().map_or(String::new(), |from| format!(" from {from}"));
    let to = if owner == target { String::new() } else { format!(", which is a witness of '{owner}'") };
    Some(format!("{} arrived as {}{from} at witness {witness}{to}", sent.nonce, arrival.protocol))
}

/// Why the control at the source failed; `None` where it succeeded.
fn control(evidence: &Evidence) -> Option<String> {
    let Evidence { proof, source, control, .. } = evidence;
    let fails = |sent: &Sent| {
        let seen = *proof == Proof::Witnessed && sent.is_at(&source.name);
        // In a control the source is the target.
        if seen { None } else { lacking(sent, heard(*proof, sent, source, source)) }
    };
    match control.as_slice() {
        [] => Some("the cell has no control at the source".to_owned()),
        asked => asked.iter().find_map(|sent| {
            fails(sent).map(|why| format!("the control at '{}' failed: {why}", source.name))
        }),
    }
}

/// Why the control at the target failed; `None` where it succeeded, or where the cell needs none.
fn own(evidence: &Evidence) -> Option<String> {
    let Evidence { proof, target, own, .. } = evidence;
    let fails = |sent: &Sent| match proof {
        Proof::Witnessed => {
            (!sent.is_at(&target.name)).then(|| format!("{}: no witness saw the probe", sent.nonce))
        }
        _ => lacking(sent, heard(*proof, sent, target, target)),
    };
    match own.as_deref() {
        None => None,
        Some([]) => Some(format!("the cell has no control at '{}'", target.name)),
        Some(asked) => asked.iter().find_map(|sent| {
            fails(sent).map(|why| format!("the control at '{}' failed: {why}", target.name))
        }),
    }
}

/// Why one probe of a control failed; `None` where it reached its target.
fn lacking(sent: &Sent, heard: Heard) -> Option<String> {
    match heard {
        Heard::Reached(_) => None,
        Heard::Unknown(why) => Some(why),
        Heard::Nothing(what) => Some(format!("{}: {what}", sent.nonce)),
    }
}

/// Why the silence of the target's witnesses proves nothing; `None` where it is proof, or where no witness is needed.
fn witnesses(evidence: &Evidence) -> Option<String> {
    if evidence.proof != Proof::Witnessed {
        return None;
    }
    if evidence.witnesses.is_empty() {
        return Some(format!("'{}' has no witness", evidence.target.name));
    }
    let doubts = evidence.witnesses.iter();
    doubts.filter_map(|state| Some(format!("witness {}: {}", state.witness, state.doubt.as_ref()?))).next()
}

#[cfg(test)]
mod tests;
