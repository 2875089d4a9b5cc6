//! [`Probes`]: the probes of an audit in all clusters and on the host. Deploys them, sends the probes of a plan from all
//! viewpoints at once, reads the witnesses, and removes everything.
//!
//! One deployment serves many runs; each run has its own number in the nonces. What was deployed is removed by
//! [`Probes::remove`], and by `Drop` when the audit is cancelled. This module does not know what a verdict means.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use probe::{Batch, ProbeResult, VERSION};
use provisioner::Provisioner;
use provisioner::slowdown::Slowdown;

use crate::audit::{
    Barrier, HostSubject, Observed, Phase, Plan, Route, Selection, Stand, Subject, Viewpoint,
};
use crate::cluster::TestCluster;
use crate::undo::Undos;
use crate::wait::{self, Wait};

use super::host_probes::{self, HostProbes};
use super::progress::{AuditProgress, Step};
use super::{AuditError, Audited, InstanceProbes, ProbesError, learn, routes, walk};

/// The time within which the last probes have to be in the witnesses' logs. Stretched where nodes are slow.
const SETTLE: Duration = Duration::from_secs(5);
/// The shortest time for which witnesses listen for frames that no probe caused. The nodes of an idle cluster exchange
/// packets several times in a second. Stretched where nodes are slow.
const LISTENING: Duration = Duration::from_secs(2);
/// The deadline of a batch of first or last probes. Stretched where nodes are slow.
const BARRIER_DEADLINE: Duration = Duration::from_secs(2);
/// How long such a probe waits for an answer: one that goes to the host gets none, because the guard drops it.
const BARRIER_ANSWER_TIMEOUT: Duration = Duration::from_millis(400);

/// The deployed witnesses and probers, in all clusters and on the host.
#[derive(Debug)]
pub(in crate::audit) struct Probes<'a> {
    provisioner: &'a Provisioner,
    audited: Audited<'a>,
    /// In each cluster, in the order of [`Audited::all`].
    instances: Vec<InstanceProbes>,
    host: HostProbes,
    /// The number of packets that each witness had lost when its log was last read, by the witness's identity.
    lost: BTreeMap<String, u64>,
    phases: Vec<Phase>,
    undos: Undos,
}

impl<'a> Probes<'a> {
    /// Deploys witnesses and probers, and waits until all witnesses listen.
    ///
    /// # Errors
    /// [`AuditError`]; what was deployed until then is removed.
    pub(in crate::audit) async fn deploy(
        provisioner: &'a Provisioner,
        audited: Audited<'a>,
        progress: &AuditProgress,
    ) -> Result<Self, AuditError> {
        audited.demand_different_clusters()?;
        progress.say(Step::Deploy { clusters: audited.all().count() });
        let begun = Instant::now();
        let run = draw()?;
        let mut undos = Undos::default();
        let (instances, attached) = (audited.instances.to_vec(), audited.attached.to_vec());
        undos.push("remove the audit's probes", move || {
            let (instances, attached) = (instances.clone(), attached.clone());
            async move {
                let doomed = Audited { instances: &instances, attached: &attached };
                let removed = doomed.all().map(|cluster| InstanceProbes::remove(cluster, run));
                let removed = join_all(removed).await;
                removed.into_iter().collect::<Result<(), ProbesError>>()
            }
        });
        let set = async {
            let of = async |cluster: &TestCluster| {
                let plan = &cluster.inner().plan;
                learn::link_witnesses(cluster.name(), plan, learn::host_link(plan).await)
            };
            let links: Vec<_> =
                join_all(audited.instances.iter().map(of)).await.into_iter().flatten().collect();
            let host = HostProbes::deploy(&links).await?;
            let instances = audited.all().map(|cluster| InstanceProbes::deploy(cluster, run));
            let instances = try_join_all(instances).await?;
            Ok::<_, AuditError>((host, instances))
        };
        match set.await {
            Ok((host, instances)) => {
                let phases = vec![Phase::since("deploy", begun)];
                let lost = BTreeMap::new();
                Ok(Self { provisioner, audited, instances, host, lost, phases, undos })
            }
            Err(error) => {
                undos.close().await?;
                Err(error)
            }
        }
    }

