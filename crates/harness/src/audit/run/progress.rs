//! [`Progress`]: the steps of an audit or a self-test, sent to a channel while it runs.

use std::fmt;

use tokio::sync::mpsc::UnboundedSender;

use crate::audit::ClassId;

/// A step of an audit that begins, or the result of one. `Display` is the line that the CLI shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Witnesses and probers are deployed.
    Set {
        /// The number of clusters.
        clusters: usize,
    },
    /// All viewpoints send their probes.
    Ask {
        /// The number of cells in the plan.
        cells: usize,
    },
    /// Root on every node sends probes, with a route through the host.
    AskRouted,
    /// Root on every VM sends probes, with a route through the hypervisor.
    AskPivot,
    /// The logs of the witnesses are read.
    Hear,
    /// Everything that was deployed is removed.
    Strike,
    /// The self-test applies an injection.
    Open {
        /// The class whose leak is injected.
        class: ClassId,
        /// The place of this class among all, from 1.
        place: usize,
        /// The number of classes.
        of: usize,
    },
    /// The self-test has finished a class.
    Tried {
        /// The class.
        class: ClassId,
        /// Whether its leak was found, and the time: `yes, and isolated again (12.3s)`.
        found: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { clusters } => write!(f, "witnesses and probers start in {clusters} clusters"),
            Self::Ask { cells } => write!(f, "probes for {cells} cells are sent"),
            Self::AskRouted => f.write_str("root on every node sends probes, with a route through the host"),
            Self::AskPivot => {
                f.write_str("root on every VM sends probes, with a route through the hypervisor")
            }
            Self::Hear => f.write_str("the logs of the witnesses are read"),
            Self::Strike => f.write_str("witnesses and probers are removed"),
            Self::Open { class, place, of } => write!(f, "leak {class} is injected, {place} of {of}"),
            Self::Tried { class, found } => write!(f, "leak {class} found: {found}"),
        }
    }
}

/// The receiver of an audit's steps. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<UnboundedSender<Step>>);

impl Progress {
    /// Sends each step to this channel.
    pub fn to(listener: UnboundedSender<Step>) -> Self {
        Self(Some(listener))
    }

    pub(in crate::audit) fn say(&self, step: Step) {
        if let Some(listener) = &self.0 {
            let _ = listener.send(step); // the receiver may be gone
        }
    }
}
