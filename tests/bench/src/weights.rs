//! The resources of nodes, by pod network and role: the figures in `provisioner::capacity`.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::{MultiClusterFixture, PodRun};
use provisioner::Provisioner;
use provisioner::events::{Event, Events};
use provisioner::home::Home;
use provisioner::request::{ClusterSpec, CniKind, Topology};
use provisioner::stage::Stage;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use crate::cgroup::{self, Cgroup};
use crate::measure::median;

/// The time from a cluster's first answer until it is idle.
const SETTLES: Duration = Duration::from_secs(20);
/// The time over which the CPU use of an idle cluster is measured.
const REST: Duration = Duration::from_secs(15);
/// The interval at which memory is measured while a cluster comes up.
const LOOK: Duration = Duration::from_millis(200);

/// The resources of a kind of node: for each figure the highest of that kind in each round, and the median over the
/// rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Weight {
    pub(crate) cni: String,
    pub(crate) role: &'static str,
    pub(crate) rounds: usize,
    /// Anonymous memory of an idle cluster's node, in MiB.
    pub(crate) memory: f64,
    /// The highest anonymous memory from the node's start on, in MiB.
    pub(crate) peak: f64,
    /// CPUs that the node uses in an idle cluster: 0.25 is a quarter of one.
    pub(crate) processors: f64,
    /// CPU time until the cluster had come up, in seconds.
    pub(crate) bring_up: f64,
    /// The number of inotify instances.
    pub(crate) inotify: f64,
}

/// The figures of one node in one round.
#[derive(Debug, Clone)]
struct Sample {
    role: &'static str,
    memory: f64,
    peak: f64,
    processors: f64,
    bring_up: f64,
    inotify: f64,
}

/// Measures nodes of both pod networks: single nodes, control planes and workers.
pub(crate) async fn measure(rounds: usize) -> anyhow::Result<Vec<Weight>> {
    let mut weights = Vec::new();
    for cni in [CniKind::Routed, CniKind::Cilium] {
        let mut samples = Vec::new();
        for _ in 0..rounds {
            samples.push(round(cni, Topology::Single, 0).await?);
            samples.push(round(cni, Topology::Multi, 2).await?);
        }
        for role in ["alone", "control plane", "worker"] {
            weights.push(weight(cni, role, &samples));
        }
    }
    Ok(weights)
}

/// The figures of a role: the highest in each round, and the median of these.
fn weight(cni: CniKind, role: &'static str, rounds: &[Vec<Sample>]) -> Weight {
    let with_it: Vec<Vec<&Sample>> = rounds
        .iter()
        .map(|round| round.iter().filter(|sample| sample.role == role).collect())
        .filter(|samples: &Vec<&Sample>| !samples.is_empty())
        .collect();
    let of = |figure: fn(&Sample) -> f64| {
        let heaviest = |samples: &Vec<&Sample>| samples.iter().map(|it| figure(it)).fold(0.0, f64::max);
        median(with_it.iter().map(heaviest).collect())
    };
    Weight {
        cni: cni.to_string(),
        role,
        rounds: with_it.len(),
        memory: of(|it| it.memory),
        peak: of(|it| it.peak),
        processors: of(|it| it.processors),
        bring_up: of(|it| it.bring_up),
        inotify: of(|it| it.inotify),
    }
}

async fn round(cni: CniKind, topology: Topology, workers: u8) -> anyhow::Result<Vec<Sample>> {
    let (sender, mut receiver) = unbounded_channel::<Events>();
    let watching = tokio::spawn(async move {
        let events = receiver.recv().await.context("the fixture sent no events")?;
        watch(events.subscribe()).await
    });
    let spec = ClusterSpec { cni, ..ClusterSpec::new("acme").topology(topology).workers(workers) };
    MultiClusterFixture::builder()
        .cluster(spec)
        .events(sender)
        .run(async |fx| {
            let risen = watching.await??;
            let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            fx.cluster("acme").run_pod(lookup).await?.assert_success();
            sleep(SETTLES).await;
            let (before, since) = (all(&risen, Cgroup::processor)?, Instant::now());
            sleep(REST).await;
            let (after, rest) = (all(&risen, Cgroup::processor)?, since.elapsed().as_secs_f64());
            risen
                .iter()
                .zip(before.into_iter().zip(after))
                .map(|(node, (before, after))| node.sample(topology, (after - before) / rest))
                .collect()
        })
        .await
}

fn all(risen: &[Risen], figure: fn(&Cgroup) -> anyhow::Result<f64>) -> anyhow::Result<Vec<f64>> {
    risen.iter().map(|node| figure(&node.group)).collect()
}

/// A node of a cluster that has come up.
#[derive(Debug)]
struct Risen {
    group: Cgroup,
    peak: f64,
    bring_up: f64,
}

impl Risen {
    fn sample(&self, topology: Topology, processors: f64) -> anyhow::Result<Sample> {
        let memory = self.group.memory()?;
        let role = match topology {
            Topology::Single => "alone",
            _ if self.group.node.contains("-w-") => "worker",
            _ => "control plane",
        };
        Ok(Sample {
            role,
            memory,
            peak: self.peak.max(memory),
            processors,
            bring_up: self.bring_up,
            inotify: self.group.inotify()? as f64,
        })
    }
}

/// Measures the nodes from their start until the cluster has come up.
async fn watch(mut events: Receiver<Event>) -> anyhow::Result<Vec<Risen>> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let mut nodes: Vec<Risen> = Vec::new();
    loop {
        let event = tokio::select! {
            event = events.recv() => Some(event),
            () = sleep(LOOK) => None,
        };
        for node in &mut nodes {
            node.peak = node.peak.max(node.group.memory()?);
        }
        match event {
            Some(Ok(Event::StageCompleted { instance, stage: Stage::Nodes, node: None, .. })) => {
                let groups = cgroup::of(&provisioner, &instance).await?;
                nodes = groups.into_iter().map(|group| Risen { group, peak: 0.0, bring_up: 0.0 }).collect();
            }
            Some(Ok(Event::ClusterUp { .. })) => {
                ensure!(!nodes.is_empty(), "the start of the nodes was missed");
                for node in &mut nodes {
                    node.bring_up = node.group.processor()?;
                }
                return Ok(nodes);
            }
            Some(Err(RecvError::Closed)) => anyhow::bail!("the cluster did not come up"),
            Some(Ok(_) | Err(RecvError::Lagged(_))) | None => {}
        }
    }
}
