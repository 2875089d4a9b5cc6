//! The audit finds every leak of a campaign: one of each kind, and twenty of any kind.

use harness::MultiClusterFixture;
use harness::audit::{AuditProgress, Campaign, Selection, campaign};
use provisioner::request::{ClusterSpec, Topology};

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the seed repeats the campaign, also after a time-out")]
async fn the_audit_finds_every_drawn_leak() -> anyhow::Result<()> {
    let client = |name| ClusterSpec::new(name).topology(Topology::Multi).workers(1);
    let drawn = Campaign::new(None, Campaign::RANDOM);
    println!("{drawn}");
    MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .run(async |fx| {
            let (everything, progress) = (Selection::default(), AuditProgress::default());
            let score = campaign(fx.provisioner(), fx.clusters(), &everything, &drawn, &progress).await?;
            score.assert_perfect();
            Ok(())
        })
        .await
}
