//! The report for programs: [`Report`] itself, there and back.

use super::Report;

impl Report {
    /// As JSON; the schema is `docs/schemas/audit.json`.
    ///
    /// # Errors
    /// None in practice: there is no key that is not text.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Reads what [`Report::json`] wrote. Fields that a newer version wrote are passed over.
    ///
    /// # Errors
    /// Where the text is no report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
