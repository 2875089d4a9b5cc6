//! The whole is ready: every node, and the cluster's own DNS.

use std::time::Duration;

use crate::exec::Command;
use crate::node::Node;

use super::init::waited;
use super::{ControlPlane, KubeadmError, kubectl};

/// Waits until all nodes are Ready and CoreDNS answers. A cluster that does not get there is a failure.
///
/// # Errors
/// [`KubeadmError::NotReady`] with what was last seen.
pub async fn ready(control_plane: &ControlPlane) -> Result<(), KubeadmError> {
    let first = &control_plane.node;
    let nodes = patiently().args(["wait", "--for", "condition=Ready", "node", "--all", "--timeout", "180s"]);
    // Not `wait --selector`: that fails at once while the pods do not exist yet.
    let dns = ["rollout", "status", "deployment/coredns", "--namespace", "kube-system", "--timeout", "180s"];
    let dns = patiently().args(dns);
    tokio::try_join!(
        waited(first, "all nodes to be Ready", first, &nodes),
        waited(first, "CoreDNS to be ready", first, &dns),
    )?;
    // Without it no pod is admitted, and the controller-manager makes it some time after its start.
    let account =
        patiently().args(["wait", "--for", "create", "serviceaccount/default", "--timeout", "180s"]);
    waited(first, "the default service account", first, &account).await
}

/// Waits until these nodes are Ready, whatever becomes of others.
///
/// # Errors
/// [`KubeadmError::NotReady`] with what was last seen.
pub async fn nodes_ready(control_plane: &ControlPlane, nodes: &[Node]) -> Result<(), KubeadmError> {
    let names = nodes.iter().map(Node::name);
    let wait =
        patiently().args(["wait", "--for", "condition=Ready", "--timeout", "180s", "node"]).args(names);
    waited(&control_plane.node, "new nodes to be Ready", &control_plane.node, &wait).await
}

/// A little longer than the program's own deadline, so that its message is the one that is seen.
fn patiently() -> Command {
    kubectl(Duration::from_secs(185))
}
