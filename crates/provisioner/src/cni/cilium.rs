//! Cilium: its own chart, rendered by Helm on the first node with values out of the plan, and applied there.

use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use serde_json::{Value, json};

use crate::assets::CILIUM_TAG;
use crate::exec::Command;
use crate::node::{File, Node};
use crate::plan::{API_PORT, ClusterPlan};

use super::{Cni, CniError};

/// Where the node image has the chart and its custom resource definitions.
const SHARE: &str = "/usr/local/share/cilium";
const VALUES: &str = "/etc/kubernetes/cilium-values.json";

/// Cilium's agent on every node, and its operator.
#[derive(Debug, Clone, Copy)]
pub struct Cilium;

impl Cni for Cilium {
    /// A configuration that is there before the agent: the node is Ready at once, and the plugin waits for the agent.
    fn install<'a>(&'a self, nodes: &'a [Node], _: &'a ClusterPlan) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            try_join_all(nodes.iter().map(|node| async move {
                let file = File::public("/etc/cni/net.d/05-cilium.conflist", conflist());
                let refused = |source| CniError { node: node.name().to_owned(), source };
                node.put(&[file]).await.map_err(refused)
            }))
            .await
            .map(drop)
        })
    }

    fn deploy<'a>(&'a self, first: &'a Node, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            let refused = |source| CniError { node: first.name().to_owned(), source };
            let file = File::public(VALUES, format!("{:#}\n", values(plan)));
            first.put(&[file]).await.map_err(refused)?;
            let apply = Command::within(Duration::from_secs(120), "sh").args(["-ec", &script()]);
            first.run(&apply).await.map(drop).map_err(refused)
        })
    }
}

/// The CNI configuration of a node, as the agent would write it (CNI specification 1.0.0). Pure.
fn conflist() -> String {
    let list = json!({ "cniVersion": "1.0.0", "name": "cilium", "plugins": [{ "type": "cilium-cni" }] });
    format!("{list:#}\n")
}

/// Renders and applies. The definitions come along, so that the agents need not wait for the operator to make them.
fn script() -> String {
    format!(
        "export KUBECONFIG=/etc/kubernetes/super-admin.conf HELM_CACHE_HOME=/tmp/helm HELM_CONFIG_HOME=/tmp/helm; \
         apply='kubectl apply --server-side --force-conflicts --validate=false'; \
         $apply --recursive --filename {SHARE}/crds >&2; \
         helm template cilium {SHARE}/chart --namespace kube-system --values {VALUES} | $apply --filename -"
    )
}

/// What the chart is told (`install/kubernetes/cilium/values.yaml`). Pure.
fn values(plan: &ClusterPlan) -> Value {
    json!({
        "image": { "repository": "quay.io/cilium/cilium", "tag": CILIUM_TAG, "useDigest": false, "pullPolicy": "Never" },
        "operator": {
            "image": { "repository": "quay.io/cilium/operator", "tag": CILIUM_TAG, "useDigest": false,
                       "pullPolicy": "Never" },
            "replicas": 1,
        },
        "cluster": { "name": plan.id.name, "id": 0 },
        "k8sServiceHost": plan.api_address,
        "k8sServicePort": API_PORT,
        "routingMode": "native",
        "autoDirectNodeRoutes": true,
        "ipv4NativeRoutingCIDR": plan.pod_cidr,
        "enableIPv4Masquerade": false,
        "ipam": { "mode": "kubernetes" },
        "envoy": { "enabled": false },
        // What these would do in containers of their own, a second each, the node image and its init have done.
        "bpf": { "autoMount": { "enabled": false } },
        "cgroup": { "autoMount": { "enabled": false }, "hostRoot": "/run/cilium/cgroupv2" },
        "sysctlfix": { "enabled": false },
        "cni": { "install": false },
        "l7Proxy": false,
        "hubble": { "enabled": false },
        // All that its own default has but SYS_RESOURCE, which a container host may not have to give.
        "securityContext": { "capabilities": {
            "ciliumAgent": ["CHOWN", "KILL", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "SYS_MODULE", "SYS_ADMIN",
                            "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SYSLOG"],
            "cleanCiliumState": ["NET_ADMIN", "SYS_MODULE", "SYS_ADMIN"],
        } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::acme;

    #[test]
    fn the_chart_is_told_what_the_plan_says() {
        insta::assert_snapshot!(format!("{:#}", values(&acme())));
    }
}
