//! What root on a node would do first: a route to everything, by way of the host.

use std::time::Duration;

use provisioner::exec::{Command, CommandError};

use super::learn;
use crate::audit::Route;
use crate::cluster::{TestCluster, TestNode};
use crate::undo::Undos;

/// All addresses, in halves: they come before a default route that is there, and leave it as it is.
const EVERYTHING: [&str; 2] = ["0.0.0.0/1", "128.0.0.0/1"];

/// Gives every node of the clusters routes to everything, by the host's address in its network or by the hypervisor's on
/// its own link, where there is one. How they go is pushed first.
pub(super) async fn lay(clusters: &[TestCluster], by: Route, undos: &mut Undos) -> Result<(), CommandError> {
    for cluster in clusters {
        let Some(hop) = hop(cluster, by) else { continue };
        for node in cluster.nodes() {
            let there = node.clone();
            // Unlike `del`, it is fine with a route that never was there.
            let gone = routes(&format!("flush exact {{}} {hop}"));
            undos.push(format!("remove the audit's routes of {}", node.real_name()), move || {
                let (there, gone) = (there.clone(), gone.clone());
                async move { run(&there, &gone).await }
            });
            // A link without a carrier takes a route, too: then nothing leaves by it, which is the answer.
            run(node, &routes(&format!("replace {{}} {hop} onlink"))).await?;
        }
    }
    Ok(())
}

/// `via 192.168.60.1 dev eth0`.
fn hop(cluster: &TestCluster, by: Route) -> Option<String> {
    let plan = &cluster.inner().plan;
    match by {
        Route::Own => None,
        Route::Workstation => Some(format!("via {} dev {}", plan.gateway, plan.platform.link)),
        Route::Hypervisor => {
            let management = learn::management(plan)?;
            Some(format!("via {} dev {}", management.gateway, management.node_link))
        }
    }
}

/// One command for both halves.
fn routes(words: &str) -> Command {
    let both = EVERYTHING.map(|half| format!("ip route {}", words.replace("{}", half))).join(" && ");
    Command::within(Duration::from_secs(10), "sh").args(["-c", &both])
}

async fn run(node: &TestNode, command: &Command) -> Result<(), CommandError> {
    node.run(command).await.map(drop)
}