    /// Collects the facts that the selected classes need, about the instances and the host.
    pub(in crate::audit) async fn learn(&mut self, selection: &Selection) -> (Vec<Subject>, HostSubject) {
        let begun = Instant::now();
        let subjects = learn::subjects(self.provisioner.home(), self.audited, &self.instances, selection);
        let known = futures::join!(subjects, host_probes::host(self.provisioner));
        self.phases.push(Phase::since("facts", begun));
        known
    }

    /// Plans a run with a new random number.
    pub(in crate::audit) fn plan(
        &self,
        (subjects, host): (Vec<Subject>, HostSubject),
        selection: &Selection,
    ) -> Result<Plan, AuditError> {
        Ok(Plan::new(draw()?, subjects, host, selection)?)
    }

    /// The namespace of the witnesses and probers, the same in all clusters.
    pub(in crate::audit) fn namespace(&self) -> &str {
        self.instances.first().map_or("", InstanceProbes::namespace)
    }

    /// Sends the planned probes from all viewpoints, and reads the witnesses.
    pub(in crate::audit) async fn ask(
        &mut self,
        plan: &Plan,
        progress: &AuditProgress,
    ) -> Result<Observed, AuditError> {
        let mut observed = Observed { phases: std::mem::take(&mut self.phases), ..Observed::default() };
        // First the viewpoints without extra routes, then root with extra routes: a node's routes would serve its other
        // viewpoints as well.
        let begun = Instant::now();
        self.ask_each(&plan.openers, &mut observed).await;
        let (cells, packets, at_most) = (plan.cells.len(), plan.packets(), plan.time_limit());
        progress.say(Step::Probe { cells, packets, at_most });
        let as_they_are = |stand| ![Stand::Routed, Stand::Pivot].contains(&stand);
        self.ask_all(plan, as_they_are, &mut observed).await;
        observed.phases.push(Phase::since("probe", begun));
        self.ask_by(Route::Host, plan, &mut observed, progress).await?;
        self.ask_by(Route::Hypervisor, plan, &mut observed, progress).await?;
        if !plan.openers.is_empty() {
            let until = begun + self.slowdown().stretch(LISTENING).on_clock();
            tokio::time::sleep_until(until.into()).await;
        }
        let begun = Instant::now();
        progress.say(Step::Read);
        self.ask_each(&plan.barriers, &mut observed).await;
        // The walk is the audit's last look at the host, while everything that it asks is still there.
        if plan.asks_structure() {
            let structure = walk::structure(self.provisioner, self.audited.instances, &self.host).await;
            observed.after.structure = Some(structure);
        }
        self.hear(plan, &mut observed).await;
        observed.phases.push(Phase::since("read", begun));
        Ok(observed)
    }

    /// Adds routes on every node, has root there send its probes, and removes the routes.
    async fn ask_by(
        &self,
        by: Route,
        plan: &Plan,
        observed: &mut Observed,
        progress: &AuditProgress,
    ) -> Result<(), AuditError> {
        let (wanted, step, phase) = match by {
            Route::Hypervisor => (Stand::Pivot, Step::ProbePivot, "probe, through the hypervisor"),
            _ => (Stand::Routed, Step::ProbeRouted, "probe, routed"),
        };
        if plan.batches.keys().all(|viewpoint| viewpoint.stand() != wanted) {
            return Ok(());
        }
        let begun = Instant::now();
        progress.say(step);
        let mut undos = Undos::default();
        let laid = routes::lay(self.audited.instances, by, &mut undos).await;
        if laid.is_ok() {
            self.ask_all(plan, |stand| stand == wanted, observed).await;
        }
        undos.close().await?;
        laid.map_err(AuditError::Route)?;
        observed.phases.push(Phase::since(phase, begun));
        Ok(())
    }

    /// The slowdown of the slowest cluster.
    fn slowdown(&self) -> Slowdown {
        slowdown(self.audited)
    }

    /// Removes everything that was deployed, and waits until it is gone.
    ///
    /// # Errors
    /// [`AuditError::Left`] with what is still there.
    pub(in crate::audit) async fn remove(self, progress: &AuditProgress) -> Result<(), AuditError> {
        progress.say(Step::Remove);
        self.host.remove().await;
        Ok(self.undos.close().await?)
    }

