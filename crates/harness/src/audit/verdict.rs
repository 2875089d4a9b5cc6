//! The verdict of a cell, and the outcome of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The verdict of one cell, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The class has nothing to ask between these instances, by what was found in this run. Such a cell does not count.
    NotApplicable,
    /// The controls answered, the source got no answer, and the target's witness did not see the nonce.
    Isolated,
    /// The source reached the target by declared paths only.
    Expected,
    /// A part that the class needs is missing: of an instance, or of this host.
    NotCovered,
    /// The control failed, the probe could not run, or the witness could not be read.
    Inconclusive,
    /// The target's witness saw the nonce, or the source got an answer that only the target can give.
    Leak,
}

impl Verdict {
    /// All verdicts, from the best to the worst.
    pub const ALL: [Self; 6] = [
        Self::NotApplicable,
        Self::Isolated,
        Self::Expected,
        Self::NotCovered,
        Self::Inconclusive,
        Self::Leak,
    ];

    /// The name in reports: `NOT COVERED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotApplicable => "NOT APPLICABLE",
            Self::Isolated => "ISOLATED",
            Self::Expected => "EXPECTED",
            Self::NotCovered => "NOT COVERED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Leak => "LEAK",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A verdict and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, as a sentence without a full stop.
    pub why: String,
}

impl Judgement {
    pub(super) fn not_applicable(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotApplicable, why: why.into() }
    }

    pub(super) fn isolated(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Isolated, why: why.into() }
    }

    pub(super) fn expected(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Expected, why: why.into() }
    }

    pub(super) fn leak(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Leak, why: why.into() }
    }

    pub(super) fn inconclusive(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Inconclusive, why: why.into() }
    }

    pub(super) fn not_covered(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotCovered, why: why.into() }
    }
}

/// The outcome of a run. It decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// Every cell that counts is isolated, expected, or not covered and accepted.
    Isolated,
    /// At least one cell is a leak.
    Leak,
    /// No cell is a leak, and at least one is inconclusive, or not covered and not accepted.
    Inconclusive,
}

impl AuditOutcome {
    /// The outcome of cells: the verdict of each, and whether it is accepted. Without any cell that counts,
    /// [`Self::Inconclusive`].
    pub fn of(cells: impl IntoIterator<Item = (Verdict, bool)>) -> Self {
        let mut outcome = None;
        for (verdict, accepted) in cells {
            let this = match verdict {
                Verdict::Leak => return Self::Leak,
                Verdict::NotApplicable => continue,
                Verdict::Isolated | Verdict::Expected => Self::Isolated,
                Verdict::NotCovered if accepted => Self::Isolated,
                Verdict::NotCovered | Verdict::Inconclusive => Self::Inconclusive,
            };
            if outcome != Some(Self::Inconclusive) {
                outcome = Some(this);
            }
        }
        outcome.unwrap_or(Self::Inconclusive)
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Isolated => Verdict::Isolated.name(),
            Self::Leak => Verdict::Leak.name(),
            Self::Inconclusive => Verdict::Inconclusive.name(),
        })
    }
}
