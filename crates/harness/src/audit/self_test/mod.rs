//! The self-test of the audit: each injection makes a leak for real, which the audit has to find, and is reverted.
//!
//! 1. The clean clusters are audited: each cell that is not isolated is a false alarm.
//! 2. For each selected class, its [`Injection`](super::Injection) is applied from the first cluster to the second one.
//!    The class must have the verdict *leak* for this pair, and for no other pair.
//! 3. The injection is reverted, and the class must have the verdict *isolated* again.
//!
//! 4. A [`Campaign`] applies leaks that are drawn from a seed, and audits all classes for each.
//!
//! The result is a [`Score`]. Injections are applied only in clusters whose data may be lost.

mod score;
mod campaign;
mod campaign_score;
mod destruction;
mod state;
mod relics;

use std::time::Instant;

use jiff::Timestamp;
use provisioner::Provisioner;

use super::class::{Class, ClassId, Injection, Towards};
use super::inject::drawn::DrawnLeak;
use super::inject::{self, InjectError, Pair};
use super::run::{AuditError, AuditProgress, Audited, Probes, Step};
use super::subject::Subject;
use super::viewpoint::HOST;
use super::{Report, Selection};
use crate::cluster::TestCluster;
use crate::inventory::Inventory;

use destruction::Detections;

pub use campaign::Campaign;
pub use campaign_score::{CampaignScore, DrawnDetection, DrawnRow};
pub use score::{Detection, Row, Score};

