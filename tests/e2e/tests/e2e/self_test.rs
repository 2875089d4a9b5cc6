//! The audit finds every injected leak, docs/audit.md lists them, and no packet leaves the host.

use anyhow::{Context, ensure};
use harness::MultiClusterFixture;
use harness::audit::{AuditProgress, Selection, self_test};
use provisioner::request::{ClusterSpec, Topology};

use crate::capture::Capture;

/// The page with the table, and the lines around the table.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/audit.md");
const BEGIN: &str = "<!-- self-test -->\n";
const END: &str = "<!-- /self-test -->";

#[tokio::test]
async fn the_audit_finds_every_leak_that_is_opened_and_nothing_else() -> anyhow::Result<()> {
    let client = |name| ClusterSpec::new(name).topology(Topology::Multi).workers(1);
    MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .run(async |fx| {
            let capture = Capture::begin(fx).await?;
            let everything = Selection::default();
            let (provisioner, clusters) = (fx.provisioner(), fx.clusters());
            // The nightly tests draw leaks: each takes 40 s to a minute.
            let score =
                self_test(provisioner, clusters, &everything, &[], None, &AuditProgress::default()).await?;
            score.assert_perfect();
            let left = capture.end().await?;
            ensure!(left.is_empty(), "{} packets would have left the host:\n{}", left.len(), left.join("\n"));
            documented(&score.markdown())
        })
        .await
}

/// Fails unless the page has this table. `HOMELAB_WRITE_DOCS=1` writes it there.
fn documented(table: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(PAGE).context("read docs/audit.md")?;
    let (before, rest) = page.split_once(BEGIN).context("docs/audit.md has no start of the table")?;
    let (shown, after) = rest.split_once(END).context("docs/audit.md has no end of the table")?;
    if std::env::var_os("HOMELAB_WRITE_DOCS").is_some() {
        return Ok(std::fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}"))?);
    }
    ensure!(
        shown == table,
        "docs/audit.md has another table (HOMELAB_WRITE_DOCS=1 writes this one):\n{table}"
    );
    Ok(())
}
