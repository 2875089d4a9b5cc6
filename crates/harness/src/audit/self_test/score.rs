//! How many of the leaks that were opened the audit found, and how often it was wrong. Pure.

mod markdown;

use std::collections::BTreeSet;
use std::fmt;

use provisioner::spec::EngineKind;

use crate::audit::class::{Class, ClassId};
use crate::audit::report::Report;
use crate::audit::verdict::Verdict;

/// What the self-test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// From which cluster leaks were opened.
    pub from: String,
    /// To which one.
    pub to: String,
    /// The cells of the clean clusters that were not isolated: class, pair, verdict and why, in words.
    pub alarms: Vec<String>,
    /// A row for each class.
    pub rows: Vec<Row>,
}

/// What became of the leak of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Of which class.
    pub class: ClassId,
    /// What it is.
    pub title: &'static str,
    /// How it is opened.
    pub injection: Option<String>,
    /// What became of it.
    pub detection: Detection,
}

/// Whether a leak was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// It was said for the right pair and no other, and was gone when it was closed.
    Found {
        /// What the audit says of it.
        why: String,
    },
    /// It was not said for the pair that it was opened for.
    Missed {
        /// What was said instead.
        instead: String,
    },
    /// It was said for another pair as well.
    Elsewhere {
        /// Which.
        pair: String,
    },
    /// It was found, and the class was not isolated again after it was closed.
    Stays {
        /// What was said instead.
        instead: String,
    },
    /// It could not be opened: why.
    NotOpened(String),
    /// Nothing opens it here, so nobody knows whether it would be found: why.
    NotCovered(String),
}

impl Score {
    pub(super) fn of((from, to): (&str, &str), baseline: &Report, rows: Vec<Row>) -> Self {
        let failing = baseline.cells.iter().filter(|cell| cell.fails());
        let alarms = failing.map(|cell| {
            let (class, source, target, verdict) = (cell.class, &cell.source, &cell.target, cell.verdict);
            format!("{class} {source} → {target}: {verdict}: {}", cell.why)
        });
        Self { from: from.to_owned(), to: to.to_owned(), alarms: alarms.collect(), rows }
    }

    /// How many leaks were found, of how many.
    pub fn found(&self) -> (usize, usize) {
        let injected = self.rows.iter().filter(|row| !matches!(row.detection, Detection::NotCovered(_)));
        let found = self.rows.iter().filter(|row| matches!(row.detection, Detection::Found { .. }));
        (found.count(), injected.count())
    }

    /// Whether every leak was found and nothing else.
    pub fn is_perfect(&self) -> bool {
        let (found, injected) = self.found();
        injected > 0 && found == injected && self.alarms.is_empty()
    }

    /// Demands that it is perfect.
    ///
    /// # Panics
    /// When it is not: with all rows.
    #[track_caller]
    pub fn assert_perfect(&self) {
        assert!(
            self.is_perfect(),
            "the audit missed something, or saw what is not there:\n{}",
            self.markdown()
        );
    }
}

impl Row {
    pub(super) fn of(class: &Class, engine: EngineKind, detection: Detection) -> Self {
        let injection = class.injection.filter(|injection| injection.lacks(engine).is_none());
        let injection = injection.map(|injection| injection.words_on(engine).to_owned());
        Self { class: class.id, title: class.title, injection, detection }
    }
}

impl Detection {
    /// From the audit while the leak was open, and the one after it was closed.
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
            Self::NotOpened(why) => write!(f, "**not opened**: {why}"),
            Self::NotCovered(why) => write!(f, "not covered: {why}"),
        }
    }
}
