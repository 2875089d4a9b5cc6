//! The campaign of a self-test: leaks that are drawn from a seed, each proved open by ordinary programs.
//!
//! 1. The leak is proved closed, applied, and proved open.
//! 2. The clusters are audited. Any class may find the leak, for the right pair and direction.
//! 3. The leak is proved still open, reverted, and proved closed.
//!
//! A leak that is not proved open before and after the audit does not count as found. After some leaks, one audit of the
//! clean clusters shows whether there are false alarms.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use provisioner::error::chain;

use super::campaign_score::{CampaignScore, DrawnDetection, DrawnRow};
use super::score::alarms;
use super::{SelfTestError, Trial};
use crate::audit::class::ClassId;
use crate::audit::inject::drawn::{self, DrawnLeak, Opening};
use crate::audit::run::{AuditProgress, Step};
use crate::audit::verdict::Verdict;
use crate::audit::viewpoint::HOST;
use crate::audit::{Report, Selection};

/// The number of leaks between two audits of the clean clusters.
const BATCH: usize = 8;
/// The deadline for a leak to be open after it was applied, and closed after it was reverted. An API server needs up to a
/// minute to read a changed file. Stretched where nodes are slow.
const SETTLE: Duration = Duration::from_secs(90);

/// Which leaks a campaign draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Campaign {
    /// The seed. The same seed draws the same leaks, in the same version of homelab.
    pub seed: u64,
    /// The number of leaks of any kind, after one of each kind.
    pub random: u32,
}

impl Campaign {
    /// The number of random leaks that `homelab audit --self-test` draws by default.
    pub const RANDOM: u32 = 20;

    /// A campaign with one leak of each kind and `random` ones. Without a seed, a random one.
    pub fn new(seed: Option<u64>, random: u32) -> Self {
        // With six digits, a seed is easy to type, and there are enough.
        let seed = seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
        Self { seed, random }
    }

    /// The descriptions of the leaks that are drawn between two clusters, in their order. Pure.
    pub fn leaks(&self, names: [&str; 2]) -> Vec<String> {
        self.draw(names).iter().map(DrawnLeak::to_string).collect()
    }

    fn draw(&self, names: [&str; 2]) -> Vec<DrawnLeak> {
        drawn::draw(self.seed, self.random, names)
    }
}

/// Applies the drawn leaks one at a time, and audits the selected classes for each.
pub(super) async fn run(
    trial: &mut Trial<'_, '_>,
    campaign: &Campaign,
    selection: &Selection,
    progress: &AuditProgress,
) -> Result<CampaignScore, SelfTestError> {
    let leaks = campaign.draw([trial.from.name(), trial.to.name()]);
    let mut score = CampaignScore { campaign: *campaign, rows: Vec::new(), alarms: Vec::new() };
    for (place, leak) in leaks.iter().enumerate() {
        progress.say(Step::Open { leak: leak.to_string(), place: place + 1, of: leaks.len() });
        let begun = Instant::now();
        let (opened, detection) = one(trial, leak, selection).await?;
        let found = format!("{detection} ({:.1}s)", begun.elapsed().as_secs_f64());
        progress.say(Step::Judged { leak: leak.to_string(), found });
        score.rows.push(DrawnRow { leak: leak.to_string(), opened, detection });
        if (place + 1) % BATCH == 0 || place + 1 == leaks.len() {
            let clean = trial.audit(selection, None).await?;
            let alarms = alarms(&clean).into_iter();
            score.alarms.extend(alarms.map(|alarm| format!("after leak {}: {alarm}", place + 1)));
        }
    }
    Ok(score)
}

/// One leak: the evidence that it was open, and whether the audit found it.
async fn one(
    trial: &mut Trial<'_, '_>,
    leak: &DrawnLeak,
    selection: &Selection,
) -> Result<(Option<String>, DrawnDetection), SelfTestError> {
    match drawn::prove(leak, &trial.pair_of(leak)?).await {
        Ok(None) => {}
        Ok(Some(evidence)) => {
            let why = format!("it is open although it is not applied: {evidence}");
            return Ok((None, DrawnDetection::NotOpened(why)));
        }
        Err(error) => return Ok((None, DrawnDetection::NotOpened(chain(&error)))),
    }
    let opening = match Opening::apply(leak, &trial.pair_of(leak)?).await {
        Ok(opening) => opening,
        Err(error) => return Ok((None, DrawnDetection::NotOpened(chain(&error)))),
    };
    let opened = proved(trial, leak, true).await?;
    let detection = match &opened {
        Err(why) => DrawnDetection::NotOpened(why.clone()),
        Ok(_) => {
            let report = trial.audit(selection, None).await?;
            match proved(trial, leak, true).await? {
                Ok(_) => judge(&report, leak),
                Err(why) => DrawnDetection::NotOpened(format!("after the audit: {why}")),
            }
        }
    };
    if let Err(left) = opening.revert().await {
        return Ok((opened.ok(), DrawnDetection::Stays(format!("{detection}; {left}"))));
    }
    let closed = proved(trial, leak, false).await?;
    let detection = match closed {
        Ok(_) => detection,
        Err(why) => DrawnDetection::Stays(format!("{detection}; {why}")),
    };
    Ok((opened.ok(), detection))
}

