//! Control planes are killed one after another while a client writes without a pause.

mod writer;

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::MultiClusterFixture;
use harness::wait::{Wait, until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node as KubernetesNode;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use provisioner::engine::EngineError;
use provisioner::node::Node;
use provisioner::plan::ClusterPlan;
use provisioner::request::{ClusterSpec, Topology};
use provisioner::slowdown::Slowdown;

use crate::ha::{etcd, kill};
use writer::Writer;

/// The promise of `k8s-ha`: the longest wait for an API server when one control plane fails.
const LONGEST_INTERRUPTION: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_control_plane_may_be_killed_and_no_acknowledged_write_is_lost() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Ha).workers(0))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let plan = &acme.inner().plan;
            let engine = fx.provisioner().engines();
            let writer = Writer::start(acme.client());
            let mut interruptions = Vec::new();
            for (place, killed) in plan.control_planes().enumerate() {
                writer.goes_on().await?;
                let since = writer.acknowledged();
                kill(plan, &killed.name).await?;
                writer.goes_on().await?;
                let restarted = Timestamp::now();
                let nodes = engine.create(plan).await?;
                let node =
                    nodes.iter().nth(place).context("the plan has a node that create did not return")?;
                is_back(acme.client(), node, plan, restarted).await?;
                interruptions.push(writer.longest_gap_since(since));
            }
            writer.goes_on().await?;
            let written = writer.end().await?;
            tell(&format!("{written}; longest interruptions: {interruptions:.2?}"));
            ensure!(written.lost.is_empty(), "acknowledged writes are lost: {:?}", written.lost);
            let longest = interruptions.iter().max().context("no control plane was killed")?;
            ensure!(*longest <= LONGEST_INTERRUPTION, "no write was acknowledged for {longest:.2?}");
            Ok(())
        })
        .await
}

/// Waits until a restarted control plane is a member of etcd, its kubelet has reported since then, and its node is
/// Ready.
async fn is_back(client: Client, node: &Node, plan: &ClusterPlan, since: Timestamp) -> anyhow::Result<()> {
    let nodes: Api<KubernetesNode> = Api::all(client.clone());
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    let what = format!("{} to be back", node.name());
    let back = until(what, Slowdown::of_host().stretch(Duration::from_secs(180)), async || {
        let state = async {
            etcd::has_all_members(node, plan).await?;
            let lease = leases.get(node.name()).await?.spec.and_then(|spec| spec.renew_time);
            ensure!(lease.is_some_and(|renewed| renewed.0 > since), "its kubelet has not reported yet");
            let conditions = nodes.get(node.name()).await?.status.and_then(|status| status.conditions);
            let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
            ensure!(ready.is_some_and(|ready| ready.status == "True"), "it is not Ready");
            Ok(())
        };
        Ok::<_, EngineError>(match state.await {
            Ok(()) => Wait::Done(()),
            Err(error) => Wait::NotYet(format!("{error:#}")),
        })
    });
    Ok(back.await?)
}

#[expect(clippy::print_stderr, reason = "the measured times are of interest even within the bound")]
fn tell(measured: &str) {
    eprintln!("{measured}");
}
