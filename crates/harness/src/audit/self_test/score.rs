//! [`Score`]: how many injected leaks the audit has found, and its false alarms. Pure.

mod markdown;

use std::collections::BTreeSet;
use std::fmt;

use provisioner::request::EngineKind;

use super::campaign_score::CampaignScore;
use crate::audit::class::{Class, ClassId};
use crate::audit::report::Report;
use crate::audit::verdict::Verdict;

/// The result of a self-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// The source of all injections, by its cluster's name.
    pub from: String,
    /// The target of all injections, by its cluster's name.
    pub to: String,
    /// The false alarms: cells of the clean clusters that were not isolated, with class, pair, verdict and reason.
    pub alarms: Vec<String>,
    /// A row for each tested class.
    pub rows: Vec<Row>,
    /// The result of the drawn leaks. `None` if none were drawn.
    pub campaign: Option<CampaignScore>,
}

/// The result of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The class.
    pub class: ClassId,
    /// The title of the class.
    pub title: &'static str,
    /// The injection, in words. `None` where the class has none for this engine.
    pub injection: Option<String>,
    /// Whether the audit found the leak.
    pub detection: Detection,
}

/// Whether the audit found an injected leak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// The leak was reported for the right pair and for no other pair, and the class was isolated after the injection
    /// was reverted.
    Found {
        /// The reason in the report.
        why: String,
    },
    /// The leak was not reported for its pair.
    Missed {
        /// The worst verdict in the report and its reason.
        instead: String,
    },
    /// The leak was reported for another pair as well.
    Elsewhere {
        /// The other pair: `globex → acme`.
        pair: String,
    },
    /// The leak was found, but the class was not isolated after the injection was reverted.
    Stays {
        /// The worst verdict in the report and its reason.
        instead: String,
    },
    /// The injection could not be applied, with the reason.
    NotOpened(String),
    /// There is no injection for this engine, so the detection is not proven, with the reason.
    NotCovered(String),
}

impl Score {
    pub(super) fn of((from, to): (&str, &str), baseline: &Report, rows: Vec<Row>) -> Self {
        let alarms = alarms(baseline);
        Self { from: from.to_owned(), to: to.to_owned(), alarms, rows, campaign: None }
    }

    /// The number of leaks that were found, and the number of injections.
    pub fn found(&self) -> (usize, usize) {
        let injected = self.rows.iter().filter(|row| !matches!(row.detection, Detection::NotCovered(_)));
        let found = self.rows.iter().filter(|row| matches!(row.detection, Detection::Found { .. }));
        (found.count(), injected.count())
    }

    /// Whether every injected leak was found, the drawn ones included, without a false alarm.
    pub fn is_perfect(&self) -> bool {
        let (found, injected) = self.found();
        let drawn = self.campaign.as_ref().is_none_or(CampaignScore::is_perfect);
        injected > 0 && found == injected && self.alarms.is_empty() && drawn
    }

    /// Asserts that every injected leak was found, without a false alarm.
    ///
    /// # Panics
    /// When that is not so; the message has all rows.
    #[track_caller]
    pub fn assert_perfect(&self) {
        assert!(
            self.is_perfect(),
            "the audit has missed a leak, or has raised a false alarm:\n{}\n{}",
            self.markdown(),
            self.campaign.as_ref().map(CampaignScore::markdown).unwrap_or_default()
        );
    }
}

/// The cells of clean clusters that are not isolated, with class, pair, verdict and reason.
pub(super) fn alarms(clean: &Report) -> Vec<String> {
    let failing = clean.cells.iter().filter(|cell| cell.fails());
    let alarms = failing.map(|cell| {
        let (class, source, target, verdict) = (cell.class, &cell.source, &cell.target, cell.verdict);
        format!("{class} {source} → {target}: {verdict}: {}", cell.why)
    });
    alarms.collect()
}

impl Row {
    pub(super) fn of(class: &Class, engine: EngineKind, detection: Detection) -> Self {
        let injection = class.injection.filter(|injection| injection.lacks(engine).is_none());
        let injection = injection.map(|injection| injection.words_on(engine).to_owned());
        Self { class: class.id, title: class.title, injection, detection }
    }
}

impl Detection {
    /// Compares the reports with the injection and after it was reverted. `there` is the injected pair, `back` its
    /// reverse where the injection leaks in both directions.
    pub(super) fn judge(
        during: &Report,
        after: &Report,
        there: (&str, &str),
        back: Option<(&str, &str)>,
    ) -> Self {
        let leaks = during.cells.iter().filter(|cell| cell.verdict == Verdict::Leak);
        let pairs: BTreeSet<(&str, &str)> =
            leaks.clone().map(|cell| (cell.source.as_str(), cell.target.as_str())).collect();
        let instead = |report: &Report| {
            let worst = report.cells.iter().filter(|cell| cell.fails()).max_by_key(|cell| cell.verdict);
            worst
                .map_or("all cells are isolated".to_owned(), |cell| format!("{}: {}", cell.verdict, cell.why))
        };
        if !pairs.contains(&there) {
            return Self::Missed { instead: instead(during) };
        }
        if let Some((from, to)) = pairs.iter().find(|pair| **pair != there && Some(**pair) != back) {
            return Self::Elsewhere { pair: format!("{from} → {to}") };
        }
        if after.cells.iter().any(|cell| cell.fails()) {
            return Self::Stays { instead: instead(after) };
        }
        let mut first = leaks.filter(|cell| (cell.source.as_str(), cell.target.as_str()) == there);
        Self::Found { why: first.next().map(|cell| cell.why.clone()).unwrap_or_default() }
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { .. } => f.write_str("yes, and isolated again"),
            Self::Missed { instead } => write!(f, "**no**: {instead}"),
            Self::Elsewhere { pair } => write!(f, "**also at {pair}**"),
            Self::Stays { instead } => write!(f, "**not isolated again**: {instead}"),
            Self::NotOpened(why) => write!(f, "**not injected**: {why}"),
            Self::NotCovered(why) => write!(f, "not covered: {why}"),
        }
    }
}
