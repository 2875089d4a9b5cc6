//! The manifests of the objects that an audit deploys in an instance. Pure.

use std::net::Ipv4Addr;

use provisioner::registry::Owner;
use serde_json::{Value, json};

use crate::audit::{TCP_PORT, UDP_PORT};

/// The container of every pod of the audit.
pub(super) const CONTAINER: &str = "probe";
/// The pod with the witness on the pod network.
pub(super) const WITNESS: &str = "witness";
/// The pod with the prober on the pod network.
pub(in crate::audit) const PROBER: &str = "prober";
/// The multicast groups that a witness joins beyond those of every host: mDNS (RFC 6762) and DHCPv6 servers (RFC 8415).
/// A network adapter may drop packets of groups that were not joined; QEMU's does.
const GROUPS: [&str; 2] = ["224.0.0.251", "ff02::1:2"];

/// The label of an audit's namespace.
pub(super) const OWNED: &str = "homelab/audit";
/// The annotation with the process that runs the audit. The next audit on the same host removes
/// namespaces whose process has ended.
pub(super) const OWNER: &str = "homelab/owner";
/// The longest lifetime of a pod, in seconds, in case the audit does not remove it.
pub(super) const LIFETIME: u32 = 3600;

/// The namespace of an audit.
pub(super) fn namespace(name: &str, owner: &Owner) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                OWNED: "",
                // Privileged, because probes from nodes are sent as root, as by an attacker who has left a
                // container.
                "pod-security.kubernetes.io/enforce": "privileged",
            },
            "annotations": { OWNER: serde_json::to_string(owner).expect("an owner can be written as JSON") },
        },
    })
}

/// The pod on the host network of a node. It runs the witness there, and probers are started in it. It shares the
/// node's PID namespace, so that a prober sees the node's processes, mounts and namespaces through `/proc/1`.
pub(super) fn on_node(image: &str, (node, address, identity): (&str, Ipv4Addr, &str)) -> Value {
    let mut pod = pod(image, &node_pod(node), &witness(identity, &address.to_string()));
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["hostPID"] = true.into();
    pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    pod["spec"]["containers"][0]["securityContext"] = json!({ "privileged": true });
    pod
}

/// The name of the pod on the host network of a node.
pub(super) fn node_pod(node: &str) -> String {
    format!("node-{node}")
}

/// The pod with the witness on the pod network.
pub(super) fn on_pod_network(image: &str, (node, identity): (&str, &str)) -> Value {
    let mut pod = pod(image, WITNESS, &witness(identity, "$(POD_IP)"));
    pod["metadata"]["labels"] = json!({ "app": WITNESS });
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    let own = json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } });
    pod["spec"]["containers"][0]["env"] = json!([own]);
    pod["spec"]["containers"][0]["securityContext"] = json!({ "capabilities": { "add": ["NET_RAW"] } });
    pod
}

/// The pod with the prober on the pod network, on the witness's node, with the rights of a hardened workload.
pub(super) fn prober(image: &str, node: &str) -> Value {
    let mut pod = pod(image, PROBER, &["homelab-probe".to_owned(), "pause".to_owned()]);
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    let hardened = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    pod["spec"]["containers"][0]["securityContext"] = hardened;
    pod
}

/// The service of the witness on the pod network. Its name exists in this instance only.
pub(super) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": {
            "type": "NodePort",
            "selector": { "app": WITNESS },
            "ports": [
                { "name": "tcp", "protocol": "TCP", "port": TCP_PORT },
                { "name": "udp", "protocol": "UDP", "port": UDP_PORT },
            ],
        },
    })
}

fn witness(identity: &str, address: &str) -> Vec<String> {
    let (tcp, udp) = (format!("{address}:{TCP_PORT}"), format!("{address}:{UDP_PORT}"));
    let words = ["homelab-probe", "witness", "--identity", identity, "--tcp", &tcp, "--udp", &udp];
    let joins = GROUPS.into_iter().flat_map(|group| ["--join", group]);
    words.into_iter().chain(joins).chain(["--capture"]).map(str::to_owned).collect()
}

fn pod(image: &str, name: &str, command: &[String]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never", // a witness that restarts has missed packets
            "activeDeadlineSeconds": LIFETIME,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1, // with 0, the pod object is deleted before its node stops it
            "containers": [{
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "terminationMessagePolicy": "FallbackToLogsOnError", // its last output, if it fails
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use provisioner::assets::TOOLBOX_IMAGE;

    use super::*;

    #[test]
    fn a_run_puts_a_namespace_four_kinds_of_objects_and_nothing_else_into_an_instance() {
        let address = Ipv4Addr::new(192, 168, 60, 10);
        let (boot_id, run_id) = ("b".to_owned(), "r".to_owned());
        let owner = Owner {
            pid: 7,
            start_time: 22,
            boot_id,
            run_id,
            pid_namespace: None,
            time_namespace: None,
            lock: None,
        };
        insta::assert_yaml_snapshot!([
            namespace("homelab-audit-1a2b3c4d", &owner),
            on_node(TOOLBOX_IMAGE, ("acme-cp-1", address, "acme-cp-1")),
            on_pod_network(TOOLBOX_IMAGE, ("acme-w-1", "acme/pod")),
            prober(TOOLBOX_IMAGE, "acme-w-1"),
            service("witness-acme"),
        ]);
    }
}
