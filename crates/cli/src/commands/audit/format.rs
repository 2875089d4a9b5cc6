//! The renderings of a report, and what their files are called.

use clap::ValueEnum;
use harness::audit::Report;

use super::NoReport;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people at a terminal: the matrix, what fails with its evidence, what was not covered.
    #[default]
    Table,
    /// For programs; docs/schemas/audit.json describes it, and fields are only ever added.
    Json,
    /// JUnit XML, for continuous integration: a suite for each pair, a case for each class.
    Junit,
    /// TAP 14.
    Tap,
    /// For merge requests and wikis.
    Markdown,
    /// One page for a browser, with all evidence.
    Html,
}

impl ReportFormat {
    /// Those that a folder gets, with the names of their files.
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
            Self::Table => report.console(true), // the printer takes colours away where they do not belong
            Self::Json => report.json().map_err(|error| failed("JSON", error.into()))?,
            Self::Junit => report.junit().map_err(|error| failed("JUnit", error.into()))?,
            Self::Tap => report.tap(),
            Self::Markdown => report.markdown(),
            Self::Html => report.html().map_err(|error| failed("HTML", error.into()))?,
        })
    }
}
