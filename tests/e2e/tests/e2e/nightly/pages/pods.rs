use harness::{MultiClusterFixture, PodRun};
use provisioner::request::{ClusterSpec, Topology};

#[tokio::test]
async fn a_pod_finds_the_api_server_by_its_name() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            let found = fx.cluster("acme").run_pod(lookup).await?;
            found.assert_output_contains("Name:");
            Ok(())
        })
        .await
}
