//! Builders for common cases, as rstest fixtures. They are functions as well: `one_client()`.

use provisioner::request::{ClusterSpec, Topology};
use rstest::fixture;

use crate::{FixtureBuilder, MultiClusterFixture};

/// One client, `acme`, with a single node, `acme-main`.
#[fixture]
pub fn one_client() -> FixtureBuilder {
    MultiClusterFixture::builder().cluster(ClusterSpec::new("acme").topology(Topology::Single))
}

/// Two clients, `acme` and `globex`, each with a control plane and three workers.
#[fixture]
pub fn two_clients() -> FixtureBuilder {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Multi))
        .cluster(ClusterSpec::new("globex").topology(Topology::Multi))
}
