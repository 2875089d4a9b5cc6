//! What a cluster knows of its own nodes, brought to a plan that has changed while it ran.

use std::time::Duration;

use futures::future::try_join_all;

use crate::kubernetes::kubectl;
use crate::node::{File, Nodes};
use crate::plan::{ClusterPlan, Role};

use super::init::{failed, run};
use super::{KubeadmError, config};

/// The taint by which kubeadm keeps pods from control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane:NoSchedule";

/// Brings names, the cluster's DNS and the control planes' taint from what they were in the plan `before` to what they
/// are in the plan `after`. `nodes` are those of the latter that run. May be repeated.
///
/// # Errors
/// [`KubeadmError::Step`] with the node that refused.
pub async fn adapt(nodes: &Nodes, before: &ClusterPlan, after: &ClusterPlan) -> Result<(), KubeadmError> {
    let first = &nodes.first;
    try_join_all(nodes.iter().map(|node| async move {
        let hosts = File::public("/etc/hosts", config::hosts(after));
        node.put(&[hosts]).await.map_err(failed("write /etc/hosts", node))
    }))
    .await?;
    // Only what is another one now: everything else may be as the cluster's user wants it.
    if before.workload_address != after.workload_address {
        let replace =
            kubectl(Duration::from_secs(60)).args(["replace", "--validate=false", "--filename", "-"]);
        run("replace CoreDNS's configuration", first, replace.input(config::corefile(after))).await?;
    }
    let here = after.control_plane_runs_pods();
    if before.control_plane_runs_pods() != here {
        let planes = after.nodes.iter().filter(|node| node.role == Role::ControlPlane);
        let planes: Vec<&str> = planes.map(|node| node.name.as_str()).collect();
        let taint = || kubectl(Duration::from_secs(60)).args(["taint", "node"]).args(planes.iter().copied());
        run("taint the control planes", first, taint().args([CONTROL_PLANE, "--overwrite"])).await?;
        if here {
            // kubectl refuses to remove a taint that is not there, so it was set before.
            run("remove the taint of the control planes", first, taint().arg(format!("{CONTROL_PLANE}-")))
                .await?;
        }
    }
    Ok(())
}
