//! One node: its addresses, and what must be its own.

use std::net::Ipv6Addr;

use k8s_openapi::api::core::v1::Node;
use provisioner::plan::Role;

use crate::audit::{Machine, NodeSubject};
use crate::cluster::TestNode;

use super::quick;

/// A node, and what Kubernetes says of it.
pub(super) async fn subject(role: Role, node: &TestNode, listed: Option<&Node>) -> NodeSubject {
    NodeSubject {
        name: node.real_name().to_owned(),
        role,
        address: node.ip(),
        link_local: link_local(node).await,
        witness: node.real_name().to_owned(),
        machine: machine(node, listed.and_then(|listed| listed.metadata.uid.clone())).await,
    }
}

async fn link_local(node: &TestNode) -> Option<Ipv6Addr> {
    let show = ["-oneline", "-6", "address", "show", "dev", "eth0", "scope", "link"];
    let text = node.run(&quick("ip").args(show)).await.ok()?.text();
    text.split_whitespace().find_map(|word| word.split('/').next()?.parse::<Ipv6Addr>().ok())
}

async fn machine(node: &TestNode, node_uid: Option<String>) -> Option<Machine> {
    let machine_id = node.read("/etc/machine-id").await.ok()?.trim().to_owned();
    // A machine without an SSH server has no such file; one that cannot be read is an error.
    let keys =
        "for key in /etc/ssh/ssh_host_*_key.pub; do if [ -e \"$key\" ]; then cat \"$key\" || exit; fi; done";
    let keys = node.run(&quick("sh").args(["-c", keys])).await.ok()?.text();
    Some(Machine { machine_id, node_uid: node_uid?, host_keys: keys.lines().map(str::to_owned).collect() })
}
