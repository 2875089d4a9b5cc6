//! kubeadm's configuration files, rendered from the plan. Pure.
//!
//! Format: kubeadm.k8s.io/v1beta4, kubelet.config.k8s.io/v1beta1, kubeproxy.config.k8s.io/v1alpha1.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::assets::{COREDNS_TAG, ETCD_TAG};
use crate::kubernetes::{DISCOVERY, PATCHES};
use crate::plan::{API_PORT, ClusterPlan, NodePlan, Role};

use super::{BootstrapToken, patches};

/// The socket of containerd on every node.
pub(super) const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";
/// The group of a bootstrap token's user, which kubeadm allows to join.
const JOINERS: &str = "system:bootstrappers:kubeadm:default-node-token";
/// The label of the bootstrap tokens that are created after the bring-up: `delete_tokens` finds them by it.
pub(super) const TICKET: &str = "homelab.invalid/token";
/// Preflight checks that cannot pass in a container: they inspect the host's kernel configuration and swap, and a
/// bridge filter that a routed pod network does not use.
const IGNORED: [&str; 3] =
    ["SystemVerification", "Swap", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"];

/// The configuration of a cluster and its first node, four YAML documents.
pub(super) fn cluster(plan: &ClusterPlan, token: &BootstrapToken) -> String {
    documents(&[init(plan, token), cluster_configuration(plan), kubelet(plan), kube_proxy(plan)])
}

/// The configuration of a node that joins. A control plane finds its authorities on its disk, so no certificate key for
/// downloading them from the cluster is made.
pub(super) fn join(plan: &ClusterPlan, node: &NodePlan, token: &BootstrapToken) -> String {
    let mut configuration = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {
            "file": { "kubeConfigPath": DISCOVERY },
            "tlsBootstrapToken": token.token().reveal(),
        },
        "nodeRegistration": registration(plan, node),
        // kubeadm's defaults are minutes each. With these, kubeadm ends before our own deadline and says what is
        // missing.
        "timeouts": {
            "controlPlaneComponentHealthCheck": within(plan, 90),
            "discovery": within(plan, 60),
            "etcdAPICall": within(plan, 60),
            "kubeletHealthCheck": within(plan, 60),
            "tlsBootstrap": within(plan, 60),
        },
    });
    if node.role == Role::ControlPlane {
        configuration["controlPlane"] = json!({ "localAPIEndpoint": endpoint(node) });
        // A folder that does not exist is an error for kubeadm.
        if !patches::control_plane(plan).is_empty() {
            configuration["patches"] = json!({ "directory": PATCHES });
        }
    }
    documents(&[configuration])
}

/// A time-out of this many seconds in a container, stretched for the plan's platform, as Go writes durations: `1m30s`.
fn within(plan: &ClusterPlan, seconds: u64) -> String {
    let seconds = plan.platform.slowdown.stretch(Duration::from_secs(seconds)).as_secs();
    format!("{}m{}s", seconds / 60, seconds % 60)
}

/// The Secret that makes a bootstrap token valid (kubernetes.io, "Authenticating with Bootstrap Tokens").
pub(super) fn token(token: &BootstrapToken, now: Timestamp) -> String {
    documents(&[json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": { "name": token.secret(), "namespace": "kube-system", "labels": { TICKET: "worker" } },
        "stringData": {
            "token-id": token.id(),
            "token-secret": token.token().reveal().split_once('.').map_or("", |(_, secret)| secret),
            "expiration": format!("{:.0}", now + BootstrapToken::LIFETIME),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": JOINERS,
        },
    })])
}

/// The kubeconfig for discovery: the API server's address and the cluster's authority (PEM), no credentials.
pub(super) fn discovery(plan: &ClusterPlan, authority: &str) -> String {
    documents(&[json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "",
            "cluster": api_server(plan, authority),
        }],
    })])
}

/// The API server's address and the cluster's authority (PEM), in the form of a kubeconfig's `cluster`.
pub(super) fn api_server(plan: &ClusterPlan, authority: &str) -> Value {
    json!({
        "server": format!("https://{}:{API_PORT}", plan.api_name),
        "certificate-authority-data": ByteString(authority.as_bytes().to_vec()),
    })
}

/// CoreDNS's configuration: it serves the cluster's names and the instance's suffix, and answers NXDOMAIN for all
/// others.
///
/// kubeadm's own Corefile forwards all other names to the node's resolvers; a node has none, because an instance has no
/// route to the outside. kubeadm keeps a ConfigMap that exists before it deploys the addon.
pub(super) fn corefile(plan: &ClusterPlan) -> String {
    // Each suffix has a block: within one block CoreDNS calls its plugins in a fixed order, and `template` would answer
    // before `kubernetes` is called. CoreDNS tries templates in the order written; the last one of the suffix answers
    // that the name exists but has no record of the type (mostly AAAA). The cluster's names are not cached, as in
    // kubeadm's own Corefile: they are in memory anyway, and without a cache a deleted name disappears at once.
    let corefile = format!(
        "\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 30
    }}
    prometheus :9153
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loadbalance
}}
{suffix}:53 {{
    errors
    template IN A {suffix} {{
        match ^api[.]{prefix}[.]lab[.]$
        answer \"{{{{ .Name }}}} 30 IN A {api}\"
        fallthrough
    }}
    template IN A {suffix} {{
        answer \"{{{{ .Name }}}} 30 IN A {workload}\"
    }}
    template IN ANY {suffix} {{
        rcode NOERROR
    }}
}}
.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    reload
}}
",
        suffix = plan.dns_suffix(),
        prefix = plan.tld_prefix,
        api = plan.api_address,
        workload = plan.workload_address,
    );
    documents(&[json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "coredns", "namespace": "kube-system" },
        "data": { "Corefile": corefile },
    })])
}

