//! The hook that podman runs when a node ends, for any reason: it takes the virtual address from the node.
//!
//! A node's network namespace outlives the node's processes, and the kernel goes on answering for every address in it.
//! A VM that is off would not answer.

use std::fs;
use std::net::Ipv4Addr;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::fabric;
use crate::files::FileError;
use crate::plan::{ClusterPlan, NodePlan, Role};

use super::EngineError;

/// The folder of a node's hooks; `None` for a node that never has the virtual address.
pub(super) fn folder(plan: &ClusterPlan, node: &NodePlan, node_folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let may_have_it = node.role == Role::ControlPlane && plan.virtual_address().is_some();
    may_have_it.then(|| node_folder.join("hooks"))
}

/// Writes a node's hook, if it needs one. To be called before the node's first start.
pub(super) fn write(plan: &ClusterPlan, node: &NodePlan, node_folder: &Utf8Path) -> Result<(), EngineError> {
    let (Some(folder), Some(address)) = (folder(plan, node, node_folder), plan.virtual_address()) else {
        return Ok(());
    };
    let path = folder.join("address.json");
    let text = hook(&fabric::namespace_path(&plan.id.node_scope(&node.name)), address);
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text));
    written.map_err(|source| EngineError::File(FileError { attempt: "write", path, source }))
}

/// A hook in podman's format (oci-hooks(5), version 1.0.0). Pure.
fn hook(namespace: &str, address: Ipv4Addr) -> String {
    let net = format!("--net={namespace}");
    let address = format!("{address}/32");
    let hook = json!({
        "version": "1.0.0",
        "hook": {
            "path": "/usr/bin/nsenter",
            "args": ["nsenter", net, "ip", "address", "flush", "dev", "eth0", "to", address],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "when": { "always": true },
        "stages": ["poststop"],
    });
    format!("{hook:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{acme, acme_ha};

    #[test]
    fn a_hook_removes_the_virtual_address_when_a_control_plane_has_stopped() {
        let plan = acme_ha();
        let namespace = fabric::namespace_path(&plan.id.node_scope("acme-cp-1"));
        insta::assert_snapshot!(hook(&namespace, plan.api_address));
    }

    #[test]
    fn nodes_that_never_have_the_virtual_address_have_no_hook() {
        let (one, several) = (acme(), acme_ha());
        let has = |plan: &ClusterPlan, place: usize| {
            folder(plan, &plan.nodes[place], Utf8Path::new("/nodes/n")).is_some()
        };
        assert!(!has(&one, 0) && !has(&one, 1), "the instance has no virtual address");
        assert!(has(&several, 0) && has(&several, 2), "control planes carry it in turn");
        assert!(!has(&several, 3), "a worker never has it");
    }
}
