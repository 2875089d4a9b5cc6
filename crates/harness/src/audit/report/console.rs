//! The matrix, for a terminal: instances × instances, the worst verdict in each place, then what is wrong.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{Report, columns, tell};
use crate::audit::verdict::{Outcome, Verdict};

/// How many cells of a verdict are listed.
const LISTED: usize = 10;

impl Report {
    /// The report in a screenful. Whether it is coloured is for the caller to decide.
    pub fn console(&self, colour: bool) -> String {
        let mut text = format!(
            "isolation audit {}, {} to {}\n\n{}\n",
            self.run,
            self.started,
            self.ended,
            matrix(self, colour)
        );
        for verdict in Verdict::ALL.iter().rev().filter(|verdict| **verdict != Verdict::Isolated) {
            let cells: Vec<_> =
                self.cells.iter().filter(|cell| cell.verdict == *verdict && cell.fails()).collect();
            for cell in cells.iter().take(LISTED) {
                let name = painted(verdict.name(), *verdict, colour, 12);
                let _ = writeln!(text, "{name}  {}\n              {}", tell::name(cell), cell.why);
            }
            if cells.len() > LISTED {
                let _ = writeln!(text, "              … and {} more", cells.len() - LISTED);
            }
        }
        let mut accepted: Vec<_> = self.cells.iter().filter(|cell| cell.accepted.is_some()).collect();
        accepted.dedup_by_key(|cell| cell.class);
        accepted.sort_by_key(|cell| cell.class);
        accepted.dedup_by_key(|cell| cell.class);
        for cell in accepted {
            let reason = cell.accepted.as_deref().unwrap_or_default();
            let _ = writeln!(text, "accepted      {} not covered: {reason}", cell.class);
        }
        let counts = &self.counts;
        let outcome = match self.outcome {
            Outcome::Isolated => painted("ISOLATED", Verdict::Isolated, colour, 0),
            Outcome::Leak => painted("LEAK", Verdict::Leak, colour, 0),
            Outcome::Inconclusive => painted("INCONCLUSIVE", Verdict::Inconclusive, colour, 0),
        };
        let _ = writeln!(
            text,
            "\n{outcome}: {} cells, {} isolated, {} leak, {} inconclusive, {} not covered ({} accepted)\n{}",
            counts.total(),
            counts.isolated,
            counts.leak,
            counts.inconclusive,
            counts.not_covered,
            counts.accepted,
            self.kernel
        );
        text
    }
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
                None => format!("{:<width$}", if target == source { "·" } else { "not asked" }),
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
        Verdict::Isolated => AnsiColor::Green.on_default(),
        Verdict::NotCovered => AnsiColor::Cyan.on_default(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
        Verdict::Leak => AnsiColor::Red.on_default().bold(),
    };
    if colour { format!("{style}{text}{style:#}") } else { text }
}
