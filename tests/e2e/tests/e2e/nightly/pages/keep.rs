use harness::{Keep, MultiClusterFixture};
use provisioner::request::{ClusterSpec, Topology};

#[tokio::test]
async fn a_cluster_stays_when_its_test_fails() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .keep(Keep::OnFailure)
        .run(async |fx| Ok(fx.cluster("acme").identify().await?))
        .await
}
