//! [`AuditProgress`]: the steps of an audit or a self-test, sent to a channel while it runs.

use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::audit::ClassId;

/// A step of an audit that begins, or the result of one. `Display` is the line that the CLI shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Witnesses and probers are deployed.
    Deploy {
        /// The number of clusters.
        clusters: usize,
    },
    /// All viewpoints send their probes.
    Probe {
        /// The number of cells in the plan.
        cells: usize,
        /// The packets that are sent at the most, approximately.
        packets: u64,
        /// The longest time that this takes.
        at_most: Duration,
    },
    /// Root on every node sends probes, with a route through the host.
    ProbeRouted,
    /// Root on every VM sends probes, with a route through the hypervisor.
    ProbePivot,
    /// The logs of the witnesses are read.
    Read,
    /// Everything that was deployed is removed.
    Remove,
    /// The self-test applies an injection.
    Inject {
        /// The class whose leak is injected.
        class: ClassId,
        /// The place of this class among all, from 1.
        place: usize,
        /// The number of classes.
        of: usize,
    },
    /// The self-test has finished a class.
    Tested {
        /// The class.
        class: ClassId,
        /// Whether its leak was found, and the time: `yes, and isolated again (12.3s)`.
        found: String,
    },
    /// The self-test applies a drawn leak.
    Open {
        /// The leak, in words.
        leak: String,
        /// The place of this leak among all, from 1.
        place: usize,
        /// The number of leaks.
        of: usize,
    },
    /// The self-test has finished a drawn leak.
    Judged {
        /// The leak, in words.
        leak: String,
        /// Whether it was found, and the time: `by N3, S4 (41.3s)`.
        found: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy { clusters } => write!(f, "witnesses and probers start in {clusters} clusters"),
            Self::Probe { cells, packets, at_most } => write!(
                f,
                "probes for {cells} cells are sent: up to {packets} packets, within {}s at the most",
                at_most.as_secs()
            ),
            Self::ProbeRouted => {
                f.write_str("root on every node sends probes, with a route through the host")
            }
            Self::ProbePivot => {
                f.write_str("root on every VM sends probes, with a route through the hypervisor")
            }
            Self::Read => f.write_str("the logs of the witnesses are read"),
            Self::Remove => f.write_str("witnesses and probers are removed"),
            Self::Inject { class, place, of } => write!(f, "leak {class} is injected, {place} of {of}"),
            Self::Tested { class, found } => write!(f, "leak {class} found: {found}"),
            Self::Open { leak, place, of } => write!(f, "drawn leak {place} of {of}: {leak}"),
            Self::Judged { leak, found } => write!(f, "{leak}; found: {found}"),
        }
    }
}

/// The receiver of an audit's steps. The default has none.
#[derive(Debug, Clone, Default)]
pub struct AuditProgress(Option<UnboundedSender<Step>>);

impl AuditProgress {
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
