//! No client reaches another, and each reaches itself: both halves of every claim.

use harness::{MultiClusterFixture, ping};
use provisioner::spec::{ClusterSpec, Topology};

#[tokio::test]
async fn acme_and_globex_reach_themselves_and_not_each_other_from_inside_a_pod() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Multi))
        .cluster(ClusterSpec::new("globex").topology(Topology::Multi))
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            for (here, there) in [(acme, globex), (globex, acme)] {
                let own = here.node(&format!("{}-cp-1", here.name())).ip();
                let foreign = there.node(&format!("{}-cp-1", there.name())).ip();
                here.run_pod(ping(own)).await?.assert_output_contains(" 0% packet loss");
                here.run_pod(ping(foreign)).await?.assert_output_contains("UNREACHABLE");
            }
            Ok(())
        })
        .await
}
