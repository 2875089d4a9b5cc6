//! VMs on VirtualBox, each on a host-only network of its instance.
//!
//! By default, Vagrant and VirtualBox leak in three ways. Each VM has a network card on NAT, which is a process of the
//! host and reaches all that the host reaches. Vagrant uses any host-only adapter that has the right network. VMs share
//! clipboard, USB and folders with the host. So the adapter is made here, and the host guard watches it before it has
//! an address; VMs are disconnected from NAT as soon as Vagrant is done; the Vagrantfile switches the sharing off.
//! While Vagrant provisions, NAT is open.
//!
//! This module was written from the manuals: no host of the tests can run VirtualBox. See `tests`.

mod adapters;
mod error;
mod vms;
mod networks;
mod power;
mod preflight;
mod vagrantfile;
mod vboxmanage;
mod wires;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::BoxFuture;
use ipnet::Ipv4Net;

use crate::assets::NodeBox;
use crate::exec::Runner;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::request::Provider;

use super::super::engines::Removal;
use super::super::{EngineError, MissingRequirement};
use super::hypervisor::{Hypervisor, Vm};
use super::networks_conf;
use crate::plan::Power;
use crate::sighting::{Sighting, SightingKind};

use adapters::Mark;
use vboxmanage::VBoxManage;
use vms::Disk;
use wires::{HostWires, Wires};

pub use error::VirtualBoxError;

/// The ranges in which VirtualBox allows host-only networks on this host.
///
/// # Errors
/// [`VirtualBoxError::NetworksConf`] when the file with the ranges cannot be read.
pub(crate) fn allowed_ranges() -> Result<Vec<Ipv4Net>, VirtualBoxError> {
    Ok(networks_conf::allowed(conf_at(Utf8Path::new(networks_conf::PATH))?.as_deref()))
}

fn conf_at(path: &Utf8Path) -> Result<Option<String>, VirtualBoxError> {
    networks_conf::read(path)
        .map_err(|source| VirtualBoxError::NetworksConf { path: path.to_owned(), source })
}

/// The VirtualBox of this host.
#[derive(Debug, Clone)]
pub(super) struct VirtualBox {
    tool: VBoxManage,
    wires: Arc<dyn Wires>,
    networks_conf: Utf8PathBuf,
    /// The pool that the subnets of instances are taken from.
    subnets: Option<Ipv4Net>,
    timeouts: Timeouts,
}

/// Time-outs for VMs.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For a VM's own shutdown.
    shut_down: Duration,
    /// For the end of a VM's process after power-off: until then the VM is locked.
    release: Duration,
}

impl VirtualBox {
    /// The hypervisor of this host. The host guard lets no address of `pools` leave the host. Subnets of instances are
    /// taken from the first pool.
    pub(super) fn new(pools: Vec<Ipv4Net>, host: Arc<dyn Runner>) -> Self {
        Self {
            tool: VBoxManage::new(Arc::clone(&host)),
            subnets: pools.first().copied(),
            wires: Arc::new(HostWires { pools, host }),
            networks_conf: networks_conf::PATH.into(),
            timeouts: Timeouts { shut_down: Duration::from_secs(120), release: Duration::from_secs(20) },
        }
    }

    /// The names of all VMs of a home. A host without VirtualBox has none.
    async fn names(&self, home: &str) -> Result<Vec<String>, VirtualBoxError> {
        let prefix = InstanceId::prefix(home);
        let all = or_none(self.tool.list("vms").await)?.unwrap_or_default();
        Ok(vms::names(&all).into_iter().filter(|name| name.starts_with(&prefix)).collect())
    }

    async fn disks(&self) -> Result<Vec<Disk>, VirtualBoxError> {
        Ok(vms::disks(&or_none(self.tool.list("hdds").await)?.unwrap_or_default()))
    }

    async fn remove_disk(&self, disk: &Disk) -> Result<bool, VirtualBoxError> {
        let told = ["closemedium", "disk", &disk.uuid, "--delete"];
        self.tool.tell_slowly("remove disk", &disk.location, told).await.map(|_| true)
    }

    /// Removes the disks of VMs that are gone, and the network.
    async fn clear_all(&self, id: &InstanceId) -> Result<bool, EngineError> {
        let mut removal = Removal::default();
        let Some(disks) = or_none(self.tool.list("hdds").await)? else { return Ok(false) };
        let ours = format!("{}.", id.scope());
        for disk in vms::disks(&disks).iter().filter(|disk| disk.folder(&ours).is_some()) {
            removal.note(self.remove_disk(disk).await.map_err(EngineError::from));
        }
        removal.note(self.remove_network(id).await.map_err(EngineError::from));
        removal.end(&id.name)
    }

