//! The other nodes join the first one: control planes one after the other, then workers side by side.
//!
//! A control plane is a new member of etcd, which takes one at a time. It gets the authorities from us and not from the
//! cluster (`upload-certs`).

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::events::{Event, Events};
use crate::exec::Command;
use crate::kubernetes::{CA, CONFIG, DISCOVERY, kubectl};
use crate::node::{File, Node};
use crate::pki::Bundle;
use crate::plan::{ClusterPlan, Role};
use crate::stage::Stage;

use super::config;
use super::init::{failed, give_pod_cidr, run, waited};
use super::{ControlPlane, KubeadmError, Ticket, patches, virtual_address};

/// Nodes that join at the same time: each is a kubelet that starts, and they share the API server's processor.
const AT_ONCE: usize = 3;

/// A control plane that runs, with a fresh ticket for the nodes that are to join it.
///
/// # Errors
/// [`KubeadmError`] when the node or its API server refuses.
pub async fn reopen(first: &Node) -> Result<ControlPlane, KubeadmError> {
    let ticket = Ticket::draw()?;
    let authority = first.read(CA).await.map_err(failed("read the certificate authority", first))?;
    let create = kubectl(Duration::from_secs(60)).args(["create", "--validate=false", "--filename", "-"]);
    run("create the bootstrap token", first, create.input(config::ticket(&ticket, Timestamp::now()))).await?;
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
    bundle: &Bundle,
    events: &Events,
) -> Result<(), KubeadmError> {
    let joined = join_in_turn(others, plan, control_plane, bundle, events).await;
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    let delete = delete.args(["--ignore-not-found", &control_plane.ticket.secret()]);
    let deleted = run("delete the bootstrap token", &control_plane.node, delete).await;
    joined.and(deleted)
}

/// Control planes one after the other, then workers side by side.
async fn join_in_turn(
    others: &[Node],
    plan: &ClusterPlan,
    control_plane: &ControlPlane,
    bundle: &Bundle,
    events: &Events,
) -> Result<(), KubeadmError> {
    let (planes, workers): (Vec<&Node>, Vec<&Node>) =
        others.iter().partition(|node| node.plan().role == Role::ControlPlane);
    let timed = async |node: &Node| {
        let started = Instant::now();
        join(node, plan, control_plane, bundle).await?;
        events.publish(Event::StageCompleted {
            instance: plan.id.name.clone(),
            stage: Stage::Join,
            node: Some(node.name().to_owned()),
            took: started.elapsed(),
            error: None,
        });
        Ok::<_, KubeadmError>(())
    };
    for node in planes {
        timed(node).await?;
    }
    stream::iter(workers.into_iter().map(timed))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

async fn join(
    node: &Node,
    plan: &ClusterPlan,
    control_plane: &ControlPlane,
    bundle: &Bundle,
) -> Result<(), KubeadmError> {
    let is_plane = node.plan().role == Role::ControlPlane;
    let mut files = Vec::new();
    if is_plane {
        files.extend(bundle.on_node());
        files.extend(patches::control_plane(plan));
    }
    files.extend([
        File::private(CONFIG, config::join(plan, node.plan(), &control_plane.ticket)),
        File::private(DISCOVERY, config::discovery(plan, &control_plane.authority)),
        File::public("/etc/hosts", config::hosts(plan)),
    ]);
    node.put(&files).await.map_err(failed("write the kubeadm files", node))?;
    let join = Command::within(Duration::from_secs(180), "kubeadm").args(["join", "--config", CONFIG]);
    waited(node, "kubeadm to join it", node, &join).await?;
    if is_plane {
        virtual_address::carry(node, plan).await?;
    }
    give_pod_cidr(&control_plane.node, node, plan).await
}
