//! What one prober sees around its node, before the run: one ask, and the lines of its answer.

use std::time::Duration;

use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION};

use super::InstanceProbes;

/// How long a search waits for answers after each of its two rounds. Stretched where nodes are slow.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);
/// The deadline of the ask. Stretched where nodes are slow.
const DEADLINE: Duration = Duration::from_secs(5);
/// Packets per second: a network has 256 addresses at most, unless it was made by hand.
const RATE: u32 = 10_000;

/// The lines of the answer of a prober on a node. `None` where it could not answer.
pub(super) async fn seen(deployed: &InstanceProbes, node: &str, ask: Ask) -> Option<Vec<String>> {
    let millis = |usual| deployed.slowdown().stretch(usual).as_millis();
    let batch = Batch {
        version: VERSION,
        deadline_ms: millis(DEADLINE),
        answer_timeout_ms: millis(ANSWER_TIMEOUT),
        rate: RATE,
        probes: vec![Probe { nonce: Nonce::new(0, 0), ask }],
    };
    lines(&deployed.ask_from_node(node, &batch).await.ok()?)
}

/// The lines in the output of a prober; `None` where it did not look. Pure.
fn lines(said: &[ProbeResult]) -> Option<Vec<String>> {
    said.iter().find_map(|line| match line {
        ProbeResult::Answer(answer) => match &answer.outcome {
            ProbeOutcome::Seen { lines, .. } => Some(lines.clone()),
            _ => None,
        },
        ProbeResult::End { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use probe::Answer;

    use super::*;

    #[test]
    fn lines_are_read_only_from_a_look_that_took_place() {
        let said = |outcome| {
            let answer = Answer { nonce: Nonce::new(0, 0), sent: 514, at_us: 0, outcome };
            vec![ProbeResult::Answer(answer), ProbeResult::End { answers: 1 }]
        };
        let seen = |lines: &[String]| said(ProbeOutcome::Seen { boot: None, lines: lines.to_vec() });
        let both = ["lo - up".to_owned(), "eth0 - up".to_owned()];
        assert_eq!(lines(&seen(&both)), Some(both.to_vec()));
        assert_eq!(lines(&seen(&[])), Some(Vec::new()));
        assert_eq!(lines(&said(ProbeOutcome::NotRun { why: "no root".to_owned() })), None);
        assert_eq!(lines(&[]), None);
    }
}
