//! A node leaves the cluster: its pods move to other nodes, then it is forgotten.

use std::time::Duration;

use crate::exec::Command;
use crate::kubernetes::kubectl;
use crate::node::Node;
use crate::plan::NodePlan;
use crate::slowdown::Stretched;

use super::KubeadmError;
use super::init::{failed, run};

/// Keeps new pods from a node and evicts those that it has, within this time. Whatever comes of it, the node stays
/// cordoned. What a pod kept on the node goes with it; a pod that nobody would make anew elsewhere is never evicted.
///
/// # Errors
/// [`KubeadmError::Drain`] with the pods that are left.
pub async fn drain(first: &Node, node: &str, within: Duration) -> Result<(), KubeadmError> {
    /// What kubectl takes beyond its own deadline, also on an emulated processor: its message is the one to be seen.
    const GRACE: Duration = Duration::from_secs(30);
    let timeout = format!("{}s", within.as_secs().max(1)); // 0s would be for ever
    // Its caller has chosen the time, and it is not stretched.
    let within = Stretched::exactly(within + GRACE);
    let drain = kubectl(within).args(["drain", node, "--timeout", &timeout]);
    let drain = drain.args(["--ignore-daemonsets", "--delete-emptydir-data"]);
    let Err(source) = first.run(&drain).await else { return Ok(()) };
    // Who cannot be asked leaves the names to what kubectl said.
    let left = first.run(&pods(node)).await.map(|pods| movable(&pods.text())).unwrap_or_default();
    Err(KubeadmError::Drain { node: node.to_owned(), left, source })
}

/// Has the cluster forget nodes whose machines are gone, and their pods, so that these come up elsewhere at once. That
/// it does not know them is fine.
///
/// # Errors
/// [`KubeadmError::Step`] when the API server refuses.
pub async fn forget(first: &Node, gone: &[NodePlan]) -> Result<(), KubeadmError> {
    for node in gone {
        let delete = || kubectl(Duration::from_secs(60)).args(["delete", "--ignore-not-found"]);
        run("delete the node object", first, delete().args(["node", &node.name])).await?;
        let on_it = format!("spec.nodeName={}", node.name);
        let pods = delete().args(["pods", "--all-namespaces", "--field-selector", &on_it]);
        // There is no kubelet left that could say that they have ended.
        run(
            "delete the pods of a removed node",
            first,
            pods.args(["--force", "--grace-period", "0", "--wait=false"]),
        )
        .await?;
    }
    Ok(())
}

/// Deletes all tickets that were made for workers: whoever takes a worker away knows that none of them is needed.
///
/// # Errors
/// [`KubeadmError::Step`] when the API server refuses.
pub async fn void_tickets(first: &Node) -> Result<(), KubeadmError> {
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    first
        .run(&delete.args(["--selector", super::config::TICKET]))
        .await
        .map(drop)
        .map_err(failed("delete the bootstrap tokens", first))
}

/// What runs on a node, by namespace, name and the kind of its owner.
fn pods(node: &str) -> Command {
    let running = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let columns = "custom-columns=:.metadata.namespace,:.metadata.name,:.metadata.ownerReferences[0].kind";
    let get = kubectl(Duration::from_secs(20)).args(["get", "pods", "--all-namespaces", "--no-headers"]);
    get.args(["--field-selector", &running, "--output", columns])
}

/// Those that a drain would evict: not a daemon's, of which each node has its own, nor the node's own. Pure.
fn movable(pods: &str) -> Vec<String> {
    let movable = pods.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (namespace, name, owner) = (columns.next()?, columns.next()?, columns.next()?);
        (!["DaemonSet", "Node"].contains(&owner)).then(|| format!("{namespace}/{name}"))
    });
    movable.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_belong_to_the_node_are_not_left_over() {
        let pods = "default       web-5d8c   ReplicaSet\nkube-system   kube-proxy-x2   DaemonSet\n\
                    kube-system   etcd-acme-cp-1   Node\ndefault       alone   <none>\n";
        assert_eq!(movable(pods), ["default/web-5d8c", "default/alone"]);
    }
}
