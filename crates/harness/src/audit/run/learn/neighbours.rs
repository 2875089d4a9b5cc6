//! The systems on the links of nodes, planned or not: each is a next hop that an attacker on the node could use.

use std::time::Duration;

use futures::future::join_all;
use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION};

use crate::audit::{ClassId, Neighbour, Selection};
use crate::cluster::TestCluster;

use super::InstanceProbes;

/// How long the search waits for answers after each of its two rounds. Stretched where nodes are slow.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);
/// The deadline of the search. Stretched where nodes are slow.
const DEADLINE: Duration = Duration::from_secs(5);
/// Packets per second: a network has 256 addresses at most, unless it was made by hand.
const RATE: u32 = 10_000;

/// The neighbours of each node on its link into the instance's network, in the order of the nodes. `None` where they
/// could not be asked, or no selected class needs them.
pub(super) async fn all(
    cluster: &TestCluster,
    deployed: &InstanceProbes,
    selection: &Selection,
) -> Vec<Option<Vec<Neighbour>>> {
    if !selection.has(ClassId::N16) {
        return vec![None; cluster.nodes().len()];
    }
    let plan = &cluster.inner().plan;
    let millis = |usual| cluster.slowdown().stretch(usual).as_millis();
    let asked = cluster.nodes().iter().map(async |node| {
        let ask = Ask::NextHops {
            link: plan.platform.link.to_owned(),
            net: plan.subnet.network(),
            prefix: plan.subnet.prefix_len(),
        };
        let batch = Batch {
            version: VERSION,
            deadline_ms: millis(DEADLINE),
            answer_timeout_ms: millis(ANSWER_TIMEOUT),
            rate: RATE,
            probes: vec![Probe { nonce: Nonce::new(0, 0), ask }],
        };
        found(&deployed.ask_from_node(node.real_name(), &batch).await.ok()?)
    });
    join_all(asked).await
}

/// The neighbours in the output of a prober; `None` where it did not search. Pure.
fn found(said: &[ProbeResult]) -> Option<Vec<Neighbour>> {
    let lines = said.iter().find_map(|line| match line {
        ProbeResult::Answer(answer) => match &answer.outcome {
            ProbeOutcome::Seen { lines, .. } => Some(lines),
            _ => None,
        },
        ProbeResult::End { .. } => None,
    });
    lines?.iter().map(|line| neighbour(line)).collect()
}

/// A line such as `192.168.60.1 02:00:c0:a8:3c:01`.
fn neighbour(line: &str) -> Option<Neighbour> {
    let (address, mac) = line.split_once(' ')?;
    Some(Neighbour { address: address.parse().ok()?, mac: mac.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use probe::Answer;

    use super::*;

    fn said(outcome: ProbeOutcome) -> Vec<ProbeResult> {
        let answer = Answer { nonce: Nonce::new(0, 0), sent: 514, at_us: 0, outcome };
        vec![ProbeResult::Answer(answer), ProbeResult::End { answers: 1 }]
    }

    #[test]
    fn neighbours_are_read_only_from_a_search_that_was_made() {
        let lines = |lines: &[&str]| ProbeOutcome::Seen {
            boot: None,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        let all =
            found(&said(lines(&["192.168.60.1 02:00:c0:a8:3c:01", "fe80::1 02:00:00:00:00:07"]))).unwrap();
        let texts: Vec<String> = all.iter().map(|it| format!("{} {}", it.address, it.mac)).collect();
        assert_eq!(texts, ["192.168.60.1 02:00:c0:a8:3c:01", "fe80::1 02:00:00:00:00:07"]);
        assert_eq!(found(&said(lines(&[]))), Some(Vec::new()));
        assert_eq!(found(&said(lines(&["a line of another format"]))), None);
        assert_eq!(found(&said(ProbeOutcome::NotRun { why: "no root".to_owned() })), None);
        assert_eq!(found(&[]), None);
    }
}
