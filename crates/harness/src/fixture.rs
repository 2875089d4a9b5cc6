//! [`MultiClusterFixture`]: the clusters of a test while its body runs.

use futures::future::try_join_all;
use provisioner::Provisioner;

use crate::attached::AttachedCluster;
use crate::audit::{self, AuditError, AuditProgress, Audited, Report, Selection};
use crate::cluster::TestCluster;

/// The clusters of one test. [`FixtureBuilder::run`](crate::FixtureBuilder::run) brings them up, lends them to the
/// body, and destroys them.
#[derive(Debug)]
pub struct MultiClusterFixture {
    clusters: Vec<TestCluster>,
    attached: Vec<AttachedCluster>,
    provisioner: Provisioner,
}

impl MultiClusterFixture {
    pub(crate) fn of(
        clusters: Vec<TestCluster>,
        attached: Vec<AttachedCluster>,
        provisioner: Provisioner,
    ) -> Self {
        Self { clusters, attached, provisioner }
    }

    /// The cluster with the name that the test gave it.
    ///
    /// # Panics
    /// When the fixture has no cluster of this name; the message lists the clusters.
    pub fn cluster(&self, name: &str) -> &TestCluster {
        let found = self.clusters.iter().find(|cluster| cluster.name() == name);
        found.unwrap_or_else(|| {
            let known: Vec<&str> = self.clusters.iter().map(TestCluster::name).collect();
            panic!("the fixture has no cluster '{name}'; it has {}", known.join(", "))
        })
    }

    /// All clusters that the fixture brought up, in the order of the builder.
    pub fn clusters(&self) -> &[TestCluster] {
        &self.clusters
    }

    /// All clusters that homelab did not make, in the order of the builder.
    pub fn attached_clusters(&self) -> &[AttachedCluster] {
        &self.attached
    }

    /// Audits the clusters, attached ones included: every class of leak, from each cluster to each other one and to the
    /// host.
    ///
    /// # Errors
    /// [`AuditError`] when there is no report. A probe that could not be sent is no error: its cell is inconclusive.
    pub async fn audit(&self) -> Result<Report, AuditError> {
        self.audit_only(&Selection::default()).await
    }

    /// Audits the clusters for the selected classes and pairs.
    ///
    /// # Errors
    /// As [`MultiClusterFixture::audit`], and [`AuditError::Plan`] when the selection names an unknown class or
    /// cluster.
    pub async fn audit_only(&self, selection: &Selection) -> Result<Report, AuditError> {
        // The test may have added or removed workers since the fixture came up.
        let clusters = try_join_all(self.clusters.iter().map(TestCluster::refreshed)).await?;
        let audited = Audited { instances: &clusters, attached: &self.attached };
        audit::audit(&self.provisioner, audited, selection, &AuditProgress::default()).await
    }

    /// The provisioner that created the clusters, for tests of their lifecycle.
    pub fn provisioner(&self) -> &Provisioner {
        &self.provisioner
    }
}
