//! Clusters come up, work in parallel, and are removed without a trace.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use harness::fixtures::one_client;
use harness::inventory::Inventory;
use harness::{FixtureBuilder, FixtureError, MultiClusterFixture, PodRun, ping};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use provisioner::Provisioner;
use provisioner::capacity::{CapacityError, Demand};
use provisioner::home::Home;
use provisioner::request::{ClusterSpec, Topology};
use provisioner::{Residue, StageError};
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn a_fixture_leaves_the_host_as_it_was(one_client: FixtureBuilder) -> anyhow::Result<()> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    one_client
        .run(async |fx| {
            let during = Inventory::take(fx.provisioner()).await?;
            ensure!(during.since(&before).is_some(), "the inventory does not see the cluster");
            fx.cluster("acme").run_pod(PodRun::shell("true")).await?.assert_success();
            Ok(())
        })
        .await?;
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn three_clusters_come_up_at_once_with_networks_of_their_own() -> anyhow::Result<()> {
    let names = ["acme", "globex", "personal"];
    let single = |name: &str| ClusterSpec::new(name).topology(Topology::Single);
    let builder = names.iter().fold(MultiClusterFixture::builder(), |all, name| all.cluster(single(name)));
    builder
        .run(async |fx| {
            let mut subnets: Vec<_> =
                fx.clusters().iter().map(|cluster| cluster.inner().plan.subnet).collect();
            subnets.sort();
            subnets.dedup();
            ensure!(subnets.len() == names.len(), "two clusters share a network: {subnets:?}");
            for here in fx.clusters() {
                for there in fx.clusters() {
                    let target = there.node(&format!("{}-main", there.name())).ip();
                    let expected =
                        if here.name() == there.name() { " 0% packet loss" } else { "UNREACHABLE" };
                    here.run_pod(ping(target)).await?.assert_output_contains(expected);
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn clusters_that_fit_one_by_one_and_not_together_are_refused_before_the_first_exists()
-> anyhow::Result<()> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    let single = |number| ClusterSpec::new(format!("client-{number}")).topology(Topology::Single);
    let room = provisioner.room()?.context("a real host")?;
    let fit = room.fits(Demand::of_spec(&single(0).check()?));
    ensure!(fit > 0, "the host has no capacity for one cluster");
    let builder =
        (0..2 * (fit + 1)).map(single).fold(MultiClusterFixture::builder(), FixtureBuilder::cluster);
    let refused = builder.run(async |_| Ok::<_, FixtureError>(())).await;
    let Err(FixtureError::Provision(error)) = refused else { bail!("not refused: {refused:?}") };
    ensure!(matches!(error.source, StageError::Capacity(CapacityError::TooMuch(_))), "{error:?}");
    ensure!(error.residue == Residue::Nothing, "{:?}", error.residue);
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn taking_one_cluster_down_leaves_the_others_pods_untouched() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        // A name with the other name as its prefix, because prefixes must not match.
        .cluster(ClusterSpec::new("acme-2").topology(Topology::Single))
        .run(async |fx| {
            let (acme, neighbour) = (fx.cluster("acme"), fx.cluster("acme-2"));
            neighbour.apply(STEADY).await?;
            let running =
                |pod: &Pod| pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
            let before: Pod = neighbour.wait_for("steady", Duration::from_secs(60), running).await?;
            fx.provisioner().destroy(&acme.inner().instance.name).await?;
            let after: Pod = Api::default_namespaced(neighbour.client()).get("steady").await?;
            ensure!(before.metadata.uid == after.metadata.uid, "the pod was replaced");
            let restarts =
                after.status.context("a status")?.container_statuses.context("containers")?[0].restart_count;
            ensure!(restarts == 0, "the pod was restarted {restarts} times");
            let echo = neighbour.exec("steady", &["echo", "still here"]).await?;
            echo.assert_output_contains("still here");
            neighbour
                .run_pod(ping(neighbour.node("acme-2-main").ip()))
                .await?
                .assert_output_contains(" 0% packet loss");
            Ok(())
        })
        .await
}

const STEADY: &str = "
apiVersion: v1
kind: Pod
metadata: { name: steady }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: main, image: 'homelab.invalid/toolbox:1', command: [sleep, '3600'] }
";
