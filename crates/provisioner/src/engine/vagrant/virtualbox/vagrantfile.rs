//! The lines of a Vagrantfile for VirtualBox. Pure.
//!
//! VirtualBox 7.0 user manual, 8.10 "VBoxManage modifyvm"; Vagrant 2.3, "VirtualBox Provider". Vagrant applies
//! customizations right before a VM boots, so they override Vagrant's own settings.

use crate::plan::{ClusterPlan, NodePlan};

/// Settings that would open a way from a VM to the host, or through the host to another VM.
const OFF: [(&str, &str); 12] = [
    // NAT is a process on the host and reaches all that the host reaches, including its loopback.
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

/// The lines for all VMs. The kernel of the box has a driver for virtio network cards only.
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

/// The lines for one VM. Vagrant finds the host-only adapter by its network: before Vagrant runs, the adapter exists
/// and is the only one in this network.
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
        memory = plan.size.memory_mib,
    )
}
