//! The Vagrantfile of an instance. Pure.
//!
//! Every value in it is a DNS label, an address, a number or a name that homelab made, so no value needs quoting in
//! Ruby.

use std::time::Duration;

use crate::plan::ClusterPlan;

use super::NodeBox;
use super::hypervisor::Hypervisor;

/// Time-out for Vagrant's first login to a VM, before stretching: a boot takes 25 s under emulation, and several VMs
/// may boot at once.
const BOOT: Duration = Duration::from_secs(90);
/// Time-out for a VM's own shutdown, in seconds.
const HALT: u32 = 120;

/// The Vagrantfile of a plan, whose VMs are made from this box.
///
/// Instances share the box, which is only read, and nothing else: no synced folder, no key, no network.
pub(super) fn vagrantfile(plan: &ClusterPlan, node_box: &NodeBox, hypervisor: &dyn Hypervisor) -> String {
    let nodes: String = plan
        .nodes
        .iter()
        .map(|node| {
            let name = &node.name;
            let own = indented(&hypervisor.configure_node(plan, node), 4);
            format!(
                "\n  config.vm.define \"{name}\" do |node|\n    node.vm.hostname = \"{name}\"\n{own}  end\n"
            )
        })
        .collect();
    format!(
        "\
# Written by homelab for instance {instance}: changes are lost.
Vagrant.configure(\"2\") do |config|
  config.vm.box = \"{name}\"
  config.vm.box_version = \"{version}\"
  config.vm.box_check_update = false
  config.vm.guest = :debian
  config.vm.boot_timeout = {boot}
  config.vm.graceful_halt_timeout = {HALT}
  config.vm.allow_hosts_modification = false
  config.vm.allow_fstab_modification = false
  config.vm.synced_folder \".\", \"/vagrant\", disabled: true
  config.ssh.insert_key = true
  config.ssh.forward_agent = false
{common}{nodes}end
",
        instance = plan.id,
        boot = plan.platform.slowdown.stretch(BOOT).as_secs(),
        name = node_box.name,
        version = node_box.version,
        common = indented(&hypervisor.configure(plan), 2),
    )
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::vagrant::libvirt::{Driver, Libvirt};
    use crate::exec::Scripted;
    use crate::plan::tests::acme_in_vms;

    #[test]
    fn a_vagrantfile_has_each_node_with_its_address_and_nothing_that_instances_share_but_the_box() {
        let libvirt = Libvirt::new(Vec::new(), Driver::Emulated, Arc::new(Scripted::new([])));
        insta::assert_snapshot!(vagrantfile(&acme_in_vms(), &node_box(), &libvirt));
    }

    fn node_box() -> NodeBox {
        NodeBox {
            name: "homelab/0123456789abcdef".to_owned(),
            version: "1.36.3".to_owned(),
            catalogue: "/cache/box.json".into(),
            disk: "/cache/box.img".into(),
        }
    }
}
