//! Removes a node from the cluster: moves its pods to other nodes, then deletes its objects.

use std::time::Duration;

use crate::exec::Command;
use crate::kubernetes::kubectl;
use crate::node::Node;
use crate::plan::NodePlan;
use crate::slowdown::Stretched;

use super::KubeadmError;
use super::init::{failed, run};

/// Cordons a node and evicts its pods within this time. The node stays cordoned, also after an error. An evicted pod
/// loses its `emptyDir` data. A pod without a controller, which would not be created again elsewhere, is never evicted.
///
/// # Errors
/// [`KubeadmError::Drain`] with the pods that are left on the node.
pub async fn drain(first: &Node, node: &str, within: Duration) -> Result<(), KubeadmError> {
    /// How long kubectl may run beyond its own `--timeout`, also on an emulated processor, so that its message is seen
    /// and not that of our deadline.
    const GRACE: Duration = Duration::from_secs(30);
    let timeout = format!("{}s", within.as_secs().max(1)); // 0s would be for ever
    // The caller has chosen the time, so it is not stretched.
    let within = Stretched::exactly(within + GRACE);
    let drain = kubectl(within).args(["drain", node, "--timeout", &timeout]);
    let drain = drain.args(["--ignore-daemonsets", "--delete-emptydir-data"]);
    let Err(source) = first.run(&drain).await else { return Ok(()) };
    // If this request fails too, kubectl's own message has the names.
    let left = first.run(&pods(node)).await.map(|pods| movable(&pods.text())).unwrap_or_default();
    Err(KubeadmError::Drain { node: node.to_owned(), left, source })
}

/// Deletes the objects of removed nodes and of their pods, so that the pods start elsewhere at once. A node without
/// objects is no error.
///
/// # Errors
/// [`KubeadmError::Step`] when the API server refuses. Objects deleted before stay deleted; may be repeated.
pub async fn forget(first: &Node, gone: &[NodePlan]) -> Result<(), KubeadmError> {
    for node in gone {
        let delete = || kubectl(Duration::from_secs(60)).args(["delete", "--ignore-not-found"]);
        run("delete the node object", first, delete().args(["node", &node.name])).await?;
        let on_it = format!("spec.nodeName={}", node.name);
        let pods = delete().args(["pods", "--all-namespaces", "--field-selector", &on_it]);
        // The node has no kubelet any more that could confirm the end of its pods.
        run(
            "delete the pods of a removed node",
            first,
            pods.args(["--force", "--grace-period", "0", "--wait=false"]),
        )
        .await?;
    }
    Ok(())
}

/// Deletes all bootstrap tokens that were made for workers: while a worker is removed, none of them is in use.
///
/// # Errors
/// [`KubeadmError::Step`] when the API server refuses.
pub async fn delete_tokens(first: &Node) -> Result<(), KubeadmError> {
    let delete = kubectl(Duration::from_secs(60)).args(["delete", "secret", "--namespace", "kube-system"]);
    first
        .run(&delete.args(["--selector", super::config::TICKET]))
        .await
        .map(drop)
        .map_err(failed("delete the bootstrap tokens", first))
}

/// Lists the pods on a node that have not ended: namespace, name and the kind of the owner.
fn pods(node: &str) -> Command {
    let running = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let columns = "custom-columns=:.metadata.namespace,:.metadata.name,:.metadata.ownerReferences[0].kind";
    let get = kubectl(Duration::from_secs(20)).args(["get", "pods", "--all-namespaces", "--no-headers"]);
    get.args(["--field-selector", &running, "--output", columns])
}

/// The pods that a drain would evict, as `<namespace>/<name>`: neither a DaemonSet's nor static ones, whose owner is
/// the node. Pure.
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
    fn pods_of_daemon_sets_and_static_pods_do_not_count_as_left() {
        let pods = "default       web-5d8c   ReplicaSet\nkube-system   kube-proxy-x2   DaemonSet\n\
                    kube-system   etcd-acme-cp-1   Node\ndefault       alone   <none>\n";
        assert_eq!(movable(pods), ["default/web-5d8c", "default/alone"]);
    }
}
