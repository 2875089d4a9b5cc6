//! Markdown, for merge requests and wikis.

use std::fmt::Write;

use super::{Acceptance, Report, columns, tell};
use crate::audit::class::Class;
use crate::audit::verdict::Verdict;

impl Report {
    /// The report as GitHub-flavoured Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Isolation audit: {}\n\nRun `{}`, {} to {}.\n\n> {}\n\n",
            self.outcome, self.run, self.started, self.ended, self.kernel
        );
        for sentence in self.unasked() {
            let _ = writeln!(text, "**Not tested:** {sentence}\n");
        }
        let columns = columns(self);
        let _ = writeln!(text, "| from \\ to | {} |", columns.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
        for source in &self.instances {
            let places = columns.iter().map(|target| {
                let pair = self.pairs.iter().find(|pair| pair.source == *source && pair.target == *target);
                pair.and_then(|pair| pair.verdict).map_or("·", Verdict::name)
            });
            let _ = writeln!(text, "| **{source}** | {} |", places.collect::<Vec<_>>().join(" | "));
        }
        let counts = &self.counts;
        text.push_str("\n| verdict | cells |\n|---|---|\n");
        for verdict in Verdict::ALL.iter().rev() {
            let _ = writeln!(text, "| {verdict} | {} |", counts.with(*verdict));
        }
        for group in self.groups().iter().filter(|group| group.fails()) {
            let class = Class::of(group.class);
            let _ = writeln!(
                text,
                "\n## {}: {} {}, {} → {}\n\nA leak would mean: {}.\n",
                group.verdict(),
                class.id,
                class.title,
                group.source,
                group.target,
                class.means
            );
            for cell in group.cells.iter().filter(|cell| cell.fails()) {
                let _ = writeln!(text, "```text\n{}```", tell::cell(cell));
            }
        }
        if !self.accepted.is_empty() {
            text.push_str("\n## Accepted as not covered\n\n");
        }
        for acceptance in &self.accepted {
            let class = Class::of(acceptance.class);
            let Acceptance { reason, by, .. } = acceptance;
            let _ = writeln!(text, "- **{} {}**: {reason} (by {by})", class.id, class.title);
        }
        for (verdict, title) in [(Verdict::Expected, "Expected"), (Verdict::NotApplicable, "Not applicable")]
        {
            let classes = self.with(verdict);
            if !classes.is_empty() {
                let _ = write!(text, "\n## {title}\n\n");
            }
            for (class, why) in classes {
                let _ = writeln!(text, "- **{class} {}**: {why}", Class::of(class).title);
            }
        }
        text
    }
}
