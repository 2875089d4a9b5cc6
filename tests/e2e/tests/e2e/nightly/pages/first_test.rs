use harness::{MultiClusterFixture, ping};
use provisioner::request::{ClusterSpec, Topology};

#[tokio::test]
async fn a_pod_of_acme_reaches_its_own_node_and_none_of_globex() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .cluster(ClusterSpec::new("globex").topology(Topology::Single))
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            // The control: without it, the test would also pass where `ping` is missing.
            acme.run_pod(ping(acme.node("acme-main").ip())).await?.assert_output_contains(" 0% packet loss");
            acme.run_pod(ping(globex.node("globex-main").ip())).await?.assert_output_contains("UNREACHABLE");
            Ok(())
        })
        .await
}
