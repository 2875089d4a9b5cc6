//! Changes to the manifests that kubeadm deploys, as patches for kubeadm. Pure.

use std::time::Duration;

use serde_json::json;

use crate::kubernetes::PATCHES;
use crate::node::File;
use crate::plan::ClusterPlan;

use super::config::documents;

/// The static pods that kubeadm deploys, and whether each has a readiness probe.
const CONTROL_PLANE: [(&str, bool); 4] =
    [("etcd", true), ("kube-apiserver", true), ("kube-controller-manager", false), ("kube-scheduler", true)];

/// Patches of the control plane's static pods, one file for each. None in containers. On an emulated processor each
/// probe costs both sides a TLS handshake, and some a request to etcd, so the probes are less frequent. Their time-outs
/// are longer: a restart of a slow component would make all others slower still.
pub(super) fn control_plane(plan: &ClusterPlan) -> Vec<File> {
    if plan.platform.is_prompt() {
        return Vec::new();
    }
    let file = |(name, is_asked): (&str, bool)| {
        let mut part = json!({
            "name": name,
            "livenessProbe": { "periodSeconds": 30, "timeoutSeconds": seconds(plan, 15) },
        });
        if is_asked {
            part["readinessProbe"] = json!({ "periodSeconds": readiness_period(plan) });
        }
        let patch = documents(&[json!({ "spec": { "containers": [part] } })]);
        File::public(format!("{PATCHES}/{name}.yaml"), patch)
    };
    CONTROL_PLANE.into_iter().map(file).collect()
}

/// The period of readiness probes, in seconds.
fn readiness_period(plan: &ClusterPlan) -> u32 {
    if plan.platform.is_prompt() { 1 } else { 5 }
}

/// A time-out of this many seconds in a container, stretched for the plan's platform, in seconds.
fn seconds(plan: &ClusterPlan, usual: u64) -> u64 {
    plan.platform.slowdown.stretch(Duration::from_secs(usual)).as_secs()
}

/// The patch of CoreDNS: one replica on a single node, else two, with readiness probes more often than kubeadm's every
/// ten seconds. With several control planes, no two replicas run on one node: kubeadm's manifest only prefers that, and
/// when they are scheduled no other node has joined yet.
pub(super) fn coredns(plan: &ClusterPlan) -> String {
    let mut pod = json!({ "containers": [{
        "name": "coredns",
        "livenessProbe": { "timeoutSeconds": seconds(plan, 5) },
        "readinessProbe": { "periodSeconds": readiness_period(plan), "timeoutSeconds": seconds(plan, 1) },
    }] });
    if plan.virtual_address().is_some() {
        pod["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
            "labelSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
            "topologyKey": "kubernetes.io/hostname",
        }] } });
    }
    documents(&[json!({
        "spec": {
            "replicas": if plan.others().is_empty() { 1 } else { 2 },
            "template": { "spec": pod },
        },
    })])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{acme, acme_ha, acme_in_vms};

    #[test]
    fn a_control_plane_in_vms_is_probed_less_often_and_has_longer_time_outs() {
        assert_eq!(control_plane(&acme()), []);
        let file = |file: File| format!("{}\n{}", file.path, String::from_utf8(file.contents).unwrap());
        let files = control_plane(&acme_in_vms()).into_iter().map(file);
        insta::assert_snapshot!(files.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn no_two_replicas_of_the_clusters_dns_share_a_node_where_nodes_may_fail() {
        insta::assert_snapshot!(coredns(&acme_ha()));
    }

    #[test]
    fn there_are_as_many_replicas_of_the_clusters_dns_as_nodes_can_run() {
        let alone = ClusterPlan { nodes: acme().nodes[..1].to_vec(), ..acme() };
        assert!(coredns(&alone).contains("replicas: 1"));
        assert!(coredns(&acme()).contains("replicas: 2"));
    }
}
