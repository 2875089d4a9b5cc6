use harness::MultiClusterFixture;
use provisioner::request::{ClusterSpec, Topology};

#[tokio::test]
async fn my_change_leaves_the_clients_isolated() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .cluster(ClusterSpec::new("globex").topology(Topology::Single))
        .run(async |fx| {
            // Apply your change here.
            fx.audit().await?.assert_isolated();
            Ok(())
        })
        .await
}
