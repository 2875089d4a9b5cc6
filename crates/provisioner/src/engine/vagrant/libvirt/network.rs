//! The two networks of an instance, in libvirt's XML (libvirt.org, "Network XML format"). Pure.

use ipnet::Ipv4Net;

use crate::plan::{ClusterPlan, InstanceId};

/// A network without a way out: without `<forward>`, libvirt calls it isolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) name: String,
    /// The name of its bridge, which is a link on the host.
    pub(super) bridge: String,
    /// Its addresses. The host has the first one.
    subnet: Ipv4Net,
    /// Whether VMs get their addresses by DHCP.
    has_dhcp: bool,
}

/// The network of an instance's nodes.
pub(super) fn private_name(id: &InstanceId) -> String {
    id.scope()
}

/// The network on which Vagrant finds the VMs of an instance.
pub(super) fn management_name(id: &InstanceId) -> String {
    format!("{}.management", id.scope())
}

impl Network {
    /// The networks of a plan. The management network is missing if the plan has none.
    pub(super) fn all(plan: &ClusterPlan) -> Vec<Self> {
        let private = Self {
            name: private_name(&plan.id),
            bridge: plan.id.link(),
            subnet: plan.subnet,
            has_dhcp: false,
        };
        let management = plan.management.map(|subnet| Self {
            name: management_name(&plan.id),
            bridge: plan.id.management_link(),
            subnet,
            has_dhcp: true,
        });
        std::iter::once(private).chain(management).collect()
    }

    /// The XML for `virsh net-define`. It has no name server, which would answer clients with names that only the host
    /// should know.
    pub(super) fn xml(&self) -> String {
        let Self { name, bridge, subnet, has_dhcp } = self;
        let (host, netmask) = (self.host(), subnet.netmask());
        let mut others = subnet.hosts().filter(|address| *address != host);
        let dhcp = match (others.next(), others.next_back()) {
            (Some(first), Some(last)) if *has_dhcp => {
                format!("    <dhcp>\n      <range start='{first}' end='{last}'/>\n    </dhcp>\n")
            }
            _ => String::new(),
        };
        format!(
            "\
<network>
  <name>{name}</name>
  <bridge name='{bridge}' stp='off' delay='0'/>
  <dns enable='no'/>
  <ip address='{host}' netmask='{netmask}'>
{dhcp}  </ip>
</network>
"
        )
    }

    /// Whether `xml`, the answer of `virsh net-dumpxml`, describes this network: the same bridge and address, and no
    /// forwarding.
    pub(super) fn is_described_by(&self, xml: &str) -> bool {
        let bridge = format!("<bridge name='{}'", self.bridge);
        let address = format!("<ip address='{}'", self.host());
        xml.contains(&bridge) && xml.contains(&address) && !xml.contains("<forward")
    }

    fn host(&self) -> std::net::Ipv4Addr {
        self.subnet.hosts().next().unwrap_or_else(|| self.subnet.addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::acme_in_vms;

    #[test]
    fn neither_network_is_forwarded_and_only_the_management_network_has_dhcp() {
        let all: Vec<String> = Network::all(&acme_in_vms()).iter().map(Network::xml).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_network_of_the_same_name_with_another_definition_is_foreign() {
        let network = &Network::all(&acme_in_vms())[0];
        assert!(network.is_described_by(&network.xml()));
        let forwarded = network.xml().replace("<dns", "<forward mode='nat'/>\n  <dns");
        assert!(!network.is_described_by(&forwarded));
        assert!(!network.is_described_by(&network.xml().replace("192.168.60.1", "192.168.121.1")));
        assert!(!network.is_described_by(&network.xml().replace(&network.bridge, "virbr0")));
    }
}
