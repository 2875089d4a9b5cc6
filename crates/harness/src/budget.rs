//! The time for evidence and teardown of a fixture together.
//!
//! nextest ends a test with SIGTERM and kills it after a grace period (`.config/nextest.toml`): the budget is shorter.
//! It is never stretched for slow processors, because nextest's clock is not.

use std::time::Duration;

use provisioner::request::ClusterSpec;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// For evidence and teardown together.
    total: Duration,
    /// The part reserved for the teardown: evidence is cut off when only this much is left.
    teardown: Duration,
}

/// For containers, which are removed within seconds.
const CONTAINERS: Budget = Budget { total: Duration::from_secs(50), teardown: Duration::from_secs(30) };
/// For VMs: Vagrant itself takes seconds to start, and removes VMs one after the other.
const VMS: Budget = Budget { total: Duration::from_secs(110), teardown: Duration::from_secs(75) };

/// The deadlines of a budget that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// When evidence is cut off and teardown begins.
    pub(crate) evidence: Instant,
    /// When the teardown should be done.
    pub(crate) teardown: Instant,
}

impl Budget {
    /// The budget of a fixture with these clusters: that of VMs if one of them has VMs. Pure.
    pub(crate) fn of(clusters: &[ClusterSpec]) -> Self {
        match clusters.iter().any(|spec| spec.engine.is_virtual()) {
            true => VMS,
            false => CONTAINERS,
        }
    }

    /// The time for evidence and teardown together.
    pub(crate) fn total(self) -> Duration {
        self.total
    }

    /// Starts the budget now.
    pub(crate) fn begin(self) -> Ends {
        let teardown = Instant::now() + self.total;
        Ends { evidence: teardown - self.teardown, teardown }
    }
}

#[cfg(test)]
mod tests;
