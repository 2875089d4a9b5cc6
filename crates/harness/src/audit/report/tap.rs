//! TAP 14: a test point for each class and pair, with the cells that fail in a YAML block.
//!
//! <https://testanything.org/tap-version-14-specification.html>

use std::fmt::Write;

use super::{Group, Report, tell};
use crate::audit::class::Class;
use crate::audit::verdict::Verdict;

impl Report {
    /// The report as TAP 14. A class that is not applicable, or accepted as not covered, is skipped. Every other class that is not isolated
    /// is `not ok`.
    pub fn tap(&self) -> String {
        let groups = self.groups();
        let points = groups.len() + self.left_out.len();
        let mut text = format!("TAP version 14\n1..{points}\n# {}\n", self.kernel);
        for sentence in self.unasked() {
            let _ = writeln!(text, "# {sentence}");
        }
        for (number, group) in groups.iter().enumerate() {
            let ok = if group.fails() { "not ok" } else { "ok" };
            let title = Class::of(group.class).title;
            let name = escaped(&format!("{} {title}: {} → {}", group.class, group.source, group.target));
            let skipped = skipped(group).filter(|_| !group.fails());
            let skip = skipped.map_or(String::new(), |reason| format!(" # SKIP {}", escaped(reason)));
            let _ = writeln!(text, "{ok} {} - {name}{skip}", number + 1);
            if group.fails() {
                let _ = writeln!(text, "  ---\n  verdict: {}\n  cells: |", group.verdict());
                for cell in group.cells.iter().filter(|cell| cell.fails()) {
                    for line in tell::cell(cell).lines() {
                        let _ = writeln!(text, "    {line}");
                    }
                }
                text.push_str("  ...\n");
            }
        }
        for (number, left_out) in self.left_out.iter().enumerate() {
            let name = escaped(&format!("{} is audited: {}", left_out.instance, left_out.why));
            let _ = writeln!(text, "not ok {} - {name}", groups.len() + number + 1);
        }
        text
    }
}

/// Why a class was not tested between two instances: what is accepted, or the evidence that there is nothing to ask.
fn skipped<'a>(group: &Group<'a>) -> Option<&'a str> {
    let accepted = group.cells.iter().find_map(|cell| cell.accepted.as_deref());
    let nothing = || group.cells.iter().find(|cell| cell.verdict == Verdict::NotApplicable);
    accepted.or_else(|| nothing().map(|cell| cell.why.as_str()))
}

/// Escapes `#`, which begins a directive, and `\`, which begins an escape.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}