/// `/etc/hosts` of every node: a node has no other resolver.
pub(super) fn hosts(plan: &ClusterPlan) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
    for node in &plan.nodes {
        text.push_str(&format!("{} {}\n", node.address, node.name));
    }
    text.push_str(&format!("{} {}\n", plan.api_address, plan.api_name));
    text
}

fn init(plan: &ClusterPlan, token: &BootstrapToken) -> Value {
    let first = plan.first();
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "bootstrapTokens": [{
            "token": token.token().reveal(),
            "ttl": format!("{}m0s", BootstrapToken::LIFETIME.as_secs() / 60),
            "usages": ["authentication"],
            "groups": [JOINERS],
        }],
        "localAPIEndpoint": endpoint(first),
        "nodeRegistration": registration(plan, first),
        "patches": { "directory": PATCHES },
        // kubeadm derives the startup probes from this: the kubelet restarts a component that has not started by then.
        "timeouts": { "controlPlaneComponentHealthCheck": within(plan, 240) },
    })
}

/// The address and port of a control plane's own API server.
pub(super) fn endpoint(node: &NodePlan) -> Value {
    json!({ "advertiseAddress": node.address, "bindPort": API_PORT })
}

fn registration(plan: &ClusterPlan, node: &NodePlan) -> Value {
    let mut registration = json!({
        "name": node.name,
        "criSocket": CRI_SOCKET,
        // A node cannot reach an image registry. The node image has all images except kubeadm's choice of a pause
        // image, which is not used.
        "imagePullPolicy": "Never",
        "ignorePreflightErrors": IGNORED,
        // Without this, a node that has no default route registers no address, and then every exec and log call fails:
        // "no preferred addresses found".
        "kubeletExtraArgs": [{ "name": "node-ip", "value": node.address }],
    });
    if node.role == Role::ControlPlane && plan.control_plane_runs_pods() {
        registration["taints"] = json!([]);
    }
    registration
}

pub(super) fn cluster_configuration(plan: &ClusterPlan) -> Value {
    let arg = |name: &str, value: &str| json!({ "name": name, "value": value });
    let alone = plan.virtual_address().is_none();
    // A single replica needs no lease.
    let mut busy: Vec<Value> = alone.then(|| arg("leader-elect", "false")).into_iter().collect();
    // The default of 20 requests a second costs the controller-manager 4.5 s only for making a client for each
    // controller.
    busy.extend([arg("kube-api-qps", "500"), arg("kube-api-burst", "1000")]);
    // The plan has already assigned each node its part of the pod CIDR.
    let mut controllers = vec![arg("allocate-node-cidrs", "false")];
    let (mut etcd, mut api_server) = (Vec::new(), Vec::new());
    if alone && plan.platform.is_prompt() {
        // With the defaults, a single member waits a second before it elects itself. Several members keep etcd's
        // defaults (100 and 1000 ms): on a busy host a member is late by more than 200 ms, and each needless election
        // stops all writes. The same holds for a single member on an emulated processor.
        etcd.extend([arg("heartbeat-interval", "20"), arg("election-timeout", "200")]);
    }
    if !plan.platform.is_prompt() {
        // How often etcd sends a progress notification to each of the API server's hundred watchers. etcd's default
        // is ten minutes, kubeadm's five seconds. A list that has to be current requests one itself (Kubernetes'
        // KEP-2340).
        etcd.push(arg("watch-progress-notify-interval", "1m"));
        // The API server's liveness fails when etcd takes longer than this to answer (two seconds by default), and the
        // kubelet restarts an API server whose liveness fails for a while.
        let slow = within(plan, 2);
        api_server.extend([arg("etcd-healthcheck-timeout", &slow), arg("etcd-readycheck-timeout", &slow)]);
        // How long a node may send no heartbeat before its pods are considered dead: 50 seconds by default.
        controllers.push(arg("node-monitor-grace-period", "3m"));
    }
    if !plan.handling.fsync {
        etcd.push(arg("unsafe-no-fsync", "true"));
    }
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": plan.id.name,
        "kubernetesVersion": plan.kubernetes,
        "controlPlaneEndpoint": format!("{}:{API_PORT}", plan.api_name),
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": plan.pod_cidr,
            "serviceSubnet": plan.service_cidr,
            "dnsDomain": "cluster.local",
        },
        "apiServer": { "certSANs": [plan.api_name, plan.api_address], "extraArgs": api_server },
        "controllerManager": { "extraArgs": ([&busy[..], &controllers[..]].concat()) },
        "scheduler": { "extraArgs": busy },
        "dns": { "imageTag": COREDNS_TAG },
        "proxy": { "disabled": !plan.has_kube_proxy() },
        "etcd": { "local": { "imageTag": ETCD_TAG, "extraArgs": etcd } },
    })
}

