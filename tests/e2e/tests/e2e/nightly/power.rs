//! A paused cluster resumes where it was, and a halted one starts again with its data. Neither answers meanwhile.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use harness::wait::{Wait, until};
use harness::{MultiClusterFixture, PodError, PodRun, TestCluster};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use provisioner::Provisioner;
use provisioner::exec::{Command, CommandError, Local, Runner};
use provisioner::fabric;
use provisioner::identity::IdentityError;
use provisioner::registry::State;
use provisioner::request::{ClusterSpec, Topology};

const KEPT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: kept }
data: { since: before }
";

#[tokio::test]
async fn a_paused_cluster_is_silent_and_resumes_and_a_halted_one_starts_again_with_its_data()
-> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            let (acme, provisioner) = (fx.cluster("acme"), fx.provisioner());
            let name = acme.inner().instance.name.as_str();
            let before = keep(acme).await?;

            provisioner.pause(name).await?;
            is_silent(provisioner, name, State::Paused).await?;
            provisioner.resume(name).await?;
            still_has(acme, provisioner, &before).await?;

            provisioner.halt(name).await?;
            is_silent(provisioner, name, State::Halted).await?;
            provisioner.start(name).await?;
            let acme = &TestCluster::attach(provisioner, name).await?;
            still_has(acme, provisioner, &before).await?;
            runs_pods(acme).await?;

            outlives_a_reboot(acme, provisioner, &before).await
        })
        .await
}

/// Waits until pods run on each node, have a network that reaches the cluster's DNS, and resolve services. The API
/// server answers some time before that.
pub(super) async fn runs_pods(cluster: &TestCluster) -> anyhow::Result<()> {
    for node in cluster.nodes() {
        until("a pod to find a service", cluster.slowdown().stretch(Duration::from_secs(180)), async || {
            let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local").on_node(node.name());
            let said = cluster.run_pod(lookup).await?;
            Ok::<_, PodError>(match said.exit_code {
                0 => Wait::Done(()),
                _ => Wait::NotYet(said.to_string()),
            })
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn several_control_planes_and_a_worker_start_again_behind_their_one_address() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Ha).workers(1))
        .run(async |fx| {
            let (acme, provisioner) = (fx.cluster("acme"), fx.provisioner());
            let before = keep(acme).await?;
            outlives_a_reboot(acme, provisioner, &before).await
        })
        .await
}

/// Creates an object that the cluster must keep.
async fn keep(cluster: &TestCluster) -> anyhow::Result<ConfigMap> {
    cluster.apply(KEPT).await?;
    Ok(Api::default_namespaced(cluster.client()).get("kept").await?)
}

/// Halts the cluster, removes what a reboot of the host would remove, as far as a test may, and starts it again.
async fn outlives_a_reboot(
    cluster: &TestCluster,
    provisioner: &Provisioner,
    before: &ConfigMap,
) -> anyhow::Result<()> {
    let name = cluster.inner().instance.name.as_str();
    provisioner.halt(name).await?;
    is_silent(provisioner, name, State::Halted).await?;
    let cut = fabric::cut(&cluster.inner().plan.id, &Local).await;
    ensure!(matches!(cut, Ok(true)), "no links were removed: {cut:?}");
    empty_run(name).await?;
    provisioner.start(name).await?;
    let cluster = &TestCluster::attach(provisioner, name).await?;
    still_has(cluster, provisioner, before).await?;
    runs_pods(cluster).await
}

/// Removes the files that podman keeps below `/run` for these nodes: a reboot empties that folder.
async fn empty_run(instance: &str) -> anyhow::Result<()> {
    let podman = |args: &[&str]| {
        Command::within(Duration::from_secs(20), "podman").arg("--remote=false").args(args.iter().copied())
    };
    let ask = async |args: &[&str]| Ok::<_, CommandError>(Local.run(&podman(args)).await?.text());
    let run = ask(&["info", "--format", "{{.Store.RunRoot}}"]).await?;
    let label = format!("label=homelab.instance={instance}");
    let nodes = ask(&["ps", "--all", "--no-trunc", "--filter", &label, "--format", "{{.ID}}"]).await?;
    ensure!(!nodes.trim().is_empty(), "podman knows no node of {instance}");
    for id in nodes.lines() {
        let written = Path::new(run.trim()).join("overlay-containers").join(id).join("rootfs");
        match fs::remove_dir_all(&written) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn is_silent(provisioner: &Provisioner, name: &str, state: State) -> anyhow::Result<()> {
    let asked = provisioner.identify(name).await;
    ensure!(matches!(asked, Err(IdentityError::Unanswered { .. })), "its API server answers {asked:?}");
    let recorded = provisioner.registry().find(name)?.map(|instance| instance.state);
    ensure!(recorded == Some(state), "the instance is recorded as {recorded:?}");
    Ok(())
}

/// The API server answers at the address that users take, and has the same object as before.
async fn still_has(
    cluster: &TestCluster,
    provisioner: &Provisioner,
    before: &ConfigMap,
) -> anyhow::Result<()> {
    let name = cluster.inner().instance.name.as_str();
    provisioner.identify(name).await?;
    let recorded = provisioner.registry().find(name)?.map(|instance| instance.state);
    ensure!(recorded == Some(State::Running), "the instance is recorded as {recorded:?}");
    let now: ConfigMap = Api::default_namespaced(cluster.client()).get("kept").await?;
    ensure!(now.metadata.uid == before.metadata.uid && now.data == before.data, "{now:?}");
    Ok(())
}
