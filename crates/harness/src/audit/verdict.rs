//! What becomes of a cell, and of a whole run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer to one cell, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The control answered, and neither the source saw an answer nor the target's witness the nonce.
    Isolated,
    /// This engine or machine cannot try it.
    NotCovered,
    /// The control failed, the probe could not run, or the witness could not be read.
    Inconclusive,
    /// The target's witness saw the nonce, or the source got an answer that only the target can give.
    Leak,
}

impl Verdict {
    /// All of them, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Isolated, Self::NotCovered, Self::Inconclusive, Self::Leak];

    /// As reports say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolated => "ISOLATED",
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

/// A verdict, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
}

impl Judgement {
    pub(super) fn isolated(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Isolated, why: why.into() }
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

/// What a whole run means, and what the process that ran it ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every cell is isolated, or not covered and accepted.
    Isolated,
    /// Some cell is a leak.
    Leak,
    /// No leak was seen, and some cell is inconclusive, or not covered and not accepted.
    Inconclusive,
}

impl Outcome {
    /// The meaning of some cells: the verdict of each, and whether it is accepted. None at all mean nothing.
    pub fn of(cells: impl IntoIterator<Item = (Verdict, bool)>) -> Self {
        let mut outcome = None;
        for (verdict, accepted) in cells {
            let this = match verdict {
                Verdict::Leak => return Self::Leak,
                Verdict::Isolated => Self::Isolated,
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Isolated => Verdict::Isolated.name(),
            Self::Leak => Verdict::Leak.name(),
            Self::Inconclusive => Verdict::Inconclusive.name(),
        })
    }
}
