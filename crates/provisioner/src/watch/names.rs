//! Finds the instance and the name for an address or a link, by the plans of this home's instances. Pure, but for
//! reading the registry.

use std::net::IpAddr;

use crate::plan::ClusterPlan;
use crate::provision::Provisioner;

/// The plans of this home's instances.
#[derive(Debug)]
pub(super) struct Names {
    plans: Vec<ClusterPlan>,
}

impl Names {
    pub(super) fn of(provisioner: &Provisioner) -> Self {
        let instances = provisioner.registry().instances().unwrap_or_default();
        let plan = |instance| ClusterPlan::of(instance, provisioner.home());
        Self { plans: instances.iter().map(plan).collect() }
    }

    /// The instance whose link this is.
    pub(super) fn of_link(&self, link: &str) -> Option<&str> {
        let is_its = |plan: &&ClusterPlan| plan.id.link() == link || plan.id.management_link() == link;
        self.plans.iter().find(is_its).map(|plan| plan.id.name.as_str())
    }

    /// The instance whose networks contain an address.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<&str> {
        self.plan_of(address).map(|plan| plan.id.name.as_str())
    }

    /// The name for an address, such as `node acme-w-1`, `gateway of acme`, `pod of acme on acme-w-1`, `service of
    /// acme`. `None` for an address outside of all networks.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<String> {
        let IpAddr::V4(v4) = address else { return None };
        let plan = self.plan_of(address)?;
        let name = &plan.id.name;
        if let Some(node) = plan.nodes.iter().find(|node| node.address == v4) {
            return Some(format!("node {}", node.name));
        }
        if let Some((_, node)) = self.pod_node(address) {
            return Some(format!("pod of {name} on {node}"));
        }
        Some(match () {
            () if plan.gateway == v4 => format!("gateway of {name}"),
            () if plan.api_address == v4 => format!("API server of {name}"),
            () if plan.service_cidr.contains(&v4) => format!("service of {name}"),
            () => format!("network of {name}"),
        })
    }

    /// The instance and the node of a pod with this address.
    pub(super) fn pod_node(&self, address: IpAddr) -> Option<(&str, &str)> {
        let IpAddr::V4(v4) = address else { return None };
        self.plans.iter().find_map(|plan| {
            let node = plan.nodes.iter().find(|node| node.pod_cidr.contains(&v4))?;
            Some((plan.id.name.as_str(), node.name.as_str()))
        })
    }

    fn plan_of(&self, address: IpAddr) -> Option<&ClusterPlan> {
        let IpAddr::V4(v4) = address else { return None };
        self.plans.iter().find(|plan| {
            [plan.subnet, plan.pod_cidr, plan.service_cidr].iter().any(|network| network.contains(&v4))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Role;
    use crate::plan::tests::acme;

    #[test]
    fn addresses_and_links_are_shown_with_the_names_of_their_nodes_pods_and_services() {
        let known = Names { plans: vec![acme()] };
        let plan = &known.plans[0];
        let node = plan.nodes.iter().find(|node| node.role == Role::Worker).expect("acme has workers");
        let pod = node.pod_cidr.hosts().nth(4).expect("pods have addresses");
        let service = plan.service_cidr.hosts().nth(9).expect("services have addresses");
        let told = [node.address, plan.gateway, pod, service].map(|it| known.name_of(it.into()));
        let told: Vec<String> = told.into_iter().flatten().collect();
        assert_eq!(told, ["node acme-w-1", "gateway of acme", "pod of acme on acme-w-1", "service of acme"]);
        assert_eq!(known.pod_node(pod.into()), Some(("acme", "acme-w-1")));
        assert_eq!(known.of_link(&plan.id.link()), Some("acme"));
        assert_eq!((known.of_link("eth0"), known.name_of([8, 8, 8, 8].into())), (None, None));
    }
}
