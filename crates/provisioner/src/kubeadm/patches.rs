//! How what kubeadm deploys differs from its defaults, as kubeadm's own patches. Pure.

use std::time::Duration;

use serde_json::json;

use crate::kubernetes::PATCHES;
use crate::node::File;
use crate::plan::ClusterPlan;

use super::config::documents;

/// What kubeadm has deployed as static pods, and whether it is asked if it is ready.
const CONTROL_PLANE: [(&str, bool); 4] =
    [("etcd", true), ("kube-apiserver", true), ("kube-controller-manager", false), ("kube-scheduler", true)];

/// How the control plane differs from kubeadm's default, a file for each part of it: not at all in containers. On an
/// emulated processor each question costs both sides a handshake, and some a question to etcd, so there are fewer of them;
/// and who takes longer to answer is not ended for it, which would make all others take longer still.
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

/// How often it is asked whether something is ready.
fn readiness_period(plan: &ClusterPlan) -> u32 {
    if plan.platform.is_prompt() { 1 } else { 5 }
}

/// As long as this may take in a container.
fn seconds(plan: &ClusterPlan, usual: u64) -> u64 {
    plan.platform.slowdown.stretch(Duration::from_secs(usual)).as_secs()
}

/// How CoreDNS differs from kubeadm's default: as many replicas as nodes can run, asked more often whether
/// they are ready than every ten seconds. Where a control plane may fail, no two of them are on one node: kubeadm only
/// prefers that, and when they are scheduled there is no other node yet.
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
    use crate::plan::tests::{acme, acme_ha, acme_in_machines};

    #[test]
    fn the_control_plane_of_machines_is_asked_less_often_and_may_take_longer_to_answer() {
        assert_eq!(control_plane(&acme()), []);
        let file = |file: File| format!("{}\n{}", file.path, String::from_utf8(file.contents).unwrap());
        let files = control_plane(&acme_in_machines()).into_iter().map(file);
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
