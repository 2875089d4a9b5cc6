//! The virtual address of several control planes: keepalived (VRRP version 3, RFC 5798) on each of them.
//!
//! The API servers listen on all addresses, so the control plane that has the virtual address answers on it, and no
//! proxy is needed.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::kubernetes::CA;
use crate::node::{File, Node};
use crate::plan::{API_PORT, ClusterPlan, NodePlan};

use super::KubeadmError;
use super::init::{failed, run, waited};

/// The configuration file of the node image's keepalived service.
const CONFIGURATION: &str = "/etc/keepalived/keepalived.conf";

/// Starts keepalived on a control plane. Does nothing in a cluster without a virtual address.
///
/// # Errors
/// [`KubeadmError::Step`] when a command on the node fails.
pub(super) async fn carry(node: &Node, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let Some(address) = plan.virtual_address() else { return Ok(()) };
    let file = File::public(CONFIGURATION, keepalived(plan, node.plan(), address));
    node.put(&[file]).await.map_err(failed("write keepalived's configuration", node))?;
    // The service sleeps until it is restarted with a configuration.
    run("restart keepalived", node, plan.platform.restart("keepalived")).await
}

/// Waits until a node has the virtual address. Only for the first control plane: no other one competes for it yet.
///
/// # Errors
/// [`KubeadmError::NotReady`] with the last log lines.
pub(super) async fn carried(node: &Node, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let Some(address) = plan.virtual_address() else { return Ok(()) };
    let look = format!("ip -oneline address show dev {} to {address} | grep -q .", plan.platform.link);
    let wait = plan.platform.until(&look, Duration::from_secs(30));
    waited(node, "the virtual address", node, &wait).await
}

/// The configuration of a node's keepalived. Pure.
///
/// All control planes have the same priority, so one that returns does not take the address from another. When its own
/// API server does not answer, a control plane's priority falls below the others', and one of them takes the address
/// over. When no API server answers, the address stays where it is. The others miss a dead control plane after three
/// advertisements, within 1.7 s.
fn keepalived(plan: &ClusterPlan, node: &NodePlan, address: Ipv4Addr) -> String {
    let peers = plan.control_planes().filter(|peer| peer.name != node.name);
    let peers: String = peers.map(|peer| format!("    {}\n", peer.address)).collect();
    format!(
        "\
global_defs {{
  router_id {name}
  vrrp_version 3
  vrrp_priority -20
  vrrp_garp_master_refresh 1
  enable_script_security
  script_user root
}}
vrrp_script api_server {{
  script \"/usr/bin/wget --quiet --tries 1 --timeout 2 --ca-certificate {CA} --output-document /dev/null \
https://{own}:{API_PORT}/livez\"
  interval 1
  timeout 3
  fall 2
  rise 2
  weight -100
  init_fail
}}
vrrp_instance api {{
  state BACKUP
  interface {link}
  virtual_router_id 5
  priority 200
  advert_int 0.5
  unicast_src_ip {own}
  unicast_peer {{
{peers}  }}
  virtual_ipaddress {{
    {address}/32 dev {link}
  }}
  track_script {{
    api_server
  }}
}}
",
        name = node.name,
        link = plan.platform.link,
        own = node.address,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::acme_ha;

    #[test]
    fn keepalived_checks_the_api_server_of_its_own_node_and_has_its_peers() {
        let plan = acme_ha();
        insta::assert_snapshot!(keepalived(&plan, &plan.nodes[1], plan.api_address));
    }

    #[test]
    fn all_control_planes_have_one_priority_so_that_none_takes_the_address_from_another() {
        let plan = acme_ha();
        let of = |node: &NodePlan| keepalived(&plan, node, plan.api_address);
        let priority = |text: &str| text.lines().find(|line| line.contains("priority 2")).map(str::to_owned);
        let all: Vec<_> = plan.control_planes().map(|node| priority(&of(node))).collect();
        assert_eq!(all, vec![Some("  priority 200".to_owned()); 3]);
    }
}
