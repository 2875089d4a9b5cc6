//! The audit on real clusters: its probes work, and it leaves nothing behind.

use anyhow::{Context, ensure};
use harness::audit::{InstanceProbes, Selection, TCP_PORT, UDP_PORT, Watch};
use harness::{MultiClusterFixture, TestCluster};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION};
use provisioner::request::{ClusterSpec, Topology};

const RUN: u32 = 0x0000_e2e0;

#[tokio::test]
async fn a_probe_within_a_client_is_answered_and_witnessed_and_one_across_is_neither() -> anyhow::Result<()> {
    let spec = |name: &str, topology| ClusterSpec::new(name).topology(topology);
    MultiClusterFixture::builder()
        .cluster(spec("acme", Topology::Multi).workers(1))
        .cluster(spec("globex", Topology::Single))
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            let before = namespaces(acme).await?;
            let (here, there) =
                futures::try_join!(InstanceProbes::deploy(acme, RUN), InstanceProbes::deploy(globex, RUN))?;
            let plane = acme.node("acme-cp-1");
            let inside = plane.ip();
            let outside = globex.node("globex-main").ip();
            let batch = |first: u32, address: std::net::Ipv4Addr| {
                let tcp = Ask::Tcp { to: (address, TCP_PORT).into() };
                let udp = Ask::Udp { to: (address, UDP_PORT).into(), size: 64 };
                [(first, tcp), (first + 1, udp)]
                    .map(|(number, ask)| Probe { nonce: Nonce::new(RUN, number), ask })
            };
            let asked = |first: u32| Batch {
                version: VERSION,
                deadline_ms: 3000,
                answer_timeout_ms: 1000,
                rate: 1000,
                probes: [batch(first, inside), batch(first + 2, outside)].concat(),
            };
            let worker = acme.node("acme-w-1").real_name();
            let (first, second) = (asked(0), asked(4));
            let (from_pod, from_node) =
                futures::try_join!(here.ask_from_pod(&first), here.ask_from_node(worker, &second))?;
            for said in [from_pod, from_node] {
                let outcomes = outcomes(&said)?;
                let ensured = |place: usize| match &outcomes[place] {
                    ProbeOutcome::Answered { identity, .. } => identity.as_deref() == Some(plane.real_name()),
                    _ => false,
                };
                ensure!(
                    ensured(0) && ensured(1),
                    "the control was not answered by its witness: {outcomes:?}"
                );
                let denied = |place: usize| {
                    matches!(outcomes[place], ProbeOutcome::Silent | ProbeOutcome::Unreachable { .. })
                };
                ensure!(denied(2) && denied(3), "a probe to the other client was answered: {outcomes:?}");
            }
            let (seen_here, seen_there) = (here.watches().await, there.watches().await);
            for (number, expected) in [(0, true), (1, true), (2, false), (4, true), (5, true), (6, false)] {
                let nonce = Nonce::new(RUN, number);
                ensure!(saw(&seen_here, &nonce, plane.real_name()) == expected, "{nonce} at {seen_here:?}");
            }
            for number in 0..8 {
                let nonce = Nonce::new(RUN, number);
                ensure!(!arrived(&seen_there, &nonce), "{nonce} has arrived in globex: {seen_there:?}");
            }
            for (identity, watch) in seen_here.iter().chain(&seen_there) {
                let sound = watch.ready && watch.alive && watch.lost == 0 && watch.unreadable.is_none();
                ensure!(sound, "the witness {identity} is not reliable: {watch:?}");
            }
            futures::try_join!(InstanceProbes::remove(acme, RUN), InstanceProbes::remove(globex, RUN))?;
            InstanceProbes::remove(acme, RUN).await.context("remove the probes twice")?;
            ensure!(namespaces(acme).await? == before, "the audit left a namespace");
            Ok(())
        })
        .await
}

/// The outcome of each probe, sorted by nonce.
fn outcomes(said: &[ProbeResult]) -> anyhow::Result<Vec<ProbeOutcome>> {
    let answers = said.iter().filter_map(|said| match said {
        ProbeResult::Answer(answer) => Some((answer.nonce.clone(), answer.outcome.clone())),
        ProbeResult::End { .. } => None,
    });
    let mut answers: Vec<_> = answers.collect();
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    ensure!(
        matches!(said.last(), Some(ProbeResult::End { answers: 4 })),
        "the prober did not finish: {said:?}"
    );
    Ok(answers.into_iter().map(|(_, outcome)| outcome).collect())
}

fn saw(watches: &[(String, Watch)], nonce: &Nonce, identity: &str) -> bool {
    let watch = watches.iter().find(|(of, _)| of == identity);
    watch.is_some_and(|(_, watch)| watch.arrivals.iter().any(|arrival| arrival.nonce == *nonce))
}

fn arrived(watches: &[(String, Watch)], nonce: &Nonce) -> bool {
    watches.iter().any(|(identity, _)| saw(watches, nonce, identity))
}

async fn namespaces(cluster: &TestCluster) -> anyhow::Result<Vec<String>> {
    let all = Api::<Namespace>::all(cluster.client()).list(&ListParams::default()).await?;
    Ok(all.into_iter().filter_map(|namespace| namespace.metadata.name).collect())
}

/// The classes that probes test on existing clusters. C3 and C5 are in [`BY_FACTS`], because the audit first has to
/// obtain what their probes present.
const BY_TRAFFIC: [&str; 27] = [
    "L1", "L2", "L3", "L4", "L6", "N1", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11", "N12", "N13",
    "N14", "H1", "H2", "H6", "H7", "C1", "C2", "C4", "C6", "C7",
];

#[tokio::test]
async fn two_clients_are_isolated_by_traffic_in_both_directions() -> anyhow::Result<()> {
    are_isolated(Topology::Multi).await
}

#[tokio::test]
async fn two_clients_with_one_node_each_are_isolated_by_traffic_too() -> anyhow::Result<()> {
    are_isolated(Topology::Single).await
}

async fn are_isolated(topology: Topology) -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(topology))
        .cluster(ClusterSpec::new("globex").topology(topology))
        .run(async |fx| {
            let classes = BY_TRAFFIC.map(str::to_owned).to_vec();
            let report = fx.audit_only(&Selection { classes, ..Selection::default() }).await?;
            report.assert_isolated();
            Ok(())
        })
        .await
}

/// The classes that compare collected facts, inspect nodes or present credentials. C9 is missing as long as nodes share
/// the files of their image stores.
const BY_FACTS: [&str; 18] = [
    "L5", "L7", "H3", "H5", "H8", "H9", "H10", "H12", "C2", "C3", "C4", "C5", "C6", "C7", "C10", "S1", "S2",
    "S3",
];

#[tokio::test]
async fn two_clients_share_no_file_no_process_no_secret_and_no_authority() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Multi).workers(1))
        .cluster(ClusterSpec::new("globex").topology(Topology::Single))
        .run(async |fx| {
            let classes = BY_FACTS.map(str::to_owned).to_vec();
            let report = fx.audit_only(&Selection { classes, ..Selection::default() }).await?;
            report.assert_isolated();
            Ok(())
        })
        .await
}
