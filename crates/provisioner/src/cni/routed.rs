//! The routed pod network: the plugins ptp and host-local on each node, static routes between the nodes.
//!
//! It has no daemon, is ready as soon as it is installed, and does not support NetworkPolicy.

use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use serde_json::json;

use crate::bring_up::Serving;
use crate::exec::Command;
use crate::node::{File, Node};
use crate::plan::{ClusterPlan, NodePlan};

use super::{Cni, CniError, Health};

/// The routed pod network.
#[derive(Debug, Clone, Copy)]
pub struct Routed;

impl Cni for Routed {
    fn install<'a>(
        &'a self,
        nodes: &'a [&'a Node],
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            try_join_all(nodes.iter().map(|node| async move {
                let refused = |source| CniError::Refused { node: node.name().to_owned(), source };
                let file = File::public("/etc/cni/net.d/10-homelab.conflist", conflist(node.plan()));
                node.put(&[file]).await.map_err(refused)
            }))
            .await?;
            self.adapt(nodes, plan, &[]).await
        })
    }

    fn adapt<'a>(
        &'a self,
        nodes: &'a [&'a Node],
        plan: &'a ClusterPlan,
        gone: &'a [NodePlan],
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            try_join_all(nodes.iter().map(|node| async move {
                let routes = routes(node.plan(), plan, gone);
                if routes.is_empty() {
                    return Ok(());
                }
                let command = Command::within(Duration::from_secs(20), "ip").args(["-batch", "-"]);
                let refused = |source| CniError::Refused { node: node.name().to_owned(), source };
                node.run(&command.input(routes)).await.map(drop).map_err(refused)
            }))
            .await
            .map(drop)
        })
    }

    /// Does nothing: the routed network has no daemon.
    fn deploy<'a>(&'a self, _: &'a Serving, _: &'a ClusterPlan) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Returns at once: pods have a network as soon as the configuration is installed.
    fn ready<'a>(&'a self, _: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn health<'a>(&'a self, _: &'a Node) -> BoxFuture<'a, Health> {
        Box::pin(std::future::ready(Health::NoAgent))
    }
}

/// The CNI configuration of a node (CNI specification 1.0.0). Pure.
fn conflist(node: &NodePlan) -> String {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "homelab",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    // On a tmpfs: when the node stops, the reservations go, like the pods that have the addresses.
                    "dataDir": "/run/cni/host-local",
                    "ranges": [[{ "subnet": node.pod_cidr }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    format!("{list:#}\n")
}

/// Commands for `ip -batch` that set the routes to the pods of all other nodes and delete those of removed nodes. Pure.
fn routes(node: &NodePlan, plan: &ClusterPlan, gone: &[NodePlan]) -> String {
    let others = plan.nodes.iter().filter(|other| other.name != node.name);
    let there = others.map(|other| format!("route replace {} via {}\n", other.pod_cidr, other.address));
    // Unlike `del`, `flush` does not fail for a route that does not exist.
    let gone = gone.iter().map(|other| format!("route flush exact {}\n", other.pod_cidr));
    there.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::acme;

    #[test]
    fn the_pods_of_a_node_get_addresses_of_its_pod_cidr() {
        insta::assert_snapshot!(conflist(acme().first()));
    }

    #[test]
    fn every_node_has_routes_to_the_pods_of_all_other_nodes_and_no_others() {
        let plan = acme();
        insta::assert_snapshot!(routes(plan.first(), &plan, &[]));
    }

    #[test]
    fn the_route_to_a_removed_node_is_deleted() {
        let mut plan = acme();
        let gone = plan.nodes.remove(1);
        insta::assert_snapshot!(routes(plan.first(), &plan, &[gone]), @r"
        route replace 10.244.2.0/24 via 192.168.60.22
        route flush exact 10.244.1.0/24
        ");
    }
}
