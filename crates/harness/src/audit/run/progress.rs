//! How far an audit is, for whoever waits for it.

use std::fmt;

use tokio::sync::mpsc::UnboundedSender;

use crate::audit::ClassId;

/// What an audit does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Witnesses and probers come to be.
    Set {
        /// In how many clusters.
        clusters: usize,
    },
    /// Everybody asks.
    Ask {
        /// How many cells are at stake.
        cells: usize,
    },
    /// Root on every node asks, with a route through the workstation.
    AskRouted,
    /// Root on every virtual machine asks, with a route through the hypervisor.
    AskPivot,
    /// The witnesses are heard.
    Hear,
    /// Everything that was put into the clusters goes.
    Strike,
    /// The self-test opens a leak.
    Open {
        /// Of which class.
        class: ClassId,
        /// How many are through.
        place: usize,
        /// How many there are.
        of: usize,
    },
    /// The self-test is through with a class.
    Tried {
        /// Which.
        class: ClassId,
        /// Whether it was found, and how long that took, in words.
        found: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { clusters } => write!(f, "witnesses and probers start in {clusters} clusters"),
            Self::Ask { cells } => write!(f, "{cells} questions are asked"),
            Self::AskRouted => f.write_str("root on every node asks, with a route through the workstation"),
            Self::AskPivot => f.write_str("root on every machine asks, with a route through the hypervisor"),
            Self::Hear => f.write_str("the witnesses are heard"),
            Self::Strike => f.write_str("witnesses and probers go"),
            Self::Open { class, place, of } => write!(f, "leak {class} is opened, {place} of {of}"),
            Self::Tried { class, found } => write!(f, "leak {class}: {found}"),
        }
    }
}

/// Who is told; nobody by default.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<UnboundedSender<Step>>);

impl Progress {
    /// Tells this one.
    pub fn to(listener: UnboundedSender<Step>) -> Self {
        Self(Some(listener))
    }

    pub(in crate::audit) fn say(&self, step: Step) {
        if let Some(listener) = &self.0 {
            let _ = listener.send(step); // nobody may want to know any more
        }
    }
}
