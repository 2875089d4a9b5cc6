//! The score as a Markdown table, for the CLI and docs/audit.md. Pure.

use std::fmt::Write as _;

use super::{Row, Score};

impl Score {
    /// The score in Markdown. It has no times and no addresses, so that two perfect runs have the same text.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| class | leak | injection | found |\n| --- | --- | --- | --- |\n");
        for row in &self.rows {
            let _ = writeln!(text, "{}", line(row)); // writing to a string never fails
        }
        let (found, injected) = self.found();
        let alarms = self.alarms.len();
        let _ =
            writeln!(text, "\nFound {found} of {injected} leaks; {alarms} false alarms on clean clusters.");
        for alarm in &self.alarms {
            let _ = writeln!(text, "- {alarm}");
        }
        text
    }
}

fn line(row: &Row) -> String {
    let found = row.detection.to_string();
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let injection = row.injection.as_deref().unwrap_or("-");
    format!("| {} | {} | {} | {} |", row.class, cell(row.title), cell(injection), cell(&found))
}
