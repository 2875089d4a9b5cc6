//! One self-contained HTML page: no script, no font, no picture, no network access.

use askama::Template;
use jiff::Timestamp;

use super::model::{CellReport, Group, PairReport};
use super::{Report, columns, tell};
use crate::audit::class::Class;
use crate::audit::verdict::{AuditOutcome, Verdict};

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    report: &'a Report,
    columns: Vec<&'a str>,
    pairs: Vec<Pair<'a>>,
}

/// A field of the matrix with its cells, grouped by class.
struct Pair<'a> {
    pair: &'a PairReport,
    groups: Vec<Group<'a>>,
}

impl Report {
    /// The report as one self-contained page.
    ///
    /// # Errors
    /// None in practice: writing to memory does not fail.
    pub fn html(&self) -> Result<String, askama::Error> {
        let groups = self.groups();
        let of = |pair: &PairReport| {
            let own =
                groups.iter().filter(|group| group.source == pair.source && group.target == pair.target);
            let mut own: Vec<_> = own.cloned().collect();
            // The worst verdict first, then in the order of the classes.
            own.sort_by_key(|group| (!group.fails(), std::cmp::Reverse(group.verdict()), group.class));
            own
        };
        let pairs = self.pairs.iter().filter(|pair| pair.verdict.is_some());
        let pairs = pairs.map(|pair| Pair { pair, groups: of(pair) }).collect();
        Page { report: self, columns: columns(self), pairs }.render()
    }
}

impl Page<'_> {
    fn pair(&self, source: &str, target: &str) -> Option<&PairReport> {
        self.report.pairs.iter().find(|pair| pair.source == source && pair.target == target)
    }

    fn headline(&self) -> &'static str {
        match self.report.outcome {
            AuditOutcome::Isolated => "Isolated in every tested class",
            AuditOutcome::Leak => "An instance can reach another instance or the host",
            AuditOutcome::Inconclusive => "Isolation is not proven",
        }
    }

    fn outcome(&self) -> &'static str {
        match self.report.outcome {
            AuditOutcome::Isolated => Verdict::Isolated.style(),
            AuditOutcome::Leak => Verdict::Leak.style(),
            AuditOutcome::Inconclusive => Verdict::Inconclusive.style(),
        }
    }

    fn not_covered(&self) -> Vec<(&'static Class, &str, bool)> {
        let all = self.report.not_covered().into_iter();
        all.map(|(class, why, accepted)| (Class::of(class), why, accepted)).collect()
    }

    fn with(&self, verdict: Verdict) -> Vec<(&'static Class, &str)> {
        let all = self.report.with(verdict).into_iter();
        all.map(|(class, why)| (Class::of(class), why)).collect()
    }

    /// The duration of the run in seconds; `None` where its times cannot be parsed.
    fn took(&self) -> Option<i64> {
        let [started, ended] =
            [&self.report.started, &self.report.ended].map(|time| time.parse::<Timestamp>());
        Some(ended.ok()?.duration_since(started.ok()?).as_secs())
    }

    /// The verdicts, the worst first, each with the number of its cells.
    fn verdicts(&self) -> impl Iterator<Item = (Verdict, usize)> {
        Verdict::ALL.into_iter().rev().map(|verdict| (verdict, self.report.counts.with(verdict)))
    }
}

fn class(group: &Group<'_>) -> &'static Class {
    Class::of(group.class)
}

impl Verdict {
    /// Its class name in the style sheet.
    fn style(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Isolated => "isolated",
            Self::Expected => "expected",
            Self::Leak => "leak",
            Self::Inconclusive => "inconclusive",
            Self::NotCovered => "not-covered",
        }
    }

    /// A sign beside the colour, for readers who do not see colours.
    fn sign(self) -> &'static str {
        match self {
            Self::NotApplicable => "·",
            Self::Isolated => "✓",
            Self::Expected => "→",
            Self::Leak => "✗",
            Self::Inconclusive => "?",
            Self::NotCovered => "–",
        }
    }
}

fn sections(cell: &CellReport) -> Vec<(&'static str, &[super::ProbeReport])> {
    cell.evidence.as_ref().map(tell::sections).unwrap_or_default()
}

/// The commands of these probes, each once.
fn commands(probes: &[super::ProbeReport]) -> Vec<&str> {
    let mut commands: Vec<&str> = probes.iter().filter_map(|probe| probe.command.as_deref()).collect();
    commands.sort_unstable();
    commands.dedup();
    commands
}

/// The anchor of a pair: `acme.globex`. Names of instances are DNS labels, so they contain no dot.
fn anchor(pair: &PairReport) -> String {
    format!("{}.{}", pair.source, pair.target)
}
