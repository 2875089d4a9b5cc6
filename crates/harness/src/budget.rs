//! How long evidence and teardown of a fixture may take together. nextest gives a test that it ends a grace period
//! (`.config/nextest.toml`), and kills it when that is over: the budget is shorter. It is a matter of nextest's clock and
//! is never stretched.

use std::time::Duration;

use provisioner::spec::ClusterSpec;
use tokio::time::Instant;

/// A budget of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// For everything.
    total: Duration,
    /// What of it is kept for the teardown, however long evidence would take.
    teardown: Duration,
}

/// Where containers go within seconds.
const CONTAINERS: Budget = Budget { total: Duration::from_secs(50), teardown: Duration::from_secs(30) };
/// Vagrant alone starts for seconds, and its machines go one after the other.
const MACHINES: Budget = Budget { total: Duration::from_secs(110), teardown: Duration::from_secs(75) };

/// The ends of a budget, from the moment it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// When evidence is cut off and teardown begins.
    pub(crate) evidence: Instant,
    /// When everything is to be over.
    pub(crate) teardown: Instant,
}

impl Budget {
    /// That of a fixture with these clusters.
    pub(crate) fn of(clusters: &[ClusterSpec]) -> Self {
        match clusters.iter().any(|spec| spec.engine.is_virtual()) {
            true => MACHINES,
            false => CONTAINERS,
        }
    }

    /// For everything.
    pub(crate) fn total(self) -> Duration {
        self.total
    }

    /// The budget begins now.
    pub(crate) fn begin(self) -> Ends {
        let teardown = Instant::now() + self.total;
        Ends { evidence: teardown - self.teardown, teardown }
    }
}

#[cfg(test)]
mod tests;
