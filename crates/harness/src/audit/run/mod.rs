//! The part of the audit that touches clusters: witnesses and probers come to be, ask, are heard, and go.
//!
//! [`Stage`] is all that a run puts into one instance: a namespace of its own, gone with everything in it at the end,
//! and a token that says who shows it. `arena` is all stages together, and the workstation's part: it is set, learns, asks (one exec a viewpoint),
//! hears, and is struck.

mod manifest;
mod token;
mod stage;
mod strike;
mod service;
mod learn;
mod workstation;
mod routes;
mod progress;
mod arena;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use provisioner::Provisioner;
use provisioner::exec::CommandError;
use provisioner::slowdown::Stretched;

use super::report::accepted_on_all;
use super::{Phase, PlanError, Report, Selection};
use crate::cluster::{ClusterError, TestCluster};
use crate::inventory::Inventory;
use crate::undo::Left;

pub(super) use arena::Arena;
pub(super) use learn::administrator;
pub(super) use manifest::PROBER;
pub use progress::{Progress, Step};
pub use stage::{Stage, StageError};
pub use workstation::WorkstationError;
#[cfg(feature = "fuzzing")]
pub use workstation::read_forwards;

/// When a run among containers must be over, whatever hangs; what it has put anywhere is removed after that.
const DEADLINE: Duration = Duration::from_secs(240);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing to ask, or a name is unknown.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no handle on one of the clusters.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Witnesses or probers could not be set up.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The workstation has no part in it.
    #[error(transparent)]
    Workstation(#[from] WorkstationError),
    /// No randomness for the number of the run.
    #[error("draw the number of the run")]
    Run(#[source] std::io::Error),
    /// Root on a node could not set a route of its own.
    #[error("lay routes through the workstation")]
    Route(#[source] CommandError),
    /// The host could not be looked at.
    #[error("take the inventory of the workstation")]
    Inventory(#[source] CommandError),
    /// Something of the run is still there.
    #[error("the audit has left something")]
    Left(#[from] Left),
    /// Something hangs.
    #[error("the audit was not over after {}s", .0.as_secs())]
    Late(Stretched),
}

/// Audits running clusters: each against each other, in both directions.
///
/// Everything that is put into them is gone when this returns, with or without a report, and soon after it is dropped.
///
/// # Errors
/// [`AuditError`]; a question that could not be asked is no error but a verdict.
pub async fn audit(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    selection: &Selection,
    progress: &Progress,
) -> Result<Report, AuditError> {
    let started = Timestamp::now();
    let before = Inventory::take(provisioner).await.map_err(AuditError::Inventory)?;
    let mut arena = Arena::set(provisioner, clusters, progress).await?;
    let deadline = arena::slowdown(clusters).stretch(DEADLINE);
    let asked = tokio::time::timeout(deadline.on_clock(), async {
        let known = arena.learn(selection).await;
        let plan = arena.plan(known, selection)?;
        let observed = arena.ask(&plan, progress).await?;
        Ok::<_, AuditError>((plan, observed))
    });
    let asked = asked.await;
    let begun = Instant::now();
    arena.strike(progress).await?;
    let struck = Phase::since("strike", begun);
    let (plan, mut observed) = asked.map_err(|_| AuditError::Late(deadline))??;
    observed.phases.push(struck);
    let after = Inventory::take(provisioner).await.map_err(AuditError::Inventory)?;
    observed.after.left = Some(after.left_since(&before));
    let accepted = accepted_on_all(clusters.iter().map(|cluster| cluster.inner().instance.engine));
    Ok(Report::of(&plan, &observed, &accepted, (started, Timestamp::now())))
}
