//! TAP 14: a point for each class and pair, the worst cells in a YAML block.
//!
//! <https://testanything.org/tap-version-14-specification.html>

use std::fmt::Write;

use super::{Report, tell};
use crate::audit::class::Class;

impl Report {
    /// As TAP 14. What is accepted as not covered is skipped, everything else that is not isolated is not ok.
    pub fn tap(&self) -> String {
        let groups = self.groups();
        let mut text = format!("TAP version 14\n1..{}\n# {}\n", groups.len(), self.kernel);
        for (number, group) in groups.iter().enumerate() {
            let ok = if group.fails() { "not ok" } else { "ok" };
            let title = Class::of(group.class).title;
            let name = escaped(&format!("{} {title}: {} → {}", group.class, group.source, group.target));
            let accepted =
                group.cells.iter().find_map(|cell| cell.accepted.as_deref()).filter(|_| !group.fails());
            let skip = accepted.map_or(String::new(), |reason| format!(" # SKIP {}", escaped(reason)));
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
        text
    }
}

/// `#` begins a directive, `\` an escape.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}
