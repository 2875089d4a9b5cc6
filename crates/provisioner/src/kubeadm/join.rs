//! The other nodes join the first one.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::error::Stage;
use crate::events::{Event, Events};
use crate::exec::Command;
use crate::node::{File, Node};
use crate::plan::ClusterPlan;

use super::config::{self, DISCOVERY};
use super::init::{CA, failed, give_pod_cidr, run};
use super::{CONFIG, ControlPlane, KubeadmError, Ticket, kubectl};

/// Nodes that join at the same time: each is a kubelet that starts, and they share the API server's processor.
const AT_ONCE: usize = 3;

/// A control plane that runs, with a fresh ticket for the nodes that are to join it.
///
/// # Errors
/// [`KubeadmError`] when the node or its API server refuses.
pub async fn reopen(first: &Node) -> Result<ControlPlane, KubeadmError> {
    let ticket = Ticket::draw()?;
    let authority = first.read(CA).await.map_err(failed(first))?;
    let create = kubectl(Duration::from_secs(60)).args(["create", "--validate=false", "--filename", "-"]);
    run(first, create.input(config::ticket(&ticket, Timestamp::now()))).await?;
    Ok(ControlPlane { node: first.clone(), authority, ticket })
}

/// Joins nodes, then deletes the ticket, also when one of them could not join.
///
/// # Errors
/// [`KubeadmError`] with the step and the node that failed.
pub async fn join_all(
    others: &[Node],
    plan: &ClusterPlan,
    control_plane: &ControlPlane,
    events: &Events,
) -> Result<(), KubeadmError> {
    let joins = stream::iter(others.iter().map(|node| async move {
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
    .buffer_unordered(AT_ONCE);
    let joined = joins.try_collect::<Vec<()>>().await;
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    let delete = delete.args(["--ignore-not-found", &control_plane.ticket.secret()]);
    let deleted = run(&control_plane.node, delete).await;
    joined.and(deleted)
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
