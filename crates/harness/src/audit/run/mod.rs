//! The part of the audit that touches clusters: deploys witnesses and probers, sends probes, reads witnesses, and
//! removes everything.
//!
//! [`InstanceProbes`] is all that an audit deploys in one instance: a namespace with pods and a service, and a bootstrap token.
//! `probes` has the probes of all instances and the processes on the host. It starts one exec for each viewpoint.
//! Neither knows what a verdict means.

mod manifest;
mod lease;
mod token;
mod probes_error;
mod instance_probes;
mod remove;
mod service;
mod learn;
mod host_probes;
mod routes;
mod progress;
mod audited;
mod probed;
mod probes;
mod walk;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use provisioner::Provisioner;
use provisioner::error::Hint;
use provisioner::exec::CommandError;
use provisioner::slowdown::Stretched;
use tokio::time::timeout;

use super::{Phase, Report, Selection, SelectionError};
use crate::cluster::ClusterError;
use crate::inventory::Inventory;
use crate::undo::Left;

pub use audited::Audited;
pub use host_probes::HostProbesError;
#[cfg(feature = "fuzzing")]
pub use host_probes::read_forwards;
pub use instance_probes::InstanceProbes;
pub(super) use learn::administrator;
pub(super) use manifest::PROBER;
pub use probed::ProbedCluster;
pub(super) use probes::Probes;
pub use probes_error::ProbesError;
pub use progress::{AuditProgress, Step};

/// The deadline of collecting facts, and of reading the witnesses. Stretched where nodes are slow. The time of the probes
/// follows from the plan. Removing what was deployed comes after it and has deadlines of its own.
const DEADLINE: Duration = Duration::from_secs(120);

/// Why an audit has no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The selection has no probe, or an unknown name.
    #[error(transparent)]
    Plan(#[from] SelectionError),
    /// Two names lead to one cluster, which cannot be isolated from itself.
    #[error("'{one}' and '{other}' are one cluster: its namespace kube-system has the UID {uid}")]
    SameCluster {
        /// The first name.
        one: String,
        /// The second name.
        other: String,
        /// The UID.
        uid: String,
    },
    /// A cluster cannot be attached to.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Witnesses or probers could not be deployed in an instance.
    #[error(transparent)]
    InstanceProbes(#[from] ProbesError),
    /// The witnesses on the host could not be started.
    #[error(transparent)]
    HostProbes(#[from] HostProbesError),
    /// The kernel gave no random bytes.
    #[error("draw the number of the run")]
    Run(#[source] std::io::Error),
    /// The command that adds the audit's routes on a node failed.
    #[error("add the audit's routes on a node")]
    Route(#[source] CommandError),
    /// The inventory of the host could not be taken.
    #[error("take the inventory of the host")]
    Inventory(#[source] CommandError),
    /// Something that the audit deployed could not be removed.
    #[error("remove what the audit has deployed")]
    Left(#[from] Left),
    /// The audit exceeded its deadline.
    #[error("the audit did not end within {}s", .0.as_secs())]
    Late(Stretched),
}

/// Audits running clusters: from each to each other one and to the host.
///
/// Everything that the audit deploys is removed when this returns, with or without a report, and when its future is
/// dropped.
///
/// # Errors
/// [`AuditError`]. A probe that could not be sent is no error: its cell is inconclusive. After [`AuditError::Left`],
/// deployed objects are left; the next audit of the instance removes its namespaces once this process has ended.
pub async fn audit(
    provisioner: &Provisioner,
    audited: Audited<'_>,
    selection: &Selection,
    progress: &AuditProgress,
) -> Result<Report, AuditError> {
    let started = Timestamp::now();
    let before = Inventory::take(provisioner).await.map_err(AuditError::Inventory)?;
    let mut probes = Probes::deploy(provisioner, audited, progress).await?;
    let rest = probes::slowdown(audited).stretch(DEADLINE);
    let asked = async {
        let known =
            timeout(rest.on_clock(), probes.learn(selection)).await.map_err(|_| AuditError::Late(rest))?;
        let plan = probes.plan(known, selection)?;
        let deadline = rest + Stretched::exactly(plan.time_limit());
        let asked = timeout(deadline.on_clock(), probes.ask(&plan, progress)).await;
        let observed = asked.map_err(|_| AuditError::Late(deadline))??;
        Ok::<_, AuditError>((plan, observed))
    };
    let asked = asked.await;
    let begun = Instant::now();
    probes.remove(progress).await?;
    let removed = Phase::since("remove", begun);
    let (plan, mut observed) = asked?;
    observed.phases.push(removed);
    let after = Inventory::take(provisioner).await.map_err(AuditError::Inventory)?;
    observed.after.left = Some(after.left_since(&before));
    Ok(Report::of(&plan, &observed, (started, Timestamp::now())))
}

impl Hint for AuditError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::SameCluster { other, .. } => Some(format!("leave out '{other}'")),
            Self::InstanceProbes(error) => error.hint(),
            Self::Plan(_)
            | Self::HostProbes(_)
            | Self::Run(_)
            | Self::Route(_)
            | Self::Inventory(_)
            | Self::Left(_)
            | Self::Late(_) => None,
        }
    }
}
