//! An audit whose clusters fail while it runs never reports *isolated*, never hangs, and removes everything that it
//! can.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::audit::{
    AuditError, AuditOutcome, AuditProgress, Audited, Report, Selection, Step, Verdict, audit,
};
use harness::{MultiClusterFixture, TestCluster, TestNode};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::Command;
use provisioner::request::{ClusterSpec, Topology};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn a_failure_during_an_audit_is_inconclusive_or_an_error_and_never_isolated() -> anyhow::Result<()> {
    fixture()
        .run(async |fx| {
            let globex = fx.cluster("globex");
            let main = globex.node("globex-main");
            audited(fx, async || Ok(())).await??.assert_isolated();

            let report =
                audited(fx, async || on(main, "pkill -9 -f '^homelab-probe witness'").await).await??;
            ensure!(
                report.outcome == AuditOutcome::Inconclusive,
                "a killed witness: {}",
                report.console(false)
            );
            ensure!(towards(&report, "globex") == [Verdict::Inconclusive], "{}", report.console(false));
            nothing_is_left(globex).await.context("after a killed witness")?;

            let report = audited(fx, async || on(main, "pkill -9 -f '^homelab-probe p'").await).await??;
            ensure!(
                report.outcome == AuditOutcome::Inconclusive,
                "killed probers: {}",
                report.console(false)
            );
            nothing_is_left(globex).await.context("after killed probers")?;

            // Without a kubelet, no pod starts on the node, and no command runs in the existing ones.
            let lost = audited(fx, async || on(main, "sv down kubelet && pkill -9 kubelet").await).await?;
            match lost {
                Ok(report) => {
                    ensure!(report.outcome == AuditOutcome::Inconclusive, "{}", report.console(false))
                }
                Err(error) => ensure!(matches!(error, AuditError::Left(_)), "{error}"),
            }
            nothing_is_left(fx.cluster("acme")).await.context("after a lost node")?;
            on(main, "sv up kubelet").await?;
            until_nothing_is_left(globex).await?;

            let hung = audited(fx, async || on(main, "pkill -STOP kube-apiserver").await).await?;
            let error = hung.err().context("a report although its clean-up hangs")?;
            ensure!(matches!(error, AuditError::Left(_)), "{error}");
            nothing_is_left(fx.cluster("acme")).await.context("after a hung API server")?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_instance_that_cannot_be_probed_is_an_error_and_not_a_report() -> anyhow::Result<()> {
    fixture()
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            let main = globex.node("globex-main");
            let full =
                "sed -i 's/^maxPods:.*//; $ a maxPods: 1' /var/lib/kubelet/config.yaml && sv restart kubelet";
            on(main, full).await?;
            let refused =
                audited(fx, async || Ok(())).await?.err().context("a report although the node is full")?;
            let chain = provisioner::error::chain(&refused);
            ensure!(chain.contains("OutOfpods") || chain.contains("globex"), "{chain}");
            nothing_is_left(acme).await.context("after a full node")?;

            fx.provisioner().destroy(&globex.inner().instance.name).await?;
            let gone =
                audited(fx, async || Ok(())).await?.err().context("a report although a cluster is gone")?;
            ensure!(provisioner::error::chain(&gone).contains("globex"), "{gone}");
            nothing_is_left(acme).await.context("after a cluster that is gone")
        })
        .await
}

fn fixture() -> harness::FixtureBuilder {
    let client = |name| ClusterSpec::new(name).topology(Topology::Single);
    MultiClusterFixture::builder().cluster(client("acme")).cluster(client("globex"))
}

/// Audits a few classes, and calls `fault` when the probers start.
async fn audited(
    fx: &MultiClusterFixture,
    fault: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<Result<Report, AuditError>> {
    let (to, mut steps) = unbounded_channel();
    let classes = ["N1", "N3", "N5"].map(str::to_owned).to_vec();
    let selection = Selection { classes, ..Selection::default() };
    let audited = async move {
        let progress = AuditProgress::to(to);
        audit(fx.provisioner(), Audited::of(fx.clusters()), &selection, &progress).await
    };
    let watched = async {
        while let Some(step) = steps.recv().await {
            if matches!(step, Step::Probe { .. }) {
                fault().await?;
            }
        }
        Ok(())
    };
    let (report, injected) = tokio::join!(audited, watched);
    injected.map(|()| report)
}

async fn on(node: &TestNode, script: &str) -> anyhow::Result<()> {
    node.run(&Command::within(Duration::from_secs(20), "sh").args(["-c", script])).await?;
    Ok(())
}

/// The distinct verdicts of all cells towards an instance.
fn towards(report: &Report, target: &str) -> Vec<Verdict> {
    let cells = report.cells.iter().filter(|cell| cell.target == target);
    let mut verdicts: Vec<Verdict> = cells.map(|cell| cell.verdict).collect();
    verdicts.sort();
    verdicts.dedup();
    verdicts
}

/// Waits until Kubernetes has removed the audit's namespace, which it does once the node is back.
async fn until_nothing_is_left(cluster: &TestCluster) -> anyhow::Result<()> {
    let going = async {
        while nothing_is_left(cluster).await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), going)
        .await
        .context("the audit's namespace is not removed")
}

async fn nothing_is_left(cluster: &TestCluster) -> anyhow::Result<()> {
    let all = Api::<Namespace>::all(cluster.client()).list(&ListParams::default()).await?;
    let names = all.into_iter().filter_map(|namespace| namespace.metadata.name);
    let left: Vec<String> = names.filter(|name| name.starts_with("homelab-audit")).collect();
    ensure!(left.is_empty(), "namespaces left in {}: {left:?}", cluster.name());
    Ok(())
}
