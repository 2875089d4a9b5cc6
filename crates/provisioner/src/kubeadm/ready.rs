//! Waits until a cluster is ready: every node, and the cluster's DNS.

use std::time::Duration;

use futures::future::try_join_all;

use crate::bring_up::Joined;
use crate::exec::Command;
use crate::kubernetes::kubectl;
use crate::node::{Node, Nodes};
use crate::plan::ClusterPlan;

use super::KubeadmError;
use super::init::waited;

/// Waits until all nodes are Ready, CoreDNS is ready and kube-proxy on each node has a route to it.
///
/// # Errors
/// [`KubeadmError::NotReady`] with the last log lines.
pub async fn ready(joined: &Joined, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let first = &joined.nodes().first;
    let nodes = patiently(plan, ["wait", "--for", "condition=Ready", "node", "--all"]);
    // `wait --selector` would fail at once while the pods do not exist yet.
    let dns = ["rollout", "status", "deployment/coredns", "--namespace", "kube-system"];
    let dns = patiently(plan, dns);
    tokio::try_join!(
        waited(first, "all nodes to be Ready", first, &nodes),
        waited(first, "CoreDNS to be ready", first, &dns),
    )?;
    // No pod is admitted without the default service account, which the controller-manager makes some time after its
    // start.
    let account = patiently(plan, ["wait", "--for", "create", "serviceaccount/default"]);
    let account = waited(first, "the default service account", first, &account);
    tokio::try_join!(account, led_to_dns(plan, joined.nodes())).map(drop)
}

/// Waits until kube-proxy on all of these nodes routes the service of CoreDNS. For a second or two after CoreDNS is
/// ready, pods that connect to its service address are refused: the EndpointSlice controller collects changes for a
/// second (`endpointSliceChangeMinSyncDelay` of Kubernetes' `endpointslice_controller.go`), and kube-proxy follows
/// it. The check reads kube-proxy's nftables map, because nodes themselves have no route to services and cannot send
/// a query.
async fn led_to_dns(plan: &ClusterPlan, nodes: &Nodes) -> Result<(), KubeadmError> {
    if !plan.has_kube_proxy() {
        return Ok(());
    }
    let entry = format!("'{{ {} . udp . 53 }}'", plan.dns_address());
    let look = format!("nft get element ip kube-proxy service-ips {entry} >/dev/null 2>&1");
    let wait = plan.platform.until(&look, Duration::from_secs(60));
    let led = "kube-proxy to route to CoreDNS";
    try_join_all(nodes.iter().map(|node| waited(node, led, node, &wait))).await.map(drop)
}

/// Waits until the nodes that have just joined are Ready. The state of other nodes does not matter.
///
/// # Errors
/// [`KubeadmError::NotReady`] with the last log lines.
pub async fn newcomers_ready(joined: &Joined, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let first = &joined.nodes().first;
    let names = joined.newcomers().iter().map(Node::name);
    let wait = patiently(plan, ["wait", "--for", "condition=Ready", "node"].into_iter().chain(names));
    waited(first, "new nodes to be Ready", first, &wait).await
}

/// `kubectl` with the `--timeout` that a cluster may take to be ready: 180 s in a container.
fn patiently<'a>(plan: &ClusterPlan, args: impl IntoIterator<Item = &'a str>) -> Command {
    waiting(plan, Duration::from_secs(180), args)
}

/// `kubectl` with this time as its `--timeout`, stretched. Our own deadline is a little later, so that kubectl's
/// message is the one that is seen.
pub(super) fn waiting<'a>(
    plan: &ClusterPlan,
    usual: Duration,
    args: impl IntoIterator<Item = &'a str>,
) -> Command {
    let slowdown = plan.platform.slowdown;
    let within = slowdown.stretch(usual);
    let command = kubectl(within + slowdown.stretch(Duration::from_secs(5))).args(args);
    command.args(["--timeout", &within.to_string()])
}
