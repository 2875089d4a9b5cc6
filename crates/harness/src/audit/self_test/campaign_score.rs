//! [`CampaignScore`]: how many drawn leaks the audit has found. Pure.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::campaign::Campaign;
use crate::audit::class::ClassId;

/// The result of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignScore {
    /// What was drawn.
    pub campaign: Campaign,
    /// A row for each drawn leak, in the order in which they were drawn.
    pub rows: Vec<DrawnRow>,
    /// The false alarms: cells that were not isolated after leaks were reverted.
    pub alarms: Vec<String>,
}

/// The result of one drawn leak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnRow {
    /// What was opened: `the host forwards TCP 8443 from globex to node 1 of acme`.
    pub leak: String,
    /// The evidence that it was open before the audit. `None` if it was not.
    pub opened: Option<String>,
    /// Whether the audit found it.
    pub detection: DrawnDetection,
}

/// Whether the audit found a drawn leak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawnDetection {
    /// It was reported for the right pair and for no other pair, was open before and after the audit, and closed after
    /// it was reverted.
    Found {
        /// The classes that reported it.
        classes: BTreeSet<ClassId>,
    },
    /// It was open before and after the audit, and was not reported.
    Missed {
        /// The worst verdict in the report and its reason.
        instead: String,
    },
    /// A leak was reported for another pair.
    Elsewhere {
        /// The other pair: `globex → acme`.
        pair: String,
        /// The class that reported it.
        class: ClassId,
        /// The reason in the report.
        why: String,
    },
    /// It was not proved open before and after the audit, with the reason.
    NotOpened(String),
    /// It was not proved closed after it was reverted, with the result of the audit and the reason.
    Stays(String),
}

impl CampaignScore {
    /// The number of leaks that were found, and of those that were opened for real.
    pub fn found(&self) -> (usize, usize) {
        let opened = self.rows.iter().filter(|row| !matches!(row.detection, DrawnDetection::NotOpened(_)));
        let found = self.rows.iter().filter(|row| matches!(row.detection, DrawnDetection::Found { .. }));
        (found.count(), opened.count())
    }

    /// Whether every drawn leak was opened and found, without a false alarm.
    pub fn is_perfect(&self) -> bool {
        self.found().0 == self.rows.len() && self.alarms.is_empty()
    }

    /// Asserts that every drawn leak was opened and found, without a false alarm.
    ///
    /// # Panics
    /// When that is not so; the message has all rows.
    #[track_caller]
    pub fn assert_perfect(&self) {
        assert!(self.is_perfect(), "not every drawn leak was opened and found:\n{}", self.markdown());
    }

    /// The score in Markdown, with the seed and the command that draws the same leaks.
    pub fn markdown(&self) -> String {
        let mut text = format!("Seed {}; `{}` draws the same leaks.\n\n", self.campaign.seed, self.campaign);
        text.push_str("| | drawn leak | open | found |\n| --- | --- | --- | --- |\n");
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        for (place, row) in self.rows.iter().enumerate() {
            let opened = row.opened.as_deref().unwrap_or("-");
            let (leak, found) = (cell(&row.leak), cell(&row.detection.to_string()));
            // Writing to a string never fails.
            let _ = writeln!(text, "| {} | {leak} | {} | {found} |", place + 1, cell(opened));
        }
        let (found, opened) = self.found();
        let (failed, alarms) = (self.rows.len() - opened, self.alarms.len());
        let _ = writeln!(
            text,
            "\nFound {found} of {opened} drawn leaks; {failed} could not be opened; {alarms} false alarms after they \
             were reverted."
        );
        for alarm in &self.alarms {
            let _ = writeln!(text, "- {}", cell(alarm));
        }
        text
    }
}

/// The command that draws the same leaks.
impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sudo homelab audit --self-test --random {} --seed {}", self.random, self.seed)
    }
}

impl fmt::Display for DrawnDetection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { classes } => {
                let classes: Vec<String> = classes.iter().map(ClassId::to_string).collect();
                write!(f, "by {}", classes.join(", "))
            }
            Self::Missed { instead } => write!(f, "**no**: {instead}"),
            Self::Elsewhere { pair, class, why } => write!(f, "**also at {pair}, by {class}**: {why}"),
            Self::NotOpened(why) => write!(f, "**could not be opened**: {why}"),
            Self::Stays(why) => write!(f, "**not closed again**: {why}"),
        }
    }
}
