//! The audit finds every leak that is opened for it.

use harness::MultiClusterFixture;
use harness::audit::{Progress, Selection, self_test};
use provisioner::spec::{ClusterSpec, Topology};

#[tokio::test]
async fn the_audit_finds_every_leak_that_is_opened_and_nothing_else() -> anyhow::Result<()> {
    let client = |name| ClusterSpec::new(name).topology(Topology::Multi).workers(1);
    MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .run(async |fx| {
            let classes = std::env::var("CLASSES").unwrap_or_default();
            let classes = classes.split_whitespace().map(str::to_owned).collect();
            let selection = Selection { classes, ..Selection::default() };
            let score = self_test(fx.provisioner(), fx.clusters(), &selection, &Progress::default()).await?;
            println!("{score:#?}");
            println!("{}", score.markdown());
            score.assert_perfect();
            Ok(())
        })
        .await
}
