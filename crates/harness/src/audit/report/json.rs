//! The report for programs: writes and reads [`Report`] as JSON.

use super::Report;

impl Report {
    /// The report as JSON. The schema is `docs/schemas/audit.json`.
    ///
    /// # Errors
    /// None in practice: every key is text.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Reads the output of [`Report::json`]. Unknown fields of newer versions are ignored.
    ///
    /// # Errors
    /// When the text is not a report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
