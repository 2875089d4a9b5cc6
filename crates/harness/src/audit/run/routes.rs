//! Routes that an attacker with root on a node would add: to every address, through the host or the hypervisor.

use std::time::Duration;

use provisioner::exec::{Command, CommandError};

use super::learn;
use crate::audit::Route;
use crate::cluster::{TestCluster, TestNode};
use crate::undo::Undos;

/// All IPv4 addresses, in two halves. They take precedence over a default route and do not replace it.
const EVERYTHING: [&str; 2] = ["0.0.0.0/1", "128.0.0.0/1"];

/// Adds routes to every address on every node: through the host's address in the node's network, or through the
/// hypervisor's address on its own link where there is one. The undo is pushed before the routes are added.
pub(super) async fn lay(clusters: &[TestCluster], by: Route, undos: &mut Undos) -> Result<(), CommandError> {
    for cluster in clusters {
        let Some(hop) = hop(cluster, by) else { continue };
        for node in cluster.nodes() {
            let there = node.clone();
            // `flush`, unlike `del`, succeeds for a route that was never added.
            let gone = routes(&format!("flush exact {{}} {hop}"));
            undos.push(format!("remove the audit's routes of {}", node.real_name()), move || {
                let (there, gone) = (there.clone(), gone.clone());
                async move { run(&there, &gone).await }
            });
            // A link without a carrier accepts a route as well. No packet leaves by it then, and no probe is answered.
            run(node, &routes(&format!("replace {{}} {hop} onlink"))).await?;
        }
    }
    Ok(())
}

/// The next hop as `ip route` takes it: `via 192.168.60.1 dev eth0`. `None` for
/// [`Route::Own`], and for [`Route::Hypervisor`] where there is no hypervisor.
fn hop(cluster: &TestCluster, by: Route) -> Option<String> {
    let plan = &cluster.inner().plan;
    match by {
        Route::Own => None,
        Route::Host => Some(format!("via {} dev {}", plan.gateway, plan.platform.link)),
        Route::Hypervisor => {
            let management = learn::management(plan)?;
            Some(format!("via {} dev {}", management.gateway, management.node_link))
        }
    }
}

/// One command for both halves; `{}` in `words` stands for the half.
fn routes(words: &str) -> Command {
    let both = EVERYTHING.map(|half| format!("ip route {}", words.replace("{}", half))).join(" && ");
    Command::within(Duration::from_secs(10), "sh").args(["-c", &both])
}

async fn run(node: &TestNode, command: &Command) -> Result<(), CommandError> {
    node.run(command).await.map(drop)
}
