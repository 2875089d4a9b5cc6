//! The Helm values for Cilium's chart (`install/kubernetes/cilium/values.yaml` of the module), from the plan. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::assets::CILIUM_TAG;
use crate::digest::digest;
use crate::plan::{API_PORT, ClusterPlan};

use super::capabilities::Capabilities;

/// The cgroup v2 file system, mounted by the node's init.
const CGROUP: &str = "/run/cilium/cgroupv2";
/// The most characters that the chart accepts in a cluster's name (`templates/validate.yaml`).
const LONGEST_NAME: usize = 32;

/// The MTU of a node's link in bytes: Ethernet's (RFC 894). By default Cilium takes the MTU of the default route's
/// link, or of loopback if the node has no default route. That of loopback is larger, and packets larger than the
/// link's MTU are lost.
const MTU: u16 = 1500;

/// All values that differ from the chart's defaults.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Values {
    image: Image,
    operator: Operator,
    cluster: Cluster,
    k8s_service_host: Ipv4Addr,
    k8s_service_port: u16,
    kube_proxy_replacement: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<&'static str>,
    #[serde(rename = "MTU")]
    mtu: u16,
    routing_mode: &'static str,
    auto_direct_node_routes: bool,
    #[serde(rename = "ipv4NativeRoutingCIDR")]
    ipv4_native_routing_cidr: Ipv4Net,
    #[serde(rename = "enableIPv4Masquerade")]
    enable_ipv4_masquerade: bool,
    ipam: Ipam,
    hubble: Hubble,
    // No layer-7 proxy: the node image has no image of Envoy.
    envoy: Switch,
    l7_proxy: bool,
    // A health endpoint is one more endpoint on each node, compiled and started before all others. The audit and the
    // tests check whether nodes and pods reach each other.
    health_checking: bool,
    endpoint_health_checking: Switch,
    // The node image and its init have already done what these would do, in one container each, which takes a second.
    bpf: AutoMount,
    cgroup: Cgroup,
    sysctlfix: Switch,
    cni: CniValues,
    security_context: SecurityContext,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    repository: &'static str,
    tag: &'static str,
    use_digest: bool,
    pull_policy: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operator {
    image: Image,
    replicas: u8,
    #[serde(rename = "skipCRDCreation")]
    skip_crd_creation: bool,
    set_node_taints: bool,
    remove_node_taints: bool,
}

/// Identifies the cluster in metrics and in a cluster mesh. ID 0 means that the cluster is in no mesh.
#[derive(Debug, Serialize)]
struct Cluster {
    name: String,
    id: u8,
}

#[derive(Debug, Serialize)]
struct Ipam {
    mode: &'static str,
}

/// Hubble's values. Without TLS and a listen address, Hubble listens only on a socket in the agent's container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hubble {
    enabled: bool,
    listen_address: &'static str,
    tls: Switch,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AutoMount {
    auto_mount: Switch,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    auto_mount: Switch,
    host_root: &'static str,
}

#[derive(Debug, Serialize)]
struct CniValues {
    install: bool,
}

#[derive(Debug, Serialize)]
struct Switch {
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct SecurityContext {
    capabilities: Containers,
}

/// The capabilities of the containers in an agent's pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Containers {
    cilium_agent: Vec<&'static str>,
}

const OFF: Switch = Switch { enabled: false };

/// The values for a cluster whose nodes can grant these capabilities.
pub(super) fn of(plan: &ClusterPlan, machine: &Capabilities) -> Values {
    Values {
        image: image("quay.io/cilium/cilium"),
        // The chart appends the kind of operator (`-generic`) to the repository.
        operator: Operator {
            image: image("quay.io/cilium/operator"),
            replicas: 1,
            skip_crd_creation: true, // `definitions` applies them
            // The taints keep pods off a node until the agent's pod is Ready, ten seconds after the agent itself.
            // They are not needed: a node has no other pod network that a pod could get, so its pods wait for Cilium.
            set_node_taints: false,
            remove_node_taints: false,
        },
        cluster: Cluster { name: cluster_name(&plan.id.name), id: 0 },
        k8s_service_host: plan.api_address,
        k8s_service_port: API_PORT,
        kube_proxy_replacement: plan.cilium.kube_proxy_replacement,
        // By default Cilium takes the link of the default route, which a node does not have.
        devices: plan.cilium.kube_proxy_replacement.then_some(plan.platform.link),
        mtu: MTU,
        // All nodes are on one link and an instance has no route to the outside: no tunnel and no masquerading is
        // needed.
        routing_mode: "native",
        auto_direct_node_routes: true,
        ipv4_native_routing_cidr: plan.pod_cidr,
        enable_ipv4_masquerade: false,
        ipam: Ipam { mode: "kubernetes" },
        hubble: Hubble { enabled: plan.cilium.hubble, listen_address: "", tls: OFF },
        envoy: OFF,
        l7_proxy: false,
        health_checking: false,
        endpoint_health_checking: OFF,
        bpf: AutoMount { auto_mount: OFF },
        cgroup: Cgroup { auto_mount: OFF, host_root: CGROUP },
        sysctlfix: OFF,
        cni: CniValues { install: false },
        security_context: SecurityContext { capabilities: Containers { cilium_agent: machine.of_agent() } },
    }
}

/// The image as every node has it in its containerd store: by tag, because its digest differs between hosts.
fn image(repository: &'static str) -> Image {
    Image { repository, tag: CILIUM_TAG, use_digest: false, pull_policy: "Never" }
}

/// The instance's name; if it is too long for the chart, its beginning and a digest.
fn cluster_name(instance: &str) -> String {
    if instance.len() <= LONGEST_NAME {
        return instance.to_owned();
    }
    let tail = &digest(instance)[..8];
    let head = instance[..LONGEST_NAME - 1 - tail.len()].trim_end_matches('-');
    format!("{head}-{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::acme;
    use crate::request::CiliumOptions;

    fn rendered(plan: &ClusterPlan) -> String {
        serde_saphyr::to_string(&of(plan, &Capabilities::ALL)).expect("values can be written")
    }

    #[test]
    fn the_chart_gets_the_values_of_the_plan() {
        insta::assert_snapshot!(rendered(&acme()));
    }

    #[test]
    fn an_option_changes_its_own_values_and_no_others() {
        let with = |cilium| rendered(&ClusterPlan { cilium, ..acme() });
        let plain = rendered(&acme());
        let new = |options: CiliumOptions| {
            let text = with(options);
            let count = |all: &str, line: &str| all.lines().filter(|other| *other == line).count();
            let lines = text.lines().filter(|line| count(&text, line) > count(&plain, line));
            lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        let off = CiliumOptions::default();
        let proxy = new(CiliumOptions { kube_proxy_replacement: true, ..off });
        assert_eq!(proxy, ["kubeProxyReplacement: true", "devices: eth0"]);
        assert_eq!(new(CiliumOptions { hubble: true, ..off }), ["enabled: true"]);
    }

    #[test]
    fn names_too_long_for_the_chart_are_shortened_and_stay_different() {
        let long = |end: &str| format!("{}{end}", "a".repeat(38));
        assert_eq!(cluster_name("acme"), "acme");
        assert_eq!(cluster_name(&long("-b")).len(), LONGEST_NAME);
        assert_ne!(cluster_name(&long("-b")), cluster_name(&long("-c")));
    }
}
