//! The score as a table, for people and for the documentation.

use std::fmt::Write as _;

use super::{Detection, Row, Score};

impl Score {
    /// As Markdown: without times and addresses, so that two perfect runs read the same.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| class | leak | opened by | found |\n| --- | --- | --- | --- |\n");
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
    let found = match &row.detection {
        Detection::Found { .. } => "yes, and isolated again".to_owned(),
        Detection::Missed { instead } => format!("**no**: {instead}"),
        Detection::Elsewhere { pair } => format!("**also at {pair}**"),
        Detection::Stays { instead } => format!("**not isolated again**: {instead}"),
        Detection::NotOpened(why) => format!("**not opened**: {why}"),
        Detection::NotCovered(why) => format!("not covered: {why}"),
    };
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let injection = row.injection.as_deref().unwrap_or("-");
    format!("| {} | {} | {} | {} |", row.class, cell(row.title), cell(injection), cell(&found))
}
