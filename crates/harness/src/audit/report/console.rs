//! The report for a terminal: a matrix with the worst verdict of each pair, then the cells that fail.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{PhaseReport, Report, columns, tell};
use crate::audit::class::Class;
use crate::audit::verdict::{AuditOutcome, Verdict};

/// The number of cells of one class and pair that are shown with evidence. Further cells have one line each.
const SHOWN: usize = 3;

impl Report {
    /// The report for a terminal: the matrix, the cells that fail with their evidence, the classes not covered, the
    /// counts. The caller decides whether it is coloured.
    pub fn console(&self, colour: bool) -> String {
        let mut text = format!(
            "isolation audit {}, {} to {}\n{}\n{}",
            self.run,
            self.started,
            self.ended,
            phases(self),
            matrix(self, colour)
        );
        let listed = self.listed(colour);
        if !listed.is_empty() {
            let _ = write!(text, "\n{listed}");
        }
        for sentence in self.unasked() {
            let _ = write!(text, "\n{}  {sentence}", painted("NOT TESTED", Verdict::Inconclusive, colour, 0));
        }
        if !self.unasked().is_empty() {
            text.push('\n');
        }
        let counts = &self.counts;
        let outcome = match self.outcome {
            AuditOutcome::Isolated => painted("ISOLATED", Verdict::Isolated, colour, 0),
            AuditOutcome::Leak => painted("LEAK", Verdict::Leak, colour, 0),
            AuditOutcome::Inconclusive => painted("INCONCLUSIVE", Verdict::Inconclusive, colour, 0),
        };
        let _ = writeln!(
            text,
            "\n{outcome}: {}, {} isolated,{} {} leak, {} inconclusive, {} not covered ({} accepted), {} not applicable\n{}",
            tell::count(counts.total(), "cell"),
            counts.isolated,
            if counts.expected > 0 { format!(" {} expected,", counts.expected) } else { String::new() },
            counts.leak,
            counts.inconclusive,
            counts.not_covered,
            counts.accepted,
            counts.not_applicable,
            self.kernel
        );
        text
    }

    /// The cells that fail with their evidence, then the classes expected, not applicable and not covered.
    fn listed(&self, colour: bool) -> String {
        let mut text = String::new();
        let groups = self.groups();
        for verdict in [Verdict::Leak, Verdict::Inconclusive] {
            for group in &groups {
                let cells = group.cells.iter().filter(|cell| cell.verdict == verdict);
                for (place, cell) in cells.enumerate() {
                    let head = painted(verdict.name(), verdict, colour, 0);
                    let _ = writeln!(text, "{head}  {}", tell::name(cell));
                    let reasons = tell::reasons(cell);
                    let lines = if place < SHOWN { usize::MAX } else { 1 };
                    for line in reasons.lines().take(lines) {
                        let _ = writeln!(text, "  {line}");
                    }
                }
            }
        }
        for (class, why) in self.with(Verdict::Expected) {
            let head = painted(Verdict::Expected.name(), Verdict::Expected, colour, 0);
            let _ = writeln!(text, "{head}  {class} {}: {why}", Class::of(class).title);
        }
        for (class, evidence) in self.with(Verdict::NotApplicable) {
            let head = painted(Verdict::NotApplicable.name(), Verdict::NotApplicable, colour, 0);
            let _ = writeln!(text, "{head}  {class} {}: {evidence}", Class::of(class).title);
        }
        for (class, why, accepted) in self.not_covered() {
            let head = painted(Verdict::NotCovered.name(), Verdict::NotCovered, colour, 0);
            let title = Class::of(class).title;
            let accepted = if accepted { "accepted" } else { "not accepted" };
            let _ = writeln!(text, "{head}  {class} {title}: {why} ({accepted})");
        }
        text
    }
}

/// The duration of each part, in one line.
fn phases(report: &Report) -> String {
    let took = |phase: &PhaseReport| format!("{} {:.1} s", phase.name, phase.took_ms as f64 / 1000.0);
    let line = report.phases.iter().map(took).collect::<Vec<_>>().join(" · ");
    if line.is_empty() { line } else { format!("{line}\n") }
}

fn matrix(report: &Report, colour: bool) -> String {
    let columns = columns(report);
    let first =
        report.instances.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("from \\ to".len());
    let width = columns.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("INCONCLUSIVE".len());
    let head = columns.iter().map(|name| format!("{name:<width$}")).collect::<Vec<_>>().join("  ");
    let mut text = format!("{:<first$}  {}\n", "from \\ to", head.trim_end());
    for source in &report.instances {
        let places = columns.iter().map(|target| {
            let pair = report.pairs.iter().find(|pair| pair.source == *source && pair.target == *target);
            match pair.and_then(|pair| pair.verdict) {
                Some(verdict) => painted(verdict.name(), verdict, colour, width),
                None => format!("{:<width$}", if target == source { "·" } else { "not tested" }),
            }
        });
        let row = places.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{source:<first$}  {}", row.trim_end());
    }
    text
}

fn painted(text: &str, verdict: Verdict, colour: bool, width: usize) -> String {
    let text = format!("{text:<width$}");
    let style: Style = match verdict {
        Verdict::NotApplicable => AnsiColor::BrightBlack.on_default(),
        Verdict::Isolated => AnsiColor::Green.on_default(),
        Verdict::Expected => AnsiColor::Blue.on_default(),
        Verdict::NotCovered => AnsiColor::Cyan.on_default(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
        Verdict::Leak => AnsiColor::Red.on_default().bold(),
    };
    if colour { format!("{style}{text}{style:#}") } else { text }
}
