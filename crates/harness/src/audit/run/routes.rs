//! What root on a node would do first: a route to everything, by way of the host.

use std::time::Duration;

use provisioner::exec::{Command, CommandError};

use crate::cluster::{TestCluster, TestNode};
use crate::undo::Undos;

/// Gives every node of the clusters a default route through its gateway. How it goes is pushed first.
pub(super) async fn lay(clusters: &[TestCluster], undos: &mut Undos) -> Result<(), CommandError> {
    for cluster in clusters {
        let gateway = cluster.inner().plan.gateway.to_string();
        for node in cluster.nodes() {
            let (there, back) = (node.clone(), gateway.clone());
            undos.push(format!("remove the default route of {}", node.real_name()), move || {
                let (there, back) = (there.clone(), back.clone());
                // Unlike `del`, it is fine with a route that never was there.
                async move { route(&there, &["flush", "exact", "0.0.0.0/0", "via", &back]).await }
            });
            route(node, &["replace", "default", "via", &gateway]).await?;
        }
    }
    Ok(())
}

async fn route(node: &TestNode, words: &[&str]) -> Result<(), CommandError> {
    let command = Command::within(Duration::from_secs(10), "ip").arg("route").args(words.iter().copied());
    node.run(&command).await.map(drop)
}
