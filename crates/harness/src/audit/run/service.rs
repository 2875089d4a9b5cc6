//! Waits for the service of the pod witness. The pod runs seconds before the kube-proxy of every node has the service;
//! until then the node itself refuses the connection of a control.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION};

use provisioner::slowdown::Slowdown;

use super::manifest::PROBER;
use crate::ask::ask;
use crate::audit::PodWitness;
use crate::audit::subject::TCP_PORT;
use crate::wait::{self, Wait, WaitError};

/// The time within which every kube-proxy has to have the service: they collect changes for about a second
/// (kube-proxy, `minSyncPeriod`). Stretched where nodes are slow.
const WITHIN: Duration = Duration::from_secs(30);

/// Waits until the cluster IP of the service, and its NodePort on every node, reach the witness.
pub(super) async fn leads(
    pods: &Api<Pod>,
    slowdown: Slowdown,
    witness: &PodWitness,
    nodes: impl Iterator<Item = Ipv4Addr>,
) -> Result<(), WaitError<kube::Error>> {
    let doors = nodes.map(|node| SocketAddr::from((node, witness.node_port)));
    let doors = doors.chain([SocketAddr::from((witness.service, TCP_PORT))]).enumerate();
    let probes = doors.map(|(n, to)| Probe { nonce: Nonce::new(0, n as u32), ask: Ask::Tcp { to } });
    let probes: Vec<Probe> = probes.collect();
    let all = probes.len();
    let millis = |usual| slowdown.stretch(Duration::from_millis(usual)).as_millis();
    let (deadline_ms, answer_timeout_ms) = (millis(2_000), millis(500));
    let batch = Batch { version: VERSION, deadline_ms, answer_timeout_ms, rate: 100, probes };
    wait::until(format!("the service of {}", witness.witness), slowdown.stretch(WITHIN), async || {
        Ok(match ask(pods, slowdown, PROBER, &batch).await {
            Ok(said) if served(&said, &witness.witness) == all => Wait::Done(()),
            Ok(said) => Wait::NotYet(format!("{said:?}")),
            Err(error) => Wait::NotYet(provisioner::error::chain(&error)),
        })
    })
    .await
}

/// The number of answers that come from this witness. Pure.
fn served(said: &[ProbeResult], witness: &str) -> usize {
    let own = |said: &&ProbeResult| match said {
        ProbeResult::Answer(answer) => match &answer.outcome {
            ProbeOutcome::Answered { identity, .. } => identity.as_deref() == Some(witness),
            _ => false,
        },
        ProbeResult::End { .. } => false,
    };
    said.iter().filter(own).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe::Answer;

    #[test]
    fn only_an_answer_of_the_witness_itself_counts() {
        let answered = |who: &str| ProbeOutcome::Answered {
            identity: Some(who.to_owned()),
            from: None,
            what: Vec::new(),
        };
        let said =
            |outcome| ProbeResult::Answer(Answer { nonce: Nonce::new(0, 0), sent: 1, at_us: 0, outcome });
        let refused = ProbeOutcome::Refused { from: None, what: Vec::new() };
        let all = [
            said(answered("acme/pod")),
            said(answered("globex/pod")),
            said(refused),
            ProbeResult::End { answers: 3 },
        ];
        assert_eq!(served(&all, "acme/pod"), 1);
    }
}
