//! Looks at the structure of the host: runs `homelab-probe walk` there, and compares the result with the plans of the
//! audited instances.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use probe::structure::Seen;
use provisioner::Provisioner;
use provisioner::capacity::NodeLimits;
use provisioner::engine::EngineError;
use provisioner::error::chain;
use provisioner::exec::{Command, Local, Runner};
use provisioner::fabric;
use provisioner::slowdown::Slowdown;

use crate::audit::structure::{Planned, PlannedInstance, Structure, compare};
use crate::cluster::TestCluster;
use crate::wait::{self, Wait, WaitError};

use super::host_probes::HostProbes;

/// The deadline of a walk. Stretched on a slow host.
const WITHIN: Duration = Duration::from_secs(60);

/// The time for two walks to agree. Stretched on a slow host.
const SETTLE: Duration = Duration::from_secs(20);

/// The differences of the host from the plans of these instances.
///
/// A pod network may load a program, or a container start, in the middle of a walk, which then sees parts of two states.
/// So a walk with findings counts only if the next one has the same findings.
///
/// # Errors
/// Why they are unknown, in words.
pub(super) async fn structure(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    host: &HostProbes,
) -> Result<Structure, String> {
    let planned = planned(provisioner, clusters).await?;
    let request = serde_json::to_vec(&planned.request()).map_err(|error| chain(&error))?;
    let walk = Command::within(WITHIN, host.program().as_str()).arg("walk").input(request);
    let mut last: Option<Structure> = None;
    let settle = Slowdown::of_host().stretch(SETTLE);
    let agreed = wait::until("two walks with the same findings".to_owned(), settle, async || {
        let answer = Local.run(&walk).await.map_err(|error| Unread(chain(&error)))?;
        let seen: Seen = serde_json::from_slice(&answer.stdout).map_err(|error| Unread(chain(&error)))?;
        let now = compare(&planned, &seen);
        let is_settled = now.is_clean() || last.as_ref().is_some_and(|last| last.agrees(&now));
        last = Some(now.clone());
        Ok::<_, Unread>(if is_settled {
            Wait::Done(now)
        } else {
            Wait::NotYet("each walk had other findings".to_owned())
        })
    });
    match agreed.await {
        Ok(structure) => Ok(structure),
        Err(WaitError::Look { source, .. }) => Err(source.0),
        Err(late) => Err(chain(&late)),
    }
}

/// Why a walk has no result, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unread(String);

async fn planned(provisioner: &Provisioner, clusters: &[TestCluster]) -> Result<Planned, String> {
    let of = async |cluster: &TestCluster| {
        let plan = &cluster.inner().plan;
        let containers = provisioner.engines().cgroups(plan).await?;
        Ok::<_, EngineError>(PlannedInstance::of(cluster.name(), plan, &containers))
    };
    let instances = try_join_all(clusters.iter().map(of)).await.map_err(|error| chain(&error))?;
    let pools = provisioner.settings().pools.ranges().to_vec();
    let guard = fabric::expected_guard(&pools, provisioner.runner().as_ref()).await;
    Ok(Planned {
        instances,
        guard: guard.map_err(|error| chain(&error))?,
        own: BTreeSet::from([std::process::id()]),
        limits: NodeLimits::here().map_err(|error| chain(&error))?,
        shared: vec![provisioner.assets().folder().to_owned()],
    })
}
