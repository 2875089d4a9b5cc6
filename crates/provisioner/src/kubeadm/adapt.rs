//! Updates what a running cluster records about its own nodes after its plan has changed.

use std::time::Duration;

use futures::future::try_join_all;

use crate::kubernetes::kubectl;
use crate::node::{File, Nodes};
use crate::plan::{ClusterPlan, Role};

use super::init::{failed, run};
use super::{KubeadmError, config};

/// The taint with which kubeadm keeps pods off control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane:NoSchedule";

/// Changes `/etc/hosts` of the nodes, the cluster's DNS and the control planes' taint from the plan `before` to the
/// plan `after`. `nodes` are the running nodes of `after`. May be repeated.
///
/// # Errors
/// [`KubeadmError::Step`] with the step and the node that failed. Steps before it stay done.
pub async fn adapt(nodes: &Nodes, before: &ClusterPlan, after: &ClusterPlan) -> Result<(), KubeadmError> {
    let first = &nodes.first;
    try_join_all(nodes.iter().map(|node| async move {
        let hosts = File::public("/etc/hosts", config::hosts(after));
        node.put(&[hosts]).await.map_err(failed("write /etc/hosts", node))
    }))
    .await?;
    // Change only what differs between the plans: the cluster's user may have changed everything else on purpose.
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
            // kubectl refuses to remove a taint that a node does not have, so the step above has set it.
            run("remove the taint of the control planes", first, taint().arg(format!("{CONTROL_PLANE}-")))
                .await?;
        }
    }
    Ok(())
}