/// Waits until the leak is proved open, or closed. Returns the evidence, or the reason why there is none.
async fn proved(
    trial: &Trial<'_, '_>,
    leak: &DrawnLeak,
    open: bool,
) -> Result<Result<String, String>, SelfTestError> {
    let deadline = Instant::now() + trial.from.slowdown().max(trial.to.slowdown()).stretch(SETTLE).on_clock();
    loop {
        let why = match drawn::prove(leak, &trial.pair_of(leak)?).await {
            Ok(Some(evidence)) if open => return Ok(Ok(evidence)),
            Ok(None) if !open => return Ok(Ok(String::new())),
            Ok(Some(evidence)) => format!("it is still open: {evidence}"),
            Ok(None) => "nothing got through".to_owned(),
            Err(error) => chain(&error),
        };
        if Instant::now() > deadline {
            return Ok(Err(why));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether a report has the leak, for the right pair and no other. The class that listens (L9) also hears the answers of
/// a path that leads in one direction only. Pure.
pub(super) fn judge(report: &Report, leak: &DrawnLeak) -> DrawnDetection {
    let (from, to) = (leak.from.as_str(), leak.to.as_str());
    let mut classes = BTreeSet::new();
    for cell in report.cells.iter().filter(|cell| cell.verdict == Verdict::Leak) {
        let (source, target) = (cell.source.as_str(), cell.target.as_str());
        let is_back = (source, target) == (to, from);
        let is_host = source == HOST || target == HOST;
        if (source, target) == (from, to) || (leak.reaches_host() && (source, target) == (from, HOST)) {
            classes.insert(cell.class);
        } else if !(is_of_all(cell.class)
            || is_back && (leak.is_mutual() || cell.class == ClassId::L9)
            || is_host && leak.reaches_host())
        {
            let pair = format!("{source} → {target}");
            return DrawnDetection::Elsewhere { pair, class: cell.class, why: cell.why.clone() };
        }
    }
    if !classes.is_empty() {
        return DrawnDetection::Found { classes };
    }
    let worst = report.cells.iter().filter(|cell| cell.fails()).max_by_key(|cell| cell.verdict);
    let instead = worst.map_or("all cells are isolated".to_owned(), |cell| {
        let (class, source, target, verdict) = (cell.class, &cell.source, &cell.target, cell.verdict);
        format!("{class} {source} → {target}: {verdict}: {}", cell.why)
    });
    DrawnDetection::Missed { instead }
}

/// Whether a class compares the host with the plan. A difference touches both instances and often the host, whatever the
/// direction of the leak is.
fn is_of_all(class: ClassId) -> bool {
    class.group() == "Structure"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Observed, Plan, sample};

    /// A report on acme and globex whose cells of these classes and pairs leak.
    fn report(leaks: &[(ClassId, &str, &str)]) -> Report {
        let plan = Plan::new(1, sample::two(), sample::host(), &Selection::default());
        let plan = plan.expect("a plan");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut report = Report::of(&plan, &Observed::default(), (now, now));
        for cell in &mut report.cells {
            let is_it = |(class, source, target): &(ClassId, &str, &str)| {
                (cell.class, cell.source.as_str(), cell.target.as_str()) == (*class, *source, *target)
            };
            cell.verdict = if leaks.iter().any(is_it) { Verdict::Leak } else { Verdict::Isolated };
        }
        report
    }

    /// A drawn leak of this kind from acme to globex.
    fn leak(kind: &str) -> DrawnLeak {
        let all = (0..100).flat_map(|seed| drawn::draw(seed, 0, ["acme", "globex"]));
        let mut wanted = all.filter(|leak| leak.from == "acme" && leak.to_string().contains(kind));
        wanted.next().expect("a leak of this kind")
    }

    #[test]
    fn a_leak_is_found_by_all_classes_that_report_its_pair() {
        let forward = leak("the host forwards TCP");
        let leaks = [
            (ClassId::N3, "acme", "globex"),
            (ClassId::S4, "acme", "globex"),
            (ClassId::S4, "globex", "acme"),
        ];
        let classes = BTreeSet::from([ClassId::N3, ClassId::S4]);
        assert_eq!(judge(&report(&leaks), &forward), DrawnDetection::Found { classes });
        assert!(matches!(judge(&report(&[]), &forward), DrawnDetection::Missed { .. }));
    }

    #[test]
    fn a_leak_of_another_pair_is_no_detection() {
        let elsewhere = |leaks: &[(ClassId, &str, &str)], leak: &DrawnLeak| match judge(&report(leaks), leak)
        {
            DrawnDetection::Elsewhere { pair, .. } => Some(pair),
            _ => None,
        };
        let back = [(ClassId::N3, "acme", "globex"), (ClassId::N3, "globex", "acme")];
        assert_eq!(elsewhere(&back, &leak("the host forwards TCP")).as_deref(), Some("globex → acme"));
        assert_eq!(elsewhere(&back, &leak("over a cable between their bridges")), None);
        let host = [(ClassId::N3, "acme", "globex"), (ClassId::H2, "acme", HOST)];
        assert_eq!(
            elsewhere(&host, &leak("over a cable between their bridges")).as_deref(),
            Some("acme → host")
        );
        assert_eq!(elsewhere(&host, &leak("a process of the host at TCP")), None);
    }

    #[test]
    fn only_a_reverted_leak_that_was_open_and_found_makes_a_perfect_score() {
        let campaign = Campaign::new(Some(7), 1);
        let score = |detection, alarms| {
            let rows =
                vec![DrawnRow { leak: "a | b".to_owned(), opened: Some("a token".to_owned()), detection }];
            CampaignScore { campaign, rows, alarms }
        };
        let found = || DrawnDetection::Found { classes: BTreeSet::from([ClassId::N3, ClassId::S4]) };
        assert!(score(found(), Vec::new()).is_perfect());
        assert!(!score(found(), vec!["N1".to_owned()]).is_perfect());
        assert!(!score(DrawnDetection::NotOpened("no".to_owned()), Vec::new()).is_perfect());
        assert!(!score(DrawnDetection::Stays("no".to_owned()), Vec::new()).is_perfect());
        let text = score(found(), vec!["after leak 1: N1".to_owned()]).markdown();
        insta::assert_snapshot!(text);
    }
}
