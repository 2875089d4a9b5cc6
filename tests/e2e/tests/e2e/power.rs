//! A cluster is paused and goes on where it was, is halted and starts again with its data; meanwhile it is silent.

use anyhow::ensure;
use harness::{MultiClusterFixture, PodRun, TestCluster, ping};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use provisioner::Provisioner;
use provisioner::identity::IdentityError;
use provisioner::registry::State;
use provisioner::spec::{ClusterSpec, Topology};

const KEPT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: kept }
data: { since: before }
";

#[tokio::test]
async fn a_paused_cluster_is_silent_and_goes_on_and_a_halted_one_starts_again_with_its_data()
-> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            let (acme, provisioner) = (fx.cluster("acme"), fx.provisioner());
            let name = acme.inner().instance.name.as_str();
            acme.apply(KEPT).await?;
            let before: ConfigMap = Api::default_namespaced(acme.client()).get("kept").await?;

            provisioner.pause(name).await?;
            is_silent(provisioner, name, State::Paused).await?;
            provisioner.resume(name).await?;
            still_has(acme, provisioner, &before).await?;

            provisioner.halt(name).await?;
            is_silent(provisioner, name, State::Halted).await?;
            provisioner.start(name).await?;
            let acme = &TestCluster::attach(provisioner, name).await?;
            still_has(acme, provisioner, &before).await?;
            let itself = acme.nodes()[0].ip();
            acme.run_pod(ping(itself)).await?.assert_output_contains(" 0% packet loss");
            acme.run_pod(PodRun::shell("nslookup kubernetes.default.svc.cluster.local"))
                .await?
                .assert_success();
            Ok(())
        })
        .await
}

async fn is_silent(provisioner: &Provisioner, name: &str, state: State) -> anyhow::Result<()> {
    let asked = provisioner.identify(name).await;
    ensure!(matches!(asked, Err(IdentityError::Unanswered { .. })), "its API server says {asked:?}");
    let recorded = provisioner.registry().find(name)?.map(|instance| instance.state);
    ensure!(recorded == Some(state), "it is recorded as {recorded:?}");
    Ok(())
}

/// The API server answers, by the way that users take as well, and has the same object as before.
async fn still_has(
    cluster: &TestCluster,
    provisioner: &Provisioner,
    before: &ConfigMap,
) -> anyhow::Result<()> {
    let name = cluster.inner().instance.name.as_str();
    provisioner.identify(name).await?;
    let recorded = provisioner.registry().find(name)?.map(|instance| instance.state);
    ensure!(recorded == Some(State::Running), "it is recorded as {recorded:?}");
    let now: ConfigMap = Api::default_namespaced(cluster.client()).get("kept").await?;
    ensure!(now.metadata.uid == before.metadata.uid && now.data == before.data, "{now:?}");
    Ok(())
}
