//! How a hypervisor manages the machines of an instance: what follows from its plan. Pure.

use std::net::Ipv4Addr;

use provisioner::plan::ClusterPlan;
use provisioner::spec::{EngineKind, Provider};

use crate::audit::{LinkWitness, Management};

/// VirtualBox's own address on the adapter that it gives to each machine (its manual, "Network Address Translation").
const VIRTUALBOX: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The hypervisor's network; nothing where there is no hypervisor.
pub(in crate::audit) fn of(plan: &ClusterPlan) -> Option<Management> {
    let node_link = plan.machine.management_link?.to_owned();
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

/// The witnesses on the host's ends of an instance's links; none where nodes can hear each other.
pub(in crate::audit) fn link_witnesses(name: &str, plan: &ClusterPlan) -> Vec<LinkWitness> {
    if plan.nodes.len() != 1 {
        return Vec::new();
    }
    let own = LinkWitness { witness: format!("{name}/link"), link: plan.id.link(), gateway: plan.gateway };
    let management = of(plan).and_then(|management| {
        let witness = format!("{name}/management");
        Some(LinkWitness { witness, link: management.link?, gateway: management.gateway })
    });
    [own].into_iter().chain(management).collect()
}
