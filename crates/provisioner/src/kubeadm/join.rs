//! The other nodes join the first one.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};

use crate::error::Stage;
use crate::events::{Event, Events};
use crate::exec::Command;
use crate::node::{File, Node};
use crate::plan::ClusterPlan;

use super::config::{self, DISCOVERY};
use super::init::{failed, give_pod_cidr, run};
use super::{CONFIG, ControlPlane, KubeadmError, kubectl};

/// Nodes that join at the same time: each is a kubelet that starts, and they share the API server's processor.
const AT_ONCE: usize = 3;

/// Joins all other nodes, then deletes the ticket.
///
/// # Errors
/// [`KubeadmError`] with the step and the node that failed.
pub async fn join_all(
    others: &[Node],
    plan: &ClusterPlan,
    control_plane: &ControlPlane,
    events: &Events,
) -> Result<(), KubeadmError> {
    stream::iter(others.iter().map(|node| async move {
        let started = Instant::now();
        join(node, plan, control_plane).await?;
        events.publish(Event::StageCompleted {
            instance: plan.id.name.clone(),
            stage: Stage::Join,
            node: Some(node.name().to_owned()),
            took: started.elapsed(),
            error: None,
        });
        Ok::<_, KubeadmError>(())
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect::<Vec<()>>()
    .await?;
    let ticket = format!("bootstrap-token-{}", control_plane.ticket.id());
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    run(&control_plane.node, delete.args(["--ignore-not-found", &ticket])).await
}

async fn join(node: &Node, plan: &ClusterPlan, control_plane: &ControlPlane) -> Result<(), KubeadmError> {
    let files = [
        File::private(CONFIG, config::join(node.plan(), &control_plane.ticket)),
        File::private(DISCOVERY, config::discovery(plan, &control_plane.authority)),
        File::public("/etc/hosts", config::hosts(plan)),
    ];
    node.put(&files).await.map_err(failed(node))?;
    run(node, Command::within(Duration::from_secs(180), "kubeadm").args(["join", "--config", CONFIG]))
        .await?;
    give_pod_cidr(&control_plane.node, node).await
}
