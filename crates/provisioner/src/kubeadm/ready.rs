//! The whole is ready: every node, and the cluster's own DNS.

use std::time::Duration;

use super::init::waited;
use super::{ControlPlane, KubeadmError, kubectl};

/// Waits until all nodes are Ready and CoreDNS answers. A cluster that does not get there is a failure.
///
/// # Errors
/// [`KubeadmError::NotReady`] with what was last seen.
pub async fn ready(control_plane: &ControlPlane) -> Result<(), KubeadmError> {
    let first = &control_plane.node;
    // A little longer than the program's own deadline, so that its message is the one that is seen.
    let kubectl = || kubectl(Duration::from_secs(185));
    let nodes = kubectl().args(["wait", "--for", "condition=Ready", "node", "--all", "--timeout", "180s"]);
    // Not `wait --selector`: that fails at once while the pods do not exist yet.
    let dns = ["rollout", "status", "deployment/coredns", "--namespace", "kube-system", "--timeout", "180s"];
    let dns = kubectl().args(dns);
    tokio::try_join!(
        waited(first, "all nodes to be Ready", first, &nodes),
        waited(first, "CoreDNS to be ready", first, &dns),
    )?;
    // Without it no pod is admitted, and the controller-manager makes it some time after its start.
    let account = kubectl().args(["wait", "--for", "create", "serviceaccount/default", "--timeout", "180s"]);
    waited(first, "the default service account", first, &account).await
}