/// Why there is no [`Score`].
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The self-test needs two clusters, a source and a target.
    #[error("the self-test needs two clusters, not {0}")]
    Clusters(usize),
    /// An instance is not a test's instance, so its data must not be put at risk.
    #[error("the self-test must not inject leaks into '{name}': it is not a test's instance")]
    Protected {
        /// The name of the instance.
        name: String,
    },
    /// The nodes of an instance are VMs, and leaks are drawn between containers only.
    #[error("leaks are drawn between containers only, and the nodes of '{name}' are VMs")]
    Virtual {
        /// The name of the instance.
        name: String,
    },
    /// An injection could not be applied.
    #[error("apply the injection")]
    Open(#[from] InjectError),
    /// The audit failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Applies injections from the first cluster to the second one, one at a time, and audits the class of each.
///
/// `selection` is audited on the clean clusters. `applied` are the classes whose injections are applied, out of those
/// that were audited; an empty list means all of them. The leaks of `campaign` come first, if there is one.
///
/// # Errors
/// [`SelfTestError`]. An injection that cannot be applied and a leak that is not found are no errors: the score has a
/// row for each.
pub async fn self_test(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    selection: &Selection,
    applied: &[ClassId],
    campaign: Option<&Campaign>,
    progress: &AuditProgress,
) -> Result<Score, SelfTestError> {
    let pair = pair_among(clusters, campaign.is_some())?;
    with_trial(provisioner, (clusters, pair), progress, async |trial| {
        let baseline = trial.audit(&selection.of_an_audit(), None).await?;
        // Some injections of classes leave traces that C10 finds.
        let drawn = match campaign {
            Some(campaign) => Some(campaign::run(trial, campaign, &selection.of_an_audit(), progress).await?),
            None => None,
        };
        let mut score = score(trial, &baseline, (selection, applied), progress).await?;
        score.campaign = drawn;
        Ok(score)
    })
    .await
}

/// Applies the leaks of a campaign, in both directions, and audits the selected classes for each.
///
/// # Errors
/// [`SelfTestError`]. A leak that cannot be applied or is not found is no error: the score has a row for each.
pub async fn campaign(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    selection: &Selection,
    campaign: &Campaign,
    progress: &AuditProgress,
) -> Result<CampaignScore, SelfTestError> {
    let pair = pair_among(clusters, true)?;
    with_trial(provisioner, (clusters, pair), progress, async |trial| {
        let selection = selection.of_an_audit();
        let baseline = trial.audit(&selection, None).await?;
        let mut score = campaign::run(trial, campaign, &selection, progress).await?;
        score.alarms.splice(0..0, score::alarms(&baseline));
        Ok(score)
    })
    .await
}

/// Deploys the probes for a trial, and removes them afterwards.
async fn with_trial<T>(
    provisioner: &Provisioner,
    (clusters, (from, to)): (&[TestCluster], (&TestCluster, &TestCluster)),
    progress: &AuditProgress,
    work: impl AsyncFnOnce(&mut Trial<'_, '_>) -> Result<T, SelfTestError>,
) -> Result<T, SelfTestError> {
    let mut probes = Probes::deploy(provisioner, Audited::of(clusters), progress).await?;
    let (known, destroyed) = (Vec::new(), None);
    let done = work(&mut Trial { probes: &mut probes, provisioner, from, to, known, destroyed }).await;
    probes.remove(progress).await?;
    done
}

/// The two clusters of a self-test, if leaks may be injected into them, or drawn for them.
fn pair_among(clusters: &[TestCluster], draws: bool) -> Result<(&TestCluster, &TestCluster), SelfTestError> {
    let [from, to] = clusters else { return Err(SelfTestError::Clusters(clusters.len())) };
    for cluster in clusters {
        let instance = &cluster.inner().instance;
        if !instance.handling.self_test {
            return Err(SelfTestError::Protected { name: instance.name.clone() });
        }
        if draws && instance.engine.is_virtual() {
            return Err(SelfTestError::Virtual { name: instance.name.clone() });
        }
    }
    Ok((from, to))
}

async fn score(
    trial: &mut Trial<'_, '_>,
    baseline: &Report,
    (selection, applied): (&Selection, &[ClassId]),
    progress: &AuditProgress,
) -> Result<Score, SelfTestError> {
    let engine = trial.from.inner().instance.engine;
    let wanted = |class: &&Class| applied.is_empty() || applied.contains(&class.id);
    let destroys = |class: &Class| class.injection.is_some_and(Injection::takes_destruction);
    let asked = |class: &&Class| baseline.asks(class.id) || (destroys(class) && selection.has(class.id));
    let mut classes: Vec<&Class> = Class::all().filter(asked).filter(wanted).collect();
    // Traces that stay, such as a token in etcd's log, must not be there while other classes are tested.
    classes.sort_by_key(|class| class.injection.is_some_and(Injection::leaves_traces));
    let mut rows = Vec::new();
    for (place, class) in classes.iter().enumerate() {
        let lacks = class.injection.and_then(|injection| injection.lacks(engine)).map(str::to_owned);
        let detection = match (lacks.or_else(|| baseline.why_not_covered(class.id)), class.injection) {
            (Some(why), _) => Detection::NotCovered(why),
            (None, None) => Detection::NotCovered("the class has no injection".to_owned()),
            (None, Some(injection)) => {
                progress.say(Step::Inject { class: class.id, place: place + 1, of: classes.len() });
                let begun = Instant::now();
                let detection = if injection.takes_destruction() {
                    trial.destroy(injection).await?
                } else {
                    trial.detect(class, injection).await?
                };
                let found = format!("{detection} ({:.1}s)", begun.elapsed().as_secs_f64());
                progress.say(Step::Tested { class: class.id, found });
                detection
            }
        };
        rows.push(Row::of(class, engine, detection));
    }
    rows.sort_by_key(|row| row.class);
    Ok(Score::of((trial.from.name(), trial.to.name()), baseline, rows))
}

/// A self-test in progress.
struct Trial<'a, 'b> {
    probes: &'a mut Probes<'b>,
    provisioner: &'a Provisioner,
    from: &'a TestCluster,
    to: &'a TestCluster,
    /// The audit's facts about both clusters before the first injection.
    known: Vec<Subject>,
    /// The results of T2 and T3, whose injections need the destruction of an instance. `None` until one of them is
    /// tested.
    destroyed: Option<Detections>,
}

impl Trial<'_, '_> {
    /// Applies an injection, audits its class, reverts the injection, and audits the class again.
    async fn detect(&mut self, class: &Class, injection: Injection) -> Result<Detection, SelfTestError> {
        let only = Selection { classes: vec![class.id.to_string()], ..Selection::default() };
        let during = match self.audit(&only, Some(injection)).await {
            Err(SelfTestError::Open(error)) => {
                return Ok(Detection::NotOpened(provisioner::error::chain(&error)));
            }
            during => during?,
        };
        let after = self.audit(&only, None).await?;
        let (from, to) = (self.from.name(), self.to.name());
        let (there, back) = match class.towards {
            Towards::Instances | Towards::InstancesAndHost => ((from, to), (to, from)),
            Towards::Host | Towards::UnusedAddresses => ((from, HOST), (to, HOST)),
        };
        let back = injection.is_mutual().then_some(back);
        Ok(Detection::judge(&during, &after, there, back))
    }

    /// The result of an injection that needs the destruction of an instance. The first call tests both of them.
    async fn destroy(&mut self, injection: Injection) -> Result<Detection, SelfTestError> {
        let detections = match self.destroyed.take() {
            Some(detections) => detections,
            None => destruction::detect(&self.pair()?).await.unwrap_or_else(|error| {
                let why = Detection::NotOpened(provisioner::error::chain(&error));
                Detections { inherited: why.clone(), destroyed: why }
            }),
        };
        let Detections { inherited, destroyed } = self.destroyed.insert(detections).clone();
        Ok(if injection == Injection::OldData { inherited } else { destroyed })
    }

    /// Audits both clusters, with an injection or without one. The injection is reverted before the verdict.
    async fn audit(
        &mut self,
        selection: &Selection,
        injection: Option<Injection>,
    ) -> Result<Report, SelfTestError> {
        let started = Timestamp::now();
        let taken = async || Inventory::take(self.provisioner).await.map_err(AuditError::Inventory);
        let before = taken().await?;
        let applied = match injection {
            Some(injection) => Some(inject::apply(injection, &self.pair()?).await?),
            None => None,
        };
        let (mut subjects, host) = self.probes.learn(selection).await;
        match &applied {
            Some(applied) => applied.change_facts(&mut subjects, self.from.name(), self.to.name()),
            None if self.known.is_empty() => self.known.clone_from(&subjects),
            None => {}
        }
        let plan = self.probes.plan((subjects, host), selection)?;
        let mut observed = self.probes.ask(&plan, &AuditProgress::default()).await?;
        observed.after.left = Some(taken().await?.left_since(&before));
        if let Some(applied) = applied {
            applied.revert().await.map_err(AuditError::Left)?;
        }
        Ok(Report::of(&plan, &observed, (started, Timestamp::now())))
    }

    /// The clusters in the direction of a drawn leak.
    fn pair_of(&self, leak: &DrawnLeak) -> Result<Pair<'_>, SelfTestError> {
        let pair = self.pair()?;
        if leak.from == self.from.name() {
            return Ok(pair);
        }
        Ok(Pair { from: pair.to, source: pair.target, to: pair.from, target: pair.source, ..pair })
    }

    /// The clusters in the direction of the injections of classes.
    fn pair(&self) -> Result<Pair<'_>, SelfTestError> {
        let known = |name: &str| self.known.iter().find(|subject| subject.name == name);
        let unknown = || SelfTestError::Clusters(self.known.len());
        Ok(Pair {
            provisioner: self.provisioner,
            from: self.from,
            source: known(self.from.name()).ok_or_else(unknown)?,
            to: self.to,
            target: known(self.to.name()).ok_or_else(unknown)?,
            namespace: self.probes.namespace(),
        })
    }
}
