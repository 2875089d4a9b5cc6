//! One case: clusters come up and resolve a name, their memory is measured, and they are destroyed.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::{FixtureBuilder, PodRun, TestCluster};
use provisioner::Provisioner;
use provisioner::events::{Event, Events};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::unbounded_channel;

use crate::cgroup::{self, Cgroup};

/// Whether files are in the page cache before a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Temperature {
    /// The page cache is dropped before each round.
    Cold,
    /// The page cache is not changed.
    Warm,
}

/// The figures of a case, as medians over the rounds, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) temperature: Temperature,
    pub(crate) rounds: usize,
    /// From the claim until all nodes and the cluster's DNS are ready, of the slowest cluster.
    pub(crate) up: f64,
    /// From the claim until a pod has resolved a service's name.
    pub(crate) first_answer: f64,
    pub(crate) down: f64,
    /// The stages of the slowest cluster, in their order.
    pub(crate) stages: Vec<(String, f64)>,
    /// The duration of one worker: container and join. `None` in a case without workers.
    pub(crate) worker: Option<f64>,
    /// Anonymous memory of a cluster, in MiB.
    pub(crate) memory: f64,
}

/// The figures of one round.
#[derive(Debug, Default)]
struct Round {
    up: f64,
    first_answer: f64,
    down: f64,
    stages: Vec<(String, f64)>,
    workers: Vec<f64>,
    memory: f64,
}

/// Measures a case.
pub(crate) async fn measure(
    name: &'static str,
    temperature: Temperature,
    rounds: usize,
    fixture: impl Fn() -> FixtureBuilder,
) -> anyhow::Result<Case> {
    let mut all = Vec::new();
    for _ in 0..rounds {
        if temperature == Temperature::Cold {
            rustix::fs::sync(); // dirty pages cannot be dropped
            fs::write("/proc/sys/vm/drop_caches", "3").context("drop the page cache")?;
        }
        all.push(round(fixture()).await?);
    }
    let of = |figure: fn(&Round) -> f64| median(all.iter().map(figure).collect());
    let names: Vec<String> = all[0].stages.iter().map(|(stage, _)| stage.clone()).collect();
    let stage = |i: usize| median(all.iter().map(|round| round.stages[i].1).collect());
    let workers: Vec<f64> = all.iter().flat_map(|round| round.workers.clone()).collect();
    Ok(Case {
        name,
        temperature,
        rounds,
        up: of(|round| round.up),
        first_answer: of(|round| round.first_answer),
        down: of(|round| round.down),
        stages: names.into_iter().enumerate().map(|(i, name)| (name, stage(i))).collect(),
        worker: (!workers.is_empty()).then(|| median(workers)),
        memory: of(|round| round.memory),
    })
}

async fn round(fixture: FixtureBuilder) -> anyhow::Result<Round> {
    let (sender, mut receiver) = unbounded_channel::<Events>();
    let listening = tokio::spawn(async move {
        let events = receiver.recv().await;
        events.map(|events| events.subscribe())
    });
    let started = Instant::now();
    let mut round = Round::default();
    let answered = fixture
        .events(sender)
        .run(async |fx| {
            let lookup = || PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            for cluster in fx.clusters() {
                cluster.run_pod(lookup()).await?.assert_success();
            }
            let first_answer = started.elapsed();
            let weights = fx.clusters().iter().map(|cluster| memory(fx.provisioner(), cluster));
            let weights: Vec<f64> = futures::future::try_join_all(weights).await?;
            anyhow::Ok((first_answer, weights.iter().sum::<f64>() / weights.len() as f64, Instant::now()))
        })
        .await?;
    let (first_answer, memory, down_from) = answered;
    round.first_answer = first_answer.as_secs_f64();
    round.memory = memory;
    round.down = down_from.elapsed().as_secs_f64();
    let events = listening.await?.context("the fixture sent no events")?;
    read(events, &mut round);
    Ok(round)
}

/// Anonymous memory of all nodes of a cluster, in MiB.
async fn memory(provisioner: &Provisioner, cluster: &TestCluster) -> anyhow::Result<f64> {
    let groups = cgroup::of(provisioner, &cluster.inner().instance.name).await?;
    ensure!(groups.len() == cluster.nodes().len(), "{} nodes, but {groups:?}", cluster.nodes().len());
    groups.iter().map(Cgroup::memory).sum()
}

/// Reads the slowest cluster's stages and the durations of all workers from the events.
fn read(mut events: Receiver<Event>, round: &mut Round) {
    let mut stages: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let mut workers: BTreeMap<String, f64> = BTreeMap::new();
    let mut slowest = (String::new(), Duration::ZERO);
    while let Ok(event) = events.try_recv() {
        match event {
            Event::StageCompleted { instance, stage, node: None, took, .. } => {
                let list = stages.entry(instance).or_default();
                let name = stage.to_string();
                match list.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, total)) => *total += took.as_secs_f64(),
                    None => list.push((name, took.as_secs_f64())),
                }
            }
            Event::StageCompleted { node: Some(node), took, .. } if node.contains("-w-") => {
                *workers.entry(node).or_default() += took.as_secs_f64();
            }
            Event::ClusterUp { instance, took } if took > slowest.1 => slowest = (instance, took),
            _ => {}
        }
    }
    round.up = slowest.1.as_secs_f64();
    round.stages = stages.remove(&slowest.0).unwrap_or_default();
    round.workers = workers.into_values().collect();
}

/// The median: the upper one of two middle figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
