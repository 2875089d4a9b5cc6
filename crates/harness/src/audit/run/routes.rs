//! Routes that an attacker with root on a node would add: to every address, through the host or the hypervisor.
//!
//! For IPv6, a node also gets an address ([`ipv6`]), because it may have none that a router forwards, and the host's
//! hardware address as its neighbour, because the host answers no solicitation on a link without IPv6.

use std::net::Ipv4Addr;
use std::time::Duration;

use probe::Mac;
use provisioner::exec::{Command, CommandError};
use provisioner::plan::ClusterPlan;

use super::learn;
use crate::audit::{Route, ipv6};
use crate::cluster::{TestCluster, TestNode};
use crate::undo::Undos;

/// All IPv4 addresses, in two halves. They take precedence over a default route and do not replace it.
const EVERYTHING: [&str; 2] = ["0.0.0.0/1", "128.0.0.0/1"];
/// All IPv6 addresses, in two halves.
const EVERYTHING_V6: [&str; 2] = ["::/1", "8000::/1"];

/// Adds routes to every address on every node: through the host's address in the node's network, or through the
/// hypervisor's address on its own link where there is one. The undo is pushed before the routes are added.
pub(super) async fn lay(clusters: &[TestCluster], by: Route, undos: &mut Undos) -> Result<(), CommandError> {
    for cluster in clusters {
        let Some(hop) = hop(cluster, by) else { continue };
        let plan = &cluster.inner().plan;
        let router = if by == Route::Host { learn::host_mac(&learn::host_link(plan).await) } else { None };
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
            if let Some(v6) = router.map(|router| RoutedV6::of(plan, node.ip(), router)) {
                let (there, gone) = (node.clone(), v6.gone());
                undos.push(format!("remove the audit's IPv6 address of {}", node.real_name()), move || {
                    let (there, gone) = (there.clone(), gone.clone());
                    async move { run(&there, &gone).await }
                });
                // A node without IPv6 cannot have it. Its controls then fail, and say so.
                drop(run(node, &v6.there()).await);
            }
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

/// The IPv6 address of a node, and its route to all others through the host.
struct RoutedV6 {
    address: String,
    router: String,
    hardware: Mac,
    link: &'static str,
}

impl RoutedV6 {
    fn of(plan: &ClusterPlan, node: Ipv4Addr, hardware: Mac) -> Self {
        let bits = ipv6::network(plan.subnet).prefix_len();
        Self {
            address: format!("{}/{bits}", ipv6::beside(node, plan.subnet)),
            router: ipv6::beside(plan.gateway, plan.subnet).to_string(),
            hardware,
            link: plan.platform.link,
        }
    }

    fn there(&self) -> Command {
        let Self { address, router, hardware, link } = self;
        let routes =
            EVERYTHING_V6.map(|half| format!(" && ip -6 route replace {half} via {router} dev {link}"));
        shell(&format!(
            "ip -6 address add {address} dev {link} nodad && \
             ip -6 neighbour replace {router} lladdr {hardware} dev {link} nud permanent{}",
            routes.concat()
        ))
    }

    /// `flush`, unlike `del`, succeeds for an object that was never added.
    fn gone(&self) -> Command {
        let Self { address, router, link, .. } = self;
        let routes = EVERYTHING_V6.map(|half| format!("ip -6 route flush exact {half} via {router} && "));
        shell(&format!(
            "{}ip -6 neighbour flush to {router} dev {link} nud permanent && \
             ip -6 address flush dev {link} to {address}",
            routes.concat()
        ))
    }
}

/// One command for both halves; `{}` in `words` stands for the half.
fn routes(words: &str) -> Command {
    shell(&EVERYTHING.map(|half| format!("ip route {}", words.replace("{}", half))).join(" && "))
}

fn shell(script: &str) -> Command {
    Command::within(Duration::from_secs(10), "sh").args(["-c", script])
}

async fn run(node: &TestNode, command: &Command) -> Result<(), CommandError> {
    node.run(command).await.map(drop)
}
