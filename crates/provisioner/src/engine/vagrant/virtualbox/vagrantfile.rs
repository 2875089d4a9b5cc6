//! What a Vagrantfile says to VirtualBox. Pure.
//!
//! VirtualBox 7.0 user manual, 8.10 "VBoxManage modifyvm"; Vagrant 2.3, "VirtualBox Provider". Vagrant hands customizations
//! to VirtualBox last before a machine boots, so they win over what Vagrant does by itself.

use crate::plan::{ClusterPlan, NodePlan};

/// What is switched off: ways from a machine to the workstation, and from one machine by way of it to another.
const OFF: [(&str, &str); 12] = [
    // NAT runs as a process on the workstation and reaches whatever that does, its loopback included.
    ("--nat-localhostreachable1", "off"),
    ("--nat-dns-proxy1", "off"),
    ("--nat-dns-host-resolver1", "off"),
    ("--nic-promisc2", "deny"),
    ("--clipboard-mode", "disabled"),
    ("--drag-and-drop", "disabled"),
    ("--usb-ohci", "off"),
    ("--usb-ehci", "off"),
    ("--usb-xhci", "off"),
    ("--audio-enabled", "off"),
    ("--vrde", "off"),
    ("--teleporter", "off"),
];

/// The lines for all machines. The kernel of the box knows virtio and no other network card.
pub(super) fn common() -> String {
    let off =
        OFF.map(|(option, value)| format!("  vb.customize [\"modifyvm\", :id, \"{option}\", \"{value}\"]\n"));
    format!(
        "\
config.vm.provider :virtualbox do |vb|
  vb.gui = false
  vb.linked_clone = true
  vb.check_guest_additions = false
  vb.functional_vboxsf = false
  vb.auto_nat_dns_proxy = false
  vb.default_nic_type = \"virtio\"
{}end
",
        off.concat()
    )
}

/// The lines for one machine. Vagrant finds the adapter by its network: it is made, and known to be the only one there,
/// before Vagrant runs.
pub(super) fn of_node(plan: &ClusterPlan, node: &NodePlan) -> String {
    format!(
        "\
node.vm.network :private_network, ip: \"{address}\", netmask: \"{netmask}\",
  virtualbox__adapter: 2, virtualbox__nic_type: \"virtio\"
node.vm.provider :virtualbox do |vb|
  vb.name = \"{name}\"
  vb.cpus = {cpus}
  vb.memory = {memory}
end
",
        address = node.address,
        netmask = plan.subnet.netmask(),
        name = plan.id.node_scope(&node.name),
        cpus = plan.size.cpus,
        memory = plan.size.memory_mb,
    )
}
