//! VMs on QEMU by way of libvirt, on networks that homelab makes.
//!
//! By default, vagrant-libvirt forwards a client's network to other networks, and puts the VMs of all clients on one
//! management network. So both networks of an instance are made here, before Vagrant runs: bridges whose names the host
//! guard watches, no forwarding, no name server, and DHCP only on the management network, where Vagrant finds a VM by
//! its lease. The Vagrantfile has Vagrant use these networks and never remove them.

mod network;
mod virsh;

use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::Ipv4Net;

use crate::exec::Runner;
use crate::fabric;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::request::Provider;

use super::super::{EngineError, MissingRequirement};
use super::NodeBox;
use super::hypervisor::{Hypervisor, Vm, VmState};
use super::kvm;
use super::preflight;
use crate::plan::Power;
use crate::sighting::{Sighting, SightingKind};
use network::Network;
use virsh::Virsh;

/// The libvirt of this host.
#[derive(Debug, Clone)]
pub(super) struct Libvirt {
    virsh: Virsh,
    pools: Vec<Ipv4Net>,
    driver: Driver,
    host: Arc<dyn Runner>,
}

/// The way in which QEMU runs a VM's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// On the host's processor, through KVM.
    Kvm,
    /// On an emulated processor: QEMU translates each instruction.
    Emulated,
}

impl Driver {
    /// The lines of a Vagrantfile that choose it.
    ///
    /// An emulated processor has only the features that make programs faster. With AVX, Go's own code takes longer
    /// under emulation (measured: 50 instead of 40 s of QEMU's time for a boot and some kubeadm).
    fn configure(self) -> String {
        match self {
            Self::Kvm => "  libvirt.driver = \"kvm\"\n  libvirt.cpu_mode = \"host-passthrough\"\n".to_owned(),
            Self::Emulated => {
                let features = ["popcnt", "sse4.1", "sse4.2", "ssse3"];
                let feature = |name| format!("  libvirt.cpu_feature name: \"{name}\", policy: \"require\"\n");
                let features: String = features.into_iter().map(feature).collect();
                let model = "  libvirt.cpu_mode = \"custom\"\n  libvirt.cpu_model = \"qemu64\"\n";
                format!("  libvirt.driver = \"qemu\"\n{model}{features}")
            }
        }
    }

    /// KVM if this host has it, otherwise emulation.
    pub(super) fn of_host() -> Self {
        if kvm::usable().is_ok() { Self::Kvm } else { Self::Emulated }
    }
}

impl Libvirt {
    /// The hypervisor of this host. The host guard lets no address of `pools` leave the host.
    pub(super) fn new(pools: Vec<Ipv4Net>, driver: Driver, host: Arc<dyn Runner>) -> Self {
        Self { virsh: Virsh::new(Arc::clone(&host)), pools, driver, host }
    }

    /// Makes a network if it does not exist, and starts it if it does not run. A different network of the same
    /// name is [`EngineError::Foreign`].
    async fn make(&self, network: &Network) -> Result<(), EngineError> {
        match self.virsh.network(&network.name).await? {
            None => self.virsh.define_network(&network.xml()).await?,
            Some(there) if network.is_described_by(&there) => {}
            Some(_) => {
                let what = format!("a network named {}", network.name);
                return Err(EngineError::Foreign { what });
            }
        }
        self.virsh.start_network(&network.name).await?;
        fabric::harden(&network.bridge).await.map_err(wires(&network.name))
    }

    async fn clear_all(&self, id: &InstanceId) -> Result<bool, EngineError> {
        if !self.virsh.is_there().await {
            return Ok(false);
        }
        let mut found = false;
        for volume in self.virsh.volumes().await?.iter().filter(|name| is_of(name, id)) {
            self.virsh.delete_volume(volume).await?;
            found = true;
        }
        for network in self.virsh.networks().await? {
            if network == network::private_name(id) || network == network::management_name(id) {
                self.virsh.remove_network(&network).await?;
                found = true;
            }
        }
        fabric::lower(self.host.as_ref()).await.map_err(wires(&id.name))?;
        Ok(found)
    }
}

/// Whether a name on the host belongs to a VM of this instance: it begins with the instance's scope and a dot. The
/// names of instances have no dots.
fn is_of(name: &str, id: &InstanceId) -> bool {
    name.strip_prefix(&id.scope()).is_some_and(|rest| rest.starts_with('.'))
}

fn wires(of: &str) -> impl FnOnce(fabric::FabricError) -> EngineError {
    let instance = of.to_owned();
    move |source| EngineError::Wires { instance, source: Box::new(source) }
}

