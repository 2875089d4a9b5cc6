//! A whole run: stages are set, everybody asks, the witnesses are heard, the stages are struck, and the judge judges.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use probe::{Batch, Said, VERSION};
use provisioner::Provisioner;
use provisioner::exec::Command;

use crate::audit::{Observed, Plan, PlanError, Report, Selection, Stand, Viewpoint, accepted_on};
use crate::cluster::{TestCluster, TestNode};
use crate::wait::{self, Wait};

use super::workstation::{self, Workstation, WorkstationError};
use super::{Stage, StageError, learn, token};

/// How long the last probes may take to be in the witnesses' logs.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(5);
/// When a batch of last probes must be over, in milliseconds.
const BARRIER_DEADLINE_MS: u64 = 2_000;
/// How long a last probe waits: the guard answers none that goes to the workstation.
const BARRIER_PATIENCE_MS: u64 = 400;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing to ask, or a name is unknown.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Witnesses or probers could not be set up, or were not removed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The workstation has no part in it.
    #[error(transparent)]
    Workstation(#[from] WorkstationError),
    /// No randomness for the number of the run.
    #[error("draw the number of the run")]
    Run(#[source] std::io::Error),
}

/// Audits running clusters: each against each other, in both directions.
///
/// Everything that is put into them is gone when this returns, with or without a report.
///
/// # Errors
/// [`AuditError`]; a question that could not be asked is no error but a verdict.
pub async fn audit(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    selection: &Selection,
) -> Result<Report, AuditError> {
    let run = draw().map_err(AuditError::Run)?;
    let links: Vec<_> = clusters.iter().filter_map(learn::link_witness).collect();
    let mut workstation = Workstation::set(&links).await?;
    let reported = conduct(provisioner, clusters, &mut workstation, run, selection).await;
    workstation.strike().await;
    let removed = try_join_all(clusters.iter().map(|cluster| token::remove(cluster, run))).await;
    let struck = try_join_all(clusters.iter().map(|cluster| Stage::strike(cluster, run))).await;
    let report = reported?;
    removed?;
    struck?;
    Ok(report)
}

fn draw() -> Result<u32, std::io::Error> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_le_bytes(bytes))
}

async fn conduct(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    workstation: &mut Workstation,
    run: u32,
    selection: &Selection,
) -> Result<Report, AuditError> {
    let started = Timestamp::now();
    try_join_all(clusters.iter().map(|cluster| token::make(cluster, run))).await?;
    let stages = try_join_all(clusters.iter().map(|cluster| Stage::set(cluster, run))).await?;
    let subjects =
        join_all(clusters.iter().zip(&stages).map(|(cluster, stage)| learn::subject(cluster, stage)));
    let plan = Plan::new(run, subjects.await, workstation::host(provisioner).await, selection)?;
    let company = Company { clusters, stages: &stages, workstation };
    let mut observed = Observed::default();
    // First everybody as they are, then root with routes of its own: a route must not help the others.
    for routed in [false, true] {
        company.ask_all(&plan, routed, &mut observed).await;
    }
    company.ask_last(&plan, &mut observed).await;
    company.hear(&plan, &mut observed).await?;
    observed.watches.extend(workstation.watches());
    let engine = clusters.first().map(|cluster| cluster.inner().instance.engine);
    let accepted = engine.map(accepted_on).unwrap_or_default();
    Ok(Report::of(&plan, &observed, &accepted, (started, Timestamp::now())))
}

/// Everybody who takes part.
struct Company<'a> {
    clusters: &'a [TestCluster],
    stages: &'a [Stage],
    workstation: &'a Workstation,
}

