//! The audit audits itself: each leak is opened for real, must be found, and must be gone when it is closed.
//!
//! 1. The clean clusters are audited: whatever is not isolated is a false alarm.
//! 2. For each class that is wanted, its [`Injection`](super::Injection) is opened from the first cluster to the second
//!    one: the class must say *leak* for that pair, and for no other.
//! 3. It is closed, and the class must say *isolated* again.
//!
//! [`Score`] is what came of it. Leaks are opened only in clusters whose data may be lost.

mod score;
mod destruction;
mod state;
mod relics;

use std::time::Instant;

use jiff::Timestamp;
use provisioner::Provisioner;

use super::class::{Class, ClassId, Coverage, Injection, Towards};
use super::inject::{self, Ground, InjectError};
use super::run::{Arena, AuditError, Progress, Step};
use super::subject::Subject;
use super::viewpoint::WORKSTATION;
use super::{Report, Selection, accepted_on};
use crate::cluster::TestCluster;
use crate::inventory::Inventory;

use destruction::Detections;

pub use score::{Detection, Row, Score};

/// Why the audit could not test itself.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// It takes one cluster that is opened to another one.
    #[error("the self-test takes two clusters, not {0}")]
    Clusters(usize),
    /// Leaks are opened only where nothing can be lost.
    #[error("the self-test may open no leak in '{name}': it is not a test's instance")]
    Protected {
        /// The instance's name.
        name: String,
    },
    /// A leak could not be opened.
    #[error("open the leak")]
    Open(#[from] InjectError),
    /// The audit itself.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Opens leaks between the first two clusters, one at a time, and audits each.
///
/// `selection` is what is asked of the clean clusters, and `opened` are the classes whose leaks are opened, of those that
/// were asked; all of them where none is named.
///
/// # Errors
/// [`SelfTestError`]; a leak that cannot be opened or is not found is no error but a row of the score.
pub async fn self_test(
    provisioner: &Provisioner,
    clusters: &[TestCluster],
    selection: &Selection,
    opened: &[ClassId],
    progress: &Progress,
) -> Result<Score, SelfTestError> {
    let [from, to] = clusters else { return Err(SelfTestError::Clusters(clusters.len())) };
    for cluster in clusters {
        let instance = &cluster.inner().instance;
        if !instance.handling.self_test {
            return Err(SelfTestError::Protected { name: instance.name.clone() });
        }
    }
    let mut arena = Arena::set(provisioner, clusters, progress).await?;
    let scored = score(&mut arena, provisioner, (from, to), (selection, opened), progress).await;
    arena.strike(progress).await?;
    scored
}

async fn score(
    arena: &mut Arena<'_>,
    provisioner: &Provisioner,
    (from, to): (&TestCluster, &TestCluster),
    (selection, opened): (&Selection, &[ClassId]),
    progress: &Progress,
) -> Result<Score, SelfTestError> {
    let mut trial = Trial { arena, provisioner, from, to, known: Vec::new(), destroyed: None };
    let baseline = trial.audit(selection, None).await?;
    let engine = from.inner().instance.engine;
    let wanted = |class: &&Class| opened.is_empty() || opened.contains(&class.id);
    let classes: Vec<&Class> = Class::all().filter(|class| baseline.asks(class.id)).filter(wanted).collect();
    let mut rows = Vec::new();
    for (place, class) in classes.iter().enumerate() {
        let lacks = class.injection.and_then(|injection| injection.lacks(engine));
        let detection = match (class.coverage(engine), class.injection, lacks) {
            (Coverage::NotCovered(why), ..) | (_, _, Some(why)) => Detection::NotCovered(why.to_owned()),
            (Coverage::Covered, None, None) => Detection::NotCovered("nothing opens it".to_owned()),
            (Coverage::Covered, Some(injection), None) => {
                progress.say(Step::Open { class: class.id, place: place + 1, of: classes.len() });
                let begun = Instant::now();
                let detection = if injection.takes_destruction() {
                    trial.destroy(injection).await?
                } else {
                    trial.detect(class, injection).await?
                };
                let found = format!("{detection} ({:.1}s)", begun.elapsed().as_secs_f64());
                progress.say(Step::Tried { class: class.id, found });
                detection
            }
        };
        rows.push(Row::of(class, engine, detection));
    }
    Ok(Score::of((from.name(), to.name()), &baseline, rows))
}

/// Two clusters between which leaks are opened.
struct Trial<'a, 'b> {
    arena: &'a mut Arena<'b>,
    provisioner: &'a Provisioner,
    from: &'a TestCluster,
    to: &'a TestCluster,
    /// What was known of both before the first leak.
    known: Vec<Subject>,
    /// What became of the leaks that take a destruction, once they were opened.
    destroyed: Option<Detections>,
}

impl Trial<'_, '_> {
    /// Opens a leak, audits its class, closes it, audits it once more.
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
            Towards::Instances | Towards::Everybody => ((from, to), (to, from)),
            Towards::Workstation | Towards::Nobody => ((from, WORKSTATION), (to, WORKSTATION)),
        };
        let back = injection.is_mutual().then_some(back);
        Ok(Detection::judge(&during, &after, there, back))
    }

    /// Opens a leak that takes a destruction. Both such are opened at once, and remembered.
    async fn destroy(&mut self, injection: Injection) -> Result<Detection, SelfTestError> {
        let detections = match self.destroyed.take() {
            Some(detections) => detections,
            None => destruction::detect(&self.ground()?).await.unwrap_or_else(|error| {
                let why = Detection::NotOpened(provisioner::error::chain(&error));
                Detections { inherited: why.clone(), destroyed: why }
            }),
        };
        let Detections { inherited, destroyed } = self.destroyed.insert(detections).clone();
        Ok(if injection == Injection::OldData { inherited } else { destroyed })
    }

    /// Audits both, with a leak open or none.
    async fn audit(
        &mut self,
        selection: &Selection,
        injection: Option<Injection>,
    ) -> Result<Report, SelfTestError> {
        let started = Timestamp::now();
        let taken = async || Inventory::take(self.provisioner).await.map_err(AuditError::Inventory);
        let before = taken().await?;
        let opened = match injection {
            Some(injection) => Some(inject::open(injection, &self.ground()?).await?),
            None => None,
        };
        let (mut subjects, host) = self.arena.learn(selection).await;
        match &opened {
            Some(opened) => opened.twist(&mut subjects, self.from.name(), self.to.name()),
            None if self.known.is_empty() => self.known.clone_from(&subjects),
            None => {}
        }
        let plan = self.arena.plan((subjects, host), selection)?;
        let mut observed = self.arena.ask(&plan, &Progress::default()).await?;
        observed.after.left = Some(taken().await?.left_since(&before));
        if let Some(opened) = opened {
            opened.close().await.map_err(AuditError::Left)?;
        }
        let accepted = accepted_on(self.from.inner().instance.engine);
        Ok(Report::of(&plan, &observed, &accepted, (started, Timestamp::now())))
    }

    fn ground(&self) -> Result<Ground<'_>, SelfTestError> {
        let known = |name: &str| self.known.iter().find(|subject| subject.name == name);
        let unknown = || SelfTestError::Clusters(self.known.len());
        Ok(Ground {
            provisioner: self.provisioner,
            from: self.from,
            source: known(self.from.name()).ok_or_else(unknown)?,
            to: self.to,
            target: known(self.to.name()).ok_or_else(unknown)?,
            namespace: self.arena.namespace(),
        })
    }
}
