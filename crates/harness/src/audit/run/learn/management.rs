//! The network by which a hypervisor manages the VMs of an instance, and the host's links in the instance's networks.

use std::fs;
use std::net::Ipv4Addr;

use probe::Mac;
use provisioner::fabric;
use provisioner::plan::{ClusterPlan, HostNetwork};
use provisioner::request::{EngineKind, Provider};

use crate::audit::{LinkWitness, Management};

/// VirtualBox's own address on the NAT adapter of each VM (its manual, "Network Address Translation").
const VIRTUALBOX: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The name of the host's link in an instance's network. It is the planned name, or the one that a hypervisor chose
/// (`vboxnet0`).
pub(in crate::audit) async fn host_link(plan: &ClusterPlan) -> String {
    link_among(&fabric::host_networks(&[], |_| false).await.unwrap_or_default(), plan)
}

/// The hardware address of a link of the host; `None` where it has none.
pub(in crate::audit) fn host_mac(link: &str) -> Option<Mac> {
    fs::read_to_string(format!("/sys/class/net/{link}/address")).ok()?.trim().parse().ok()
}

/// The link among these networks of the host that is in the instance's network, or else the planned name. Pure.
fn link_among(networks: &[HostNetwork], plan: &ClusterPlan) -> String {
    let planned = plan.id.link();
    let mut links = networks.iter().filter(|network| network.net == plan.subnet).map(|it| &it.interface);
    if links.clone().any(|link| *link == planned) {
        return planned;
    }
    links.next().cloned().unwrap_or(planned)
}

/// The hypervisor's network of an instance. `None` for containers. Pure.
pub(in crate::audit) fn of(plan: &ClusterPlan) -> Option<Management> {
    let node_link = plan.platform.management_link?.to_owned();
    Some(match (plan.engine, plan.management) {
        (EngineKind::Vagrant(Provider::Virtualbox), _) => {
            Management { net: None, gateway: VIRTUALBOX, node_link, link: None }
        }
        (_, net) => Management {
            net,
            gateway: net?.hosts().next()?,
            node_link,
            link: Some(plan.id.management_link()),
        },
    })
}

/// The witnesses on the host's ends of an instance's links; `link` is the one in its network. Only an instance with a
/// single node has them: with several nodes, the witness of another node sees broadcasts. Pure.
pub(in crate::audit) fn link_witnesses(name: &str, plan: &ClusterPlan, link: String) -> Vec<LinkWitness> {
    if plan.nodes.len() != 1 {
        return Vec::new();
    }
    let own = LinkWitness { witness: format!("{name}/link"), link, gateway: plan.gateway };
    let management = of(plan).and_then(|management| {
        let witness = format!("{name}/management");
        Some(LinkWitness { witness, link: management.link?, gateway: management.gateway })
    });
    [own].into_iter().chain(management).collect()
}

#[cfg(test)]
mod tests {
    use provisioner::home::Home;
    use provisioner::plan::{Pools, Taken, claim};
    use provisioner::registry::{Keeper, Operation, OperationKind, Owner};
    use provisioner::request::ClusterSpec;

    use super::*;

    #[test]
    fn the_hosts_link_is_found_by_its_network_under_any_name_of_a_hypervisor() {
        let spec =
            ClusterSpec::new("acme").engine(EngineKind::Vagrant(Provider::Virtualbox)).check().unwrap();
        let creation = Operation::begin(OperationKind::Create, Owner::current("test").unwrap());
        let instance =
            claim(&spec, &Taken::default(), &Pools::default(), Keeper::Operator, creation).unwrap();
        let plan = ClusterPlan::of(&instance, &Home::at("/home/acme"));
        let network = |net, interface: &str| HostNetwork { net, interface: interface.to_owned() };
        let other = network("192.168.99.0/24".parse().unwrap(), "vboxnet0");
        let its = network(plan.subnet, "vboxnet1");
        let ours = network(plan.subnet, &plan.id.link());
        assert_eq!(link_among(&[other.clone(), its.clone()], &plan), "vboxnet1");
        assert_eq!(link_among(&[its, ours], &plan), plan.id.link());
        assert_eq!(link_among(&[other], &plan), plan.id.link());
    }
}