fn kubelet(plan: &ClusterPlan) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": plan.platform.cgroup_driver(),
        "failCgroupV1": false,
        "failSwapOn": false,
        // All nodes share the host's disk: how full it is says nothing about this node.
        "evictionHard": { "imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%" },
        "imageGCHighThresholdPercent": 100,
    })
}

fn kube_proxy(plan: &ClusterPlan) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": plan.pod_cidr,
        "mode": "nftables",
        // The size of the conntrack table belongs to the host and cannot be set from a node.
        "conntrack": { "maxPerCore": 0 },
    })
}

pub(super) fn documents(documents: &[Value]) -> String {
    let texts = documents.iter().map(|document| {
        serde_saphyr::to_string(document).expect("a document with string keys can always be written")
    });
    texts.collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{acme, acme_ha, acme_in_vms};
    use crate::request::Handling;

    fn token() -> BootstrapToken {
        BootstrapToken::known("abcdef.0123456789abcdef")
    }

    #[test]
    fn a_cluster_and_its_first_node_are_four_documents() {
        insta::assert_snapshot!(cluster(&acme(), &token()));
    }

    #[test]
    fn etcd_of_a_durable_cluster_syncs_to_the_disk_and_that_of_a_throw_away_one_does_not() {
        let durable = acme();
        let throw_away = ClusterPlan { handling: Handling::TEST, ..acme() };
        assert!(!cluster(&durable, &token()).contains("unsafe-no-fsync"));
        assert!(cluster(&throw_away, &token()).contains("unsafe-no-fsync"));
    }

    #[test]
    fn a_control_plane_runs_pods_only_without_workers() {
        let alone = ClusterPlan { nodes: acme().nodes[..1].to_vec(), ..acme() };
        assert!(cluster(&alone, &token()).contains("taints: []"));
        assert!(!cluster(&acme(), &token()).contains("taints"));
    }

    #[test]
    fn a_worker_joins_by_a_file_that_names_the_authority() {
        let plan = acme();
        let joins = join(&plan, &plan.others()[0], &token());
        insta::assert_snapshot!(format!("{joins}---\n{}", discovery(&plan, "PEM")));
    }

    #[test]
    fn a_control_plane_joins_with_an_api_server_of_its_own_and_without_a_certificate_key() {
        let plan = acme_ha();
        let joins = join(&plan, &plan.others()[0], &token());
        assert!(!joins.contains("certificateKey"), "{joins}");
        insta::assert_snapshot!(joins);
    }

    #[test]
    fn several_control_planes_elect_leaders_and_keep_the_default_timing_of_etcd() {
        let several = cluster(&acme_ha(), &token());
        for only_alone in ["leader-elect", "heartbeat-interval", "election-timeout"] {
            assert!(cluster(&acme(), &token()).contains(only_alone), "{only_alone}");
            assert!(!several.contains(only_alone), "{only_alone}: {several}");
        }
        insta::assert_snapshot!(several);
    }

    #[test]
    fn a_vm_has_the_systemd_cgroup_driver_and_an_emulated_one_the_default_timing_of_etcd() {
        let plan = acme_in_vms();
        let text = cluster(&plan, &token());
        assert!(text.contains("cgroupDriver: systemd"), "{text}");
        assert!(!text.contains("heartbeat-interval"), "{text}");
        assert!(text.contains("watch-progress-notify-interval"), "{text}");
        assert!(join(&plan, &plan.others()[0], &token()).contains("tlsBootstrap: 10m0s"));
    }

    #[test]
    fn control_planes_that_join_run_pods_only_where_there_are_no_workers() {
        let plan = acme_ha();
        let alone = ClusterPlan { nodes: plan.nodes[..3].to_vec(), ..plan.clone() };
        for place in 1..3 {
            assert!(join(&alone, &alone.nodes[place], &token()).contains("taints: []"));
            assert!(!join(&plan, &plan.nodes[place], &token()).contains("taints"));
        }
        assert!(!join(&plan, &plan.nodes[3], &token()).contains("taints"));
    }

    #[test]
    fn a_token_for_a_worker_is_a_secret_that_expires_within_minutes() {
        let now = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        insta::assert_snapshot!(super::token(&token(), now));
    }

    #[test]
    fn the_clusters_dns_serves_its_own_names_and_nothing_beyond() {
        insta::assert_snapshot!(corefile(&acme()));
    }

    #[test]
    fn the_hosts_file_of_a_node_has_all_nodes_and_the_name_of_the_control_plane() {
        insta::assert_snapshot!(hosts(&acme()));
    }
}
