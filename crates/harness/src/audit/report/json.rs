//! The report for programs: [`Report`] itself.

use super::Report;

impl Report {
    /// As JSON; the schema is `docs/schemas/audit.json`.
    ///
    /// # Errors
    /// None in practice: there is no key that is not text.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
