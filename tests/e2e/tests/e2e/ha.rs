//! Three control planes form one cluster behind one address.

pub(crate) mod etcd;

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::inventory::Inventory;
use harness::wait::{Wait, until};
use harness::{MultiClusterFixture, PodRun, TestCluster};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use provisioner::Provisioner;
use provisioner::dns::Dns;
use provisioner::engine::EngineError;
use provisioner::error::chain;
use provisioner::exec::{Command, Local, Runner};
use provisioner::home::Home;
use provisioner::node::Nodes;
use provisioner::plan::{API_PORT, ClusterPlan};
use provisioner::request::{ClusterSpec, Topology};
use provisioner::slowdown::Slowdown;
use provisioner::stage::Stage;

#[tokio::test]
async fn three_control_planes_share_one_etcd_and_answer_at_one_address() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Ha).workers(1))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let cluster = acme.inner();
            for node in cluster.nodes.iter().take(3) {
                etcd::has_all_members(node, &cluster.plan).await?;
            }
            let carriers = carriers(&cluster.nodes, &cluster.plan).await?;
            ensure!(carriers.len() == 1, "the virtual address is on {carriers:?}");
            let kubeconfig = std::fs::read_to_string(acme.kubeconfig())?;
            let server = format!("https://{}:{API_PORT}", cluster.plan.api_address);
            ensure!(kubeconfig.contains(&server), "the kubeconfig does not lead to {server}");
            acme.run_pod(PodRun::shell("true")).await?.assert_success();
            let by_name =
                format!("wget -q -O - --no-check-certificate https://{}:6443/livez", cluster.plan.api_name);
            acme.run_pod(PodRun::shell(by_name).on_node("acme-w-1")).await?.assert_output_contains("ok");
            replicas_are_spread(acme).await?;
            no_certificate_key_exists(acme).await
        })
        .await
}

#[tokio::test]
async fn a_control_plane_that_is_killed_while_it_joins_is_a_clear_error_and_is_undone() -> anyhow::Result<()>
{
    let provisioner = Provisioner::new(Home::from_env()?)?.with_dns(Dns::None);
    let before = Inventory::take(&provisioner).await?;
    let name = "killed-while-joining";
    let spec = ClusterSpec::new(name).topology(Topology::Ha).workers(0).throw_away().check()?;
    let (created, killed) = tokio::join!(
        provisioner.create(&spec, provisioner::registry::Keeper::Operator),
        kill_while_it_joins(&provisioner, name)
    );
    let destroyed = provisioner.destroy(name).await;
    killed?;
    destroyed?;
    let error = created.err().context("create succeeded although a control plane was killed")?;
    ensure!(error.stage == Stage::Join, "it failed at another stage: {error:?}");
    let told = chain(&error);
    ensure!(told.contains(&format!("{name}-cp-2")), "the error does not name the node: {told}");
    ensure!(told.contains("kubeadm join"), "the error does not name the step: {told}");
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

/// Kills the second control plane as soon as kubeadm has written its API server's manifest.
async fn kill_while_it_joins(provisioner: &Provisioner, name: &str) -> anyhow::Result<()> {
    let engine = provisioner.engines().clone();
    let look = "test -s /etc/kubernetes/manifests/kube-apiserver.yaml";
    let joining = until(
        "the second control plane to join",
        Slowdown::of_host().stretch(Duration::from_secs(120)),
        async || {
            let Ok(Some(instance)) = provisioner.registry().find(name) else {
                return Ok(Wait::NotYet("it is not claimed".to_owned()));
            };
            let plan = ClusterPlan::of(&instance, provisioner.home());
            let Ok(nodes) = engine.attach(&plan).await else {
                return Ok(Wait::NotYet("its nodes are not running".to_owned()));
            };
            let look = Command::within(Duration::from_secs(10), "sh").args(["-c", look]);
            Ok::<_, EngineError>(match nodes.others[0].run(&look).await {
                Ok(_) => Wait::Done(plan),
                Err(_) => Wait::NotYet("it has no API server".to_owned()),
            })
        },
    );
    let plan = joining.await?;
    kill(&plan, &plan.nodes[1].name).await
}

/// Kills a node's container with SIGKILL, like a power failure.
pub(crate) async fn kill(plan: &ClusterPlan, node: &str) -> anyhow::Result<()> {
    let kill = Command::within(Duration::from_secs(30), "podman").args(["kill", "--signal", "KILL"]);
    Local.run(&kill.arg(plan.id.node_scope(node))).await?;
    Ok(())
}

/// Names of the nodes that hold the virtual address.
async fn carriers(nodes: &Nodes, plan: &ClusterPlan) -> anyhow::Result<Vec<String>> {
    let address = plan.virtual_address().context("a plan with a virtual address")?.to_string();
    let mut carriers = Vec::new();
    for node in nodes.iter() {
        let show = Command::within(Duration::from_secs(10), "ip")
            .args(["-oneline", "address", "show", "to", &address]);
        if !node.run(&show).await?.text().is_empty() {
            carriers.push(node.name().to_owned());
        }
    }
    Ok(carriers)
}

async fn replicas_are_spread(cluster: &TestCluster) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "kube-system");
    let dns = pods.list(&ListParams::default().labels("k8s-app=kube-dns")).await?;
    let mut nodes: Vec<_> = dns.into_iter().filter_map(|pod| pod.spec?.node_name).collect();
    nodes.sort();
    nodes.dedup();
    ensure!(nodes.len() == 2, "CoreDNS runs on {nodes:?} only");
    Ok(())
}

/// `kubeadm init --upload-certs` stores the authorities in this secret, under a key that gives access to the whole
/// cluster.
async fn no_certificate_key_exists(cluster: &TestCluster) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), "kube-system");
    ensure!(secrets.get_opt("kubeadm-certs").await?.is_none(), "the authorities were uploaded");
    Ok(())
}