impl Company<'_> {
    /// Has all viewpoints of one kind ask their batches, side by side.
    async fn ask_all(&self, plan: &Plan, routed: bool, observed: &mut Observed) {
        let wanted =
            plan.batches.iter().filter(|(viewpoint, _)| (viewpoint.stand() == Stand::Routed) == routed);
        let asked =
            wanted.map(async |(viewpoint, batch)| (viewpoint, self.ask(plan, viewpoint, batch).await));
        for (viewpoint, said) in join_all(asked).await {
            match said {
                Ok(said) => observed.heard(viewpoint, said),
                Err(why) => {
                    observed.broken.insert(viewpoint.clone(), why);
                }
            }
        }
    }

    async fn ask(&self, plan: &Plan, viewpoint: &Viewpoint, batch: &Batch) -> Result<Vec<Said>, String> {
        let told = |error: StageError| provisioner::error::chain(&error);
        match viewpoint {
            Viewpoint::Pod { instance } => self.stage(instance)?.1.ask_from_pod(batch).await.map_err(told),
            Viewpoint::Node { instance, node, routed } => {
                let (cluster, stage) = self.stage(instance)?;
                if !routed {
                    return stage.ask_from_node(node, batch).await.map_err(told);
                }
                let place = cluster.nodes().iter().find(|place| place.real_name() == node);
                let place = place.ok_or_else(|| format!("there is no node '{node}'"))?;
                let gateway = plan.subject(instance).map(|subject| subject.gateway.to_string());
                let gateway = gateway.ok_or_else(|| format!("there is no instance '{instance}'"))?;
                route(place, &["replace", "default", "via", &gateway]).await?;
                let said = stage.ask_from_node(node, batch).await.map_err(told);
                let back = route(place, &["del", "default", "via", &gateway]).await;
                let said = said?;
                back.map(|()| said)
            }
            Viewpoint::Workstation => self.workstation.ask(batch).await,
        }
    }

    /// Sends each witness the probe that it has to see last.
    async fn ask_last(&self, plan: &Plan, observed: &mut Observed) {
        let mut batches: BTreeMap<&Viewpoint, Vec<_>> = BTreeMap::new();
        for barrier in &plan.barriers {
            batches.entry(&barrier.from).or_default().push(barrier.probe.clone());
        }
        let asked = batches.into_iter().map(async |(viewpoint, probes)| {
            let (deadline_ms, patience_ms) = (BARRIER_DEADLINE_MS, BARRIER_PATIENCE_MS);
            let batch = Batch { version: VERSION, deadline_ms, patience_ms, rate: 1_000, probes };
            (viewpoint, self.ask(plan, viewpoint, &batch).await)
        });
        for (viewpoint, said) in join_all(asked).await {
            if let Ok(said) = said {
                observed.heard(viewpoint, said); // where it could not be sent, the witness has not seen it
            }
        }
    }

    /// Reads what all witnesses saw, when each has seen its last probe or will not any more.
    async fn hear(&self, plan: &Plan, observed: &mut Observed) -> Result<(), StageError> {
        let heard = wait::until("the witnesses' last words".to_owned(), SETTLE, async || {
            let watches = try_join_all(self.stages.iter().map(Stage::watches)).await?;
            let watches: BTreeMap<_, _> = watches.into_iter().flatten().collect();
            let missing = plan.barriers.iter().find(|barrier| {
                let watch = watches.get(&barrier.witness);
                watch.is_some_and(|watch| {
                    watch.arrivals.iter().all(|arrival| arrival.nonce != barrier.probe.nonce)
                })
            });
            Ok::<_, StageError>(match missing {
                None => Wait::Done(watches),
                Some(barrier) => Wait::NotYet(format!("{} has not seen its last probe", barrier.witness)),
            })
        });
        observed.watches = match heard.await {
            Ok(watches) => watches,
            // The judge sees for itself what is missing.
            Err(_) => {
                try_join_all(self.stages.iter().map(Stage::watches)).await?.into_iter().flatten().collect()
            }
        };
        Ok(())
    }

    fn stage(&self, instance: &str) -> Result<(&TestCluster, &Stage), String> {
        let place = self.clusters.iter().position(|cluster| cluster.name() == instance);
        place
            .and_then(|place| self.clusters.get(place).zip(self.stages.get(place)))
            .ok_or_else(|| format!("there is no instance '{instance}'"))
    }
}

async fn route(node: &TestNode, words: &[&str]) -> Result<(), String> {
    let command = Command::within(std::time::Duration::from_secs(10), "ip").arg("route").args(words.to_vec());
    node.run(&command).await.map(drop).map_err(|error| error.to_string())
}