    /// Has the viewpoints of some kinds send their batches, side by side.
    async fn ask_all(&self, plan: &Plan, wanted: impl Fn(Stand) -> bool, observed: &mut Observed) {
        let batches = plan.batches.iter().filter(|(viewpoint, _)| wanted(viewpoint.stand()));
        let asked = batches.map(async |(viewpoint, batch)| (viewpoint, self.ask_one(viewpoint, batch).await));
        for (viewpoint, said) in join_all(asked).await {
            if let Some(command) = self.command(viewpoint) {
                observed.commands.insert(viewpoint.clone(), command);
            }
            match said {
                Ok(said) => observed.heard(viewpoint, said),
                Err(why) => {
                    observed.broken.insert(viewpoint.clone(), why);
                }
            }
        }
    }

    async fn ask_one(&self, viewpoint: &Viewpoint, batch: &Batch) -> Result<Vec<ProbeResult>, String> {
        let told = |error: ProbesError| provisioner::error::chain(&error);
        match viewpoint {
            Viewpoint::Pod { instance } => self.deployed(instance)?.ask_from_pod(batch).await.map_err(told),
            Viewpoint::Node { instance, node, .. } => {
                self.deployed(instance)?.ask_from_node(node, batch).await.map_err(told)
            }
            Viewpoint::Host => self.host.ask(batch).await,
        }
    }

    fn command(&self, viewpoint: &Viewpoint) -> Option<String> {
        let Some(instance) = viewpoint.instance() else { return Some(self.host.command()) };
        self.deployed(instance).ok()?.command(viewpoint)
    }

    /// Sends each witness its first or its last probe.
    async fn ask_each(&self, barriers: &[Barrier], observed: &mut Observed) {
        let mut batches: BTreeMap<&Viewpoint, Vec<_>> = BTreeMap::new();
        for barrier in barriers {
            batches.entry(&barrier.from).or_default().push(barrier.probe.clone());
        }
        let asked = batches.into_iter().map(async |(viewpoint, probes)| {
            let millis = |usual| self.slowdown().stretch(usual).as_millis();
            let (deadline_ms, answer_timeout_ms) = (millis(BARRIER_DEADLINE), millis(BARRIER_ANSWER_TIMEOUT));
            let batch = Batch { version: VERSION, deadline_ms, answer_timeout_ms, rate: 1_000, probes };
            (viewpoint, self.ask_one(viewpoint, &batch).await)
        });
        for (viewpoint, said) in join_all(asked).await {
            if let Ok(said) = said {
                observed.heard(viewpoint, said); // a probe that was not sent is missing at its witness
            }
        }
    }

    /// Reads the logs of all witnesses, until each has its last probe or the time is over.
    async fn hear(&mut self, plan: &Plan, observed: &mut Observed) {
        let mut watches = BTreeMap::new();
        let settle = self.slowdown().stretch(SETTLE);
        let heard = wait::until("the last probes at the witnesses".to_owned(), settle, async || {
            let heard =
                join_all(self.instances.iter().map(InstanceProbes::watches)).await.into_iter().flatten();
            watches = heard.chain(self.host.watches()).collect();
            let missing = plan.barriers.iter().find(|barrier| {
                let watch = watches.get(&barrier.witness);
                watch.is_none_or(|watch| watch.unreadable.is_none() && !watch.has_seen(&barrier.probe.nonce))
            });
            Ok::<_, ProbesError>(match missing {
                None => Wait::Done(()),
                Some(barrier) => Wait::NotYet(format!("{} has not seen its last probe", barrier.witness)),
            })
        });
        drop(heard.await); // a missing last probe makes cells inconclusive: the judge checks that
        for (witness, watch) in &mut watches {
            let before = self.lost.insert(witness.clone(), watch.lost).unwrap_or_default();
            watch.lost -= before.min(watch.lost); // packets lost earlier belong to an earlier run
        }
        observed.watches = watches;
    }

    fn deployed(&self, instance: &str) -> Result<&InstanceProbes, String> {
        let found = self.instances.iter().find(|deployed| deployed.instance() == instance);
        found.ok_or_else(|| format!("no instance '{instance}' in this audit"))
    }
}

/// The slowdown of the slowest cluster.
pub(super) fn slowdown(audited: Audited<'_>) -> Slowdown {
    audited.instances.iter().map(TestCluster::slowdown).max().unwrap_or(Slowdown::NONE)
}

/// A random number for a run.
fn draw() -> Result<u32, AuditError> {
    let mut bytes = [0; 4];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    drawn.map_err(|error| AuditError::Run(error.into()))?;
    Ok(u32::from_le_bytes(bytes))
}
