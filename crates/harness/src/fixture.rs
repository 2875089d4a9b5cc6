//! The clusters while the test runs.

use futures::future::try_join_all;
use provisioner::Provisioner;

use crate::audit::{self, AuditError, Progress, Report, Selection};
use crate::cluster::TestCluster;

/// Several real clusters, lent to one test. Made by [`FixtureBuilder::run`](crate::FixtureBuilder::run), which also takes it down.
#[derive(Debug)]
pub struct MultiClusterFixture {
    clusters: Vec<TestCluster>,
    provisioner: Provisioner,
}

impl MultiClusterFixture {
    pub(crate) fn of(clusters: Vec<TestCluster>, provisioner: Provisioner) -> Self {
        Self { clusters, provisioner }
    }

    /// A cluster by the name that the test gave it.
    ///
    /// # Panics
    /// When the test asked for no such cluster.
    pub fn cluster(&self, name: &str) -> &TestCluster {
        let found = self.clusters.iter().find(|cluster| cluster.name() == name);
        found.unwrap_or_else(|| {
            let known: Vec<&str> = self.clusters.iter().map(TestCluster::name).collect();
            panic!("the fixture has no cluster '{name}'; it has {}", known.join(", "))
        })
    }

    /// All clusters, in the order of the builder.
    pub fn clusters(&self) -> &[TestCluster] {
        &self.clusters
    }

    /// Audits the clusters: each against each other, in both directions, for every class of leak.
    ///
    /// # Errors
    /// [`AuditError`]; a question that could not be asked is no error but a verdict.
    pub async fn audit(&self) -> Result<Report, AuditError> {
        self.audit_only(&Selection::default()).await
    }

    /// Audits the clusters for some classes or pairs only.
    ///
    /// # Errors
    /// As [`MultiClusterFixture::audit`]; or the selection names what there is not.
    pub async fn audit_only(&self, selection: &Selection) -> Result<Report, AuditError> {
        // A test may have added and removed workers.
        let clusters = try_join_all(self.clusters.iter().map(TestCluster::anew)).await?;
        audit::audit(&self.provisioner, &clusters, selection, &Progress::default()).await
    }

    /// What made them: for tests of lifecycles.
    pub fn provisioner(&self) -> &Provisioner {
        &self.provisioner
    }
}
