use harness::{MultiClusterFixture, ping};
use provisioner::request::ClusterSpec;

#[tokio::test]
async fn acme_cannot_reach_globex() -> anyhow::Result<()> {
    let two = MultiClusterFixture::builder();
    let two = two.cluster(ClusterSpec::new("acme")).cluster(ClusterSpec::new("globex"));
    two.run(async |fx| {
        let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
        acme.run_pod(ping(acme.node("acme-cp-1").ip())).await?.assert_output_contains(" 0% packet loss");
        acme.run_pod(ping(globex.node("globex-cp-1").ip())).await?.assert_output_contains("UNREACHABLE");
        fx.audit().await?.assert_isolated();
        Ok(())
    })
    .await
}
