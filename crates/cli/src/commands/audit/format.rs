//! The renderings of a report, and the names of their files.

use clap::ValueEnum;
use harness::audit::Report;

use super::NoReport;

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people at a terminal: the matrix, failed cells with their evidence, classes that were not covered.
    #[default]
    Table,
    /// For programs; docs/schemas/audit.json describes it, and new versions only add fields.
    Json,
    /// JUnit XML, for continuous integration: a suite for each pair of instances, a case for each class.
    Junit,
    /// TAP 14.
    Tap,
    /// For merge requests and wikis.
    Markdown,
    /// One page for a browser, with all evidence.
    Html,
}

impl ReportFormat {
    /// The formats that `--out` writes, with the names of their files.
    pub(super) const FILES: [(Self, &'static str); 5] = [
        (Self::Json, "audit.json"),
        (Self::Junit, "audit.xml"),
        (Self::Tap, "audit.tap"),
        (Self::Markdown, "audit.md"),
        (Self::Html, "audit.html"),
    ];

    /// The report as text that ends with a line break.
    pub(super) fn render(self, report: &Report) -> Result<String, NoReport> {
        let failed = |format, source| NoReport::Render { format, source };
        Ok(match self {
            Self::Table => report.console(true), // the printer removes colours if stdout shows none
            Self::Json => report.json().map_err(|error| failed("JSON", error.into()))?,
            Self::Junit => report.junit().map_err(|error| failed("JUnit", error.into()))?,
            Self::Tap => report.tap(),
            Self::Markdown => report.markdown(),
            Self::Html => report.html().map_err(|error| failed("HTML", error.into()))?,
        })
    }
}