    async fn see(&self, home: &str) -> Result<Vec<Sighting>, VirtualBoxError> {
        let prefix = InstanceId::prefix(home);
        let sighting = |kind, scope: &str, name: String| {
            let instance = scope.strip_prefix(&prefix)?.split('.').next()?.to_owned();
            Some(Sighting { instance, kind, name })
        };
        let vms = self.names(home).await?.into_iter();
        let vms = vms.map(|name| sighting(SightingKind::Vm, &name.clone(), name));
        let disks = self.disks().await?;
        let disks = disks
            .iter()
            .map(|disk| sighting(SightingKind::Volume, disk.folder(&prefix)?, disk.location.clone()));
        let Some(adapters) = or_none(self.tool.list("hostonlyifs").await)? else { return Ok(Vec::new()) };
        let adapters = adapters::adapters(&adapters);
        let marks = self.marks().await?.into_iter().filter(|mark| mark.id.home == home);
        // A mark without its adapter is a sighting, too, because `clear` removes it in the same way.
        let networks = marks.map(|mark| match adapters.iter().any(|adapter| mark.is_of(adapter)) {
            true => Some(Sighting { instance: mark.id.name, kind: SightingKind::Link, name: mark.adapter }),
            false => sighting(SightingKind::Network, &mark.id.scope(), Mark::key(&mark.id)),
        });
        Ok(vms.chain(disks).chain(networks).flatten().collect())
    }
}

/// Reads an answer of VBoxManage in each form that the hypervisor asks for.
///
/// # Panics
/// When a mark is read differently after it was written, or a disk comes before a disk that is based on it.
#[cfg(feature = "fuzzing")]
pub fn read_virtualbox(answer: &str) {
    vms::names(answer);
    drop(vms::Description::read("machine", answer));
    let disks = vms::disks(answer);
    let uuids: std::collections::BTreeSet<&str> = disks.iter().map(|disk| disk.uuid.as_str()).collect();
    let has_circle = disks.iter().any(|disk| {
        let parent = |disk: &&Disk| disks.iter().find(|it| it.uuid == disk.parent);
        std::iter::successors(Some(disk), parent).nth(disks.len()).is_some()
    });
    for (place, disk) in disks.iter().enumerate().filter(|_| !has_circle && uuids.len() == disks.len()) {
        assert!(disk.folder("homelab-").is_none_or(|folder| disk.location.contains(folder)), "{disk:?}");
        let is_early = disks[place + 1..].iter().any(|later| later.parent == disk.uuid);
        assert!(!is_early, "{disk:?} comes too early in {disks:?}");
    }
    let adapters = adapters::adapters(answer);
    let marks = Mark::all(answer);
    for mark in &marks {
        let written = format!("Key: {}, Value: {}\n", Mark::key(&mark.id), mark.value());
        let again = Mark::all(&written);
        assert_eq!(again, std::slice::from_ref(mark), "{written}");
        let own = adapters.iter().filter(|adapter| mark.is_of(adapter));
        own.for_each(|adapter| assert_eq!(adapter.name, mark.adapter));
    }
    if let Some(adapter) = adapters::created(answer) {
        adapters::has_dhcp(answer, &adapter);
    }
    preflight::read(answer);
}

/// The answer; `None` on a host without VirtualBox, which has nothing of ours.
fn or_none<T>(answer: Result<T, VirtualBoxError>) -> Result<Option<T>, VirtualBoxError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(VirtualBoxError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Hypervisor for VirtualBox {
    fn provider(&self) -> Provider {
        Provider::Virtualbox
    }

    /// Never: since version 6.1, VirtualBox needs hardware virtualisation.
    fn is_emulated(&self) -> bool {
        false
    }

    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>> {
        Box::pin(self.lacks())
    }

    fn configure(&self, _: &ClusterPlan) -> String {
        vagrantfile::common()
    }

    fn configure_node(&self, plan: &ClusterPlan, node: &NodePlan) -> String {
        vagrantfile::of_node(plan, node)
    }

    fn prepare<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { Ok(self.make_network(plan).await?) })
    }

    /// Nothing to do: Vagrant imports the box once for all instances, as a VM. All other VMs are linked clones of it,
    /// and their disks keep the differences.
    fn keep<'a>(&'a self, _: &'a NodeBox) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn seal<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut sealed = Ok(());
            for node in &plan.nodes {
                sealed = sealed.and(self.seal_node(plan, node).await);
            }
            sealed
        })
    }

    fn vms<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Vm>, EngineError>> {
        Box::pin(async move {
            let mut vms = Vec::new();
            for name in self.names(home).await? {
                // The VM may have been removed meanwhile.
                let vm = self.describe(&name).await?;
                vms.extend(vm.map(|vm| Vm { name, state: vm.state.known() }));
            }
            Ok(vms)
        })
    }

    fn power<'a>(&'a self, vm: &'a Vm, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.obey(&vm.name, power))
    }

    fn remove<'a>(&'a self, vm: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { Ok(self.end(vm).await?) })
    }

    fn clear<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(self.clear_all(id))
    }

    fn sightings<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Sighting>, EngineError>> {
        Box::pin(async move { Ok(self.see(home).await?) })
    }
}