impl Hypervisor for Libvirt {
    fn provider(&self) -> Provider {
        Provider::Libvirt
    }

    fn is_emulated(&self) -> bool {
        self.driver == Driver::Emulated
    }

    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>> {
        Box::pin(async move {
            let mut lacks = preflight::programs(&preflight::LIBVIRT);
            if lacks.is_empty() && !self.virsh.is_there().await {
                lacks.push(preflight::no_daemon());
            }
            lacks
        })
    }

    fn configure(&self, plan: &ClusterPlan) -> String {
        let management = network::management_name(&plan.id);
        let subnet = plan.management.map(|net| net.to_string()).unwrap_or_default();
        format!(
            "\
config.vm.provider :libvirt do |libvirt|
  libvirt.uri = \"{uri}\"
{driver}  libvirt.default_prefix = \"{scope}.\"
  libvirt.storage_pool_name = \"{pool}\"
  libvirt.management_network_name = \"{management}\"
  libvirt.management_network_address = \"{subnet}\"
  libvirt.management_network_mode = \"none\"
  libvirt.management_network_keep = true
  libvirt.graphics_type = \"none\"
  libvirt.video_type = \"none\"
end
",
            uri = virsh::URI,
            driver = self.driver.configure(),
            scope = plan.id.scope(),
            pool = virsh::POOL,
        )
    }

    fn configure_node(&self, plan: &ClusterPlan, node: &NodePlan) -> String {
        format!(
            "\
node.vm.network :private_network, ip: \"{address}\", netmask: \"{netmask}\",
  libvirt__network_name: \"{network}\", libvirt__forward_mode: \"none\",
  libvirt__dhcp_enabled: false, libvirt__always_destroy: false
node.vm.provider :libvirt do |libvirt|
  libvirt.cpus = {cpus}
  libvirt.memory = {memory}
end
",
            address = node.address,
            netmask = plan.subnet.netmask(),
            network = network::private_name(&plan.id),
            cpus = plan.size.cpus,
            memory = plan.size.memory_mib,
        )
    }

    fn prepare<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            self.virsh.make_pool().await?;
            let networks = Network::all(plan);
            let bridges = networks.iter().map(|network| fabric::GuardedLink::Bridge(network.bridge.clone()));
            let bridges: Vec<fabric::GuardedLink> = bridges.collect();
            fabric::guard(&self.pools, &bridges, self.host.as_ref()).await.map_err(wires(&plan.id.name))?;
            for network in networks {
                self.make(&network).await?;
            }
            Ok(())
        })
    }

    fn keep<'a>(&'a self, image: &'a NodeBox) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.virsh.keep(image))
    }

    /// Nothing to do: both networks have no way out from the moment when they are made.
    fn seal<'a>(&'a self, _: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn vms<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Vm>, EngineError>> {
        Box::pin(async move {
            let prefix = InstanceId::prefix(home);
            if !self.virsh.is_there().await {
                return Ok(Vec::new());
            }
            let vms = self.virsh.vms().await?.into_iter();
            Ok(vms.filter(|vm| vm.name.starts_with(&prefix)).collect())
        })
    }

    fn power<'a>(&'a self, vm: &'a Vm, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            match (power, vm.state) {
                (Power::Pause, VmState::Running) => self.virsh.suspend(&vm.name).await,
                (Power::Resume, VmState::Paused) => self.virsh.resume(&vm.name).await,
                (Power::Halt, VmState::Running) => self.virsh.shut_down(&vm.name).await,
                (Power::Start, VmState::Off) => self.virsh.start(&vm.name).await,
                _ => Ok(()),
            }
        })
    }

    fn remove<'a>(&'a self, vm: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.virsh.remove(vm))
    }

    fn clear<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(self.clear_all(id))
    }

    fn sightings<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Sighting>, EngineError>> {
        Box::pin(async move {
            if !self.virsh.is_there().await {
                return Ok(Vec::new());
            }
            let vms = self.virsh.vms().await?.into_iter().map(|vm| vm.name);
            let vms = vms.map(|name| (SightingKind::Vm, name));
            let volumes = self.virsh.volumes().await?.into_iter().map(|name| (SightingKind::Volume, name));
            let networks = self.virsh.networks().await?.into_iter().map(|name| (SightingKind::Network, name));
            let prefix = InstanceId::prefix(home);
            let all = vms.chain(volumes).chain(networks).filter_map(|(kind, name)| {
                let instance = name.strip_prefix(&prefix)?.split('.').next()?.to_owned();
                Some(Sighting { instance, kind, name })
            });
            Ok(all.collect())
        })
    }
}
