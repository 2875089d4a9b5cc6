//! How what kubeadm deploys differs from its defaults, as kubeadm's own patches. Pure.

use serde_json::json;

use crate::plan::ClusterPlan;

use super::config::documents;

/// Where kubeadm looks for them.
pub(super) const FOLDER: &str = "/etc/kubernetes/patches";

/// How often it is asked whether something is ready: each answer of the API server costs a handshake and a question to
/// etcd, which an emulated processor feels.
fn readiness_period(plan: &ClusterPlan) -> u32 {
    if plan.platform.is_prompt() { 1 } else { 5 }
}

/// How the API server differs from kubeadm's default.
pub(super) fn api_server(plan: &ClusterPlan) -> String {
    let probe = json!({ "periodSeconds": readiness_period(plan) });
    documents(&[json!({ "spec": { "containers": [{ "name": "kube-apiserver", "readinessProbe": probe }] } })])
}

/// How CoreDNS differs from kubeadm's default: as many replicas as nodes can run, asked more often whether
/// they are ready than every ten seconds. Where a control plane may fail, no two of them are on one node: kubeadm only
/// prefers that, and when they are scheduled there is no other node yet.
pub(super) fn coredns(plan: &ClusterPlan) -> String {
    let probe = json!({ "periodSeconds": readiness_period(plan) });
    let mut pod = json!({ "containers": [{ "name": "coredns", "readinessProbe": probe }] });
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
    fn machines_are_asked_less_often_whether_they_are_ready() {
        assert!(api_server(&acme()).contains("periodSeconds: 1\n"), "{}", api_server(&acme()));
        let machines = acme_in_machines();
        assert!(api_server(&machines).contains("periodSeconds: 5\n"));
        assert!(coredns(&machines).contains("periodSeconds: 5\n"));
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
