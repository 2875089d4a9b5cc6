//! Joins the other nodes to the first one: control planes one after the other, then workers in parallel.
//!
//! Each control plane is a new member of etcd, which accepts one new member at a time. A control plane gets the
//! authorities from the host, not from the cluster (`upload-certs`).

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::bring_up::{Joined, Serving};
use crate::events::{Event, Events};
use crate::exec::Command;
use crate::kubernetes::{CA, CONFIG, DISCOVERY, kubectl};
use crate::node::{File, Node};
use crate::pki::Bundle;
use crate::plan::{ClusterPlan, Role};
use crate::stage::Stage;

use super::config;
use super::init::{failed, give_pod_cidr, run, waited};
use super::{BootstrapToken, KubeadmError, patches, virtual_address};

/// How many workers join at the same time. Each starts a kubelet, and they share the processor with the API server.
const AT_ONCE: usize = 3;

/// What nodes need to join. [`join_all`] deletes the token at its end.
#[derive(Debug)]
pub struct JoinCredentials {
    /// The certificate of the cluster's authority, which issued the API server's certificate, as PEM.
    authority: String,
    token: BootstrapToken,
}

impl JoinCredentials {
    /// For callers that have made the token valid in the cluster.
    pub(super) fn of(authority: String, token: BootstrapToken) -> Self {
        Self { authority, token }
    }
}

/// Creates a bootstrap token in a running cluster, for nodes that join it later.
///
/// # Errors
/// [`KubeadmError`] when a command on the node fails or the API server refuses.
pub async fn reopen(serving: &Serving) -> Result<JoinCredentials, KubeadmError> {
    let first = serving.first();
    let token = BootstrapToken::draw()?;
    let authority = first.read(CA).await.map_err(failed("read the certificate authority", first))?;
    let create = kubectl(Duration::from_secs(60)).args(["create", "--validate=false", "--filename", "-"]);
    run("create the bootstrap token", first, create.input(config::token(&token, Timestamp::now()))).await?;
    Ok(JoinCredentials { authority, token })
}

/// Joins the newcomers, then deletes the bootstrap token, even if a node could not join.
///
/// # Errors
/// [`KubeadmError`] with the step and the node that failed. Nodes that joined before stay in the cluster.
pub async fn join_all(
    serving: Serving,
    credentials: JoinCredentials,
    plan: &ClusterPlan,
    bundle: &Bundle,
    events: &Events,
) -> Result<Joined, KubeadmError> {
    let to = To { first: serving.first(), credentials: &credentials, plan, bundle };
    let joined = join_in_turn(serving.newcomers(), to, events).await;
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    let delete = delete.args(["--ignore-not-found", &credentials.token.secret()]);
    let deleted = run("delete the bootstrap token", serving.first(), delete).await;
    joined.and(deleted)?;
    Ok(serving.joined())
}

/// The cluster that a node joins, and what the node needs for that.
#[derive(Clone, Copy)]
struct To<'a> {
    first: &'a Node,
    credentials: &'a JoinCredentials,
    plan: &'a ClusterPlan,
    bundle: &'a Bundle,
}

/// Joins control planes one after the other, then workers in parallel.
async fn join_in_turn(newcomers: &[Node], to: To<'_>, events: &Events) -> Result<(), KubeadmError> {
    let (planes, workers): (Vec<&Node>, Vec<&Node>) =
        newcomers.iter().partition(|node| node.plan().role == Role::ControlPlane);
    let timed = async |node: &Node| {
        let started = Instant::now();
        join(node, to).await?;
        events.publish(Event::StageCompleted {
            instance: to.plan.id.name.clone(),
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

async fn join(node: &Node, To { first, credentials, plan, bundle }: To<'_>) -> Result<(), KubeadmError> {
    let is_plane = node.plan().role == Role::ControlPlane;
    let mut files = Vec::new();
    if is_plane {
        files.extend(bundle.on_node());
        files.extend(patches::control_plane(plan));
    }
    files.extend([
        File::private(CONFIG, config::join(plan, node.plan(), &credentials.token)),
        File::private(DISCOVERY, config::discovery(plan, &credentials.authority)),
        File::public("/etc/hosts", config::hosts(plan)),
    ]);
    node.put(&files).await.map_err(failed("write the kubeadm files", node))?;
    let join = Command::within(Duration::from_secs(180), "kubeadm").args(["join", "--config", CONFIG]);
    waited(node, "`kubeadm join`", node, &join).await?;
    if is_plane {
        virtual_address::carry(node, plan).await?;
    }
    give_pod_cidr(first, node, plan).await
}
