//! The audit finds every leak of a campaign: one of each kind, and twenty of any kind.
//!
//! `HOMELAB_SEED` repeats a campaign with the seed that an earlier run has printed.

use anyhow::Context;
use harness::MultiClusterFixture;
use harness::audit::{AuditProgress, Campaign, Selection, Step, campaign};
use provisioner::request::{ClusterSpec, Topology};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the seed and the steps are needed also after a time-out")]
async fn the_audit_finds_every_drawn_leak() -> anyhow::Result<()> {
    let client = |name| ClusterSpec::new(name).topology(Topology::Multi).workers(1);
    let seed = std::env::var("HOMELAB_SEED").ok().map(|seed| seed.parse()).transpose();
    let drawn = Campaign::new(seed.context("HOMELAB_SEED is a number")?, Campaign::RANDOM);
    println!("{drawn}");
    let (steps, mut shown) = unbounded_channel::<Step>();
    let printed = tokio::spawn(async move {
        while let Some(step) = shown.recv().await {
            println!("{step}");
        }
    });
    let passed = MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .run(async |fx| {
            let (everything, progress) = (Selection::default(), AuditProgress::to(steps.clone()));
            let score = campaign(fx.provisioner(), fx.clusters(), &everything, &drawn, &progress).await?;
            println!("{}", score.markdown());
            score.assert_perfect();
            Ok(())
        })
        .await;
    drop(steps);
    printed.await?;
    passed
}
