//! VirtualBox: machines on a host-only network of their instance.
//!
//! Vagrant and VirtualBox, left alone, leak in three ways: each machine has an adapter of its own to NAT, a process of the
//! workstation that reaches what the workstation reaches; Vagrant takes any host-only adapter that happens to have the
//! right network; and a machine shares clipboard, USB and folders with the workstation. So the adapter is made here and
//! watched by the host guard before it has an address, machines are unplugged from NAT as soon as Vagrant is done, and the
//! Vagrantfile switches the rest off. While Vagrant provisions, NAT is open.
//!
//! It was written from the manuals: no machine of the tests can run VirtualBox. See `tests`.

mod adapters;
mod error;
mod machines;
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
use crate::spec::Provider;

use super::super::engines::Removal;
use super::super::{EngineError, Lack};
use super::hypervisor::{Hypervisor, Machine};
use super::networks_conf;
use crate::plan::Power;
use crate::sighting::{Sighting, SightingKind};

use adapters::Mark;
use machines::Disk;
use vboxmanage::VBoxManage;
use wires::{HostWires, Wires};

pub use error::VirtualBoxError;

/// The ranges in which VirtualBox makes host-only networks on this host.
///
/// # Errors
/// [`VirtualBoxError::NetworksConf`] when the file that says so cannot be read.
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
    /// Where subnets of instances are drawn from.
    subnets: Option<Ipv4Net>,
    patience: Patience,
}

/// How long machines may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// To shut down by themselves.
    shut_down: Duration,
    /// To be let go of when they have no power any more.
    release: Duration,
}

impl VirtualBox {
    /// The hypervisor of this host; no address of `pools` will leave it, and subnets are drawn from the first of them.
    pub(super) fn new(pools: Vec<Ipv4Net>, host: Arc<dyn Runner>) -> Self {
        Self {
            tool: VBoxManage::new(Arc::clone(&host)),
            subnets: pools.first().copied(),
            wires: Arc::new(HostWires { pools, host }),
            networks_conf: networks_conf::PATH.into(),
            patience: Patience { shut_down: Duration::from_secs(120), release: Duration::from_secs(20) },
        }
    }

    /// The names of all machines of a home. A host without VirtualBox has none.
    async fn names(&self, home: &str) -> Result<Vec<String>, VirtualBoxError> {
        let prefix = InstanceId::prefix(home);
        let all = or_none(self.tool.list("vms").await)?.unwrap_or_default();
        Ok(machines::names(&all).into_iter().filter(|name| name.starts_with(&prefix)).collect())
    }

    async fn disks(&self) -> Result<Vec<Disk>, VirtualBoxError> {
        Ok(machines::disks(&or_none(self.tool.list("hdds").await)?.unwrap_or_default()))
    }

    async fn remove_disk(&self, disk: &Disk) -> Result<bool, VirtualBoxError> {
        let told = ["closemedium", "disk", &disk.uuid, "--delete"];
        self.tool.tell_slowly("remove disk", &disk.location, told).await.map(|_| true)
    }

    /// Takes away disks whose machine is gone, and the network.
    async fn clear_all(&self, id: &InstanceId) -> Result<bool, EngineError> {
        let mut removal = Removal::default();
        let Some(disks) = or_none(self.tool.list("hdds").await)? else { return Ok(false) };
        let ours = format!("{}.", id.scope());
        for disk in machines::disks(&disks).iter().filter(|disk| disk.folder(&ours).is_some()) {
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
        let machines = self.names(home).await?.into_iter();
        let machines = machines.map(|name| sighting(SightingKind::Machine, &name.clone(), name));
        let disks = self.disks().await?;
        let disks = disks
            .iter()
            .map(|disk| sighting(SightingKind::Volume, disk.folder(&prefix)?, disk.location.clone()));
        let Some(adapters) = or_none(self.tool.list("hostonlyifs").await)? else { return Ok(Vec::new()) };
        let adapters = adapters::adapters(&adapters);
        let marks = self.marks().await?.into_iter().filter(|mark| mark.id.home == home);
        // A mark without its adapter is seen, too: it goes by the same way.
        let networks = marks.map(|mark| match adapters.iter().any(|adapter| mark.is_of(adapter)) {
            true => Some(Sighting { instance: mark.id.name, kind: SightingKind::Link, name: mark.adapter }),
            false => sighting(SightingKind::Network, &mark.id.scope(), Mark::key(&mark.id)),
        });
        Ok(machines.chain(disks).chain(networks).flatten().collect())
    }
}

/// Reads an answer of VBoxManage's in each form in which we ask it.
///
/// # Panics
/// When a mark cannot be read as it was written, or a disk comes before one that grows from it.
#[cfg(feature = "fuzzing")]
pub fn read_virtualbox(answer: &str) {
    machines::names(answer);
    drop(machines::Description::read("machine", answer));
    let disks = machines::disks(answer);
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

/// An answer, or nothing on a host without VirtualBox: there is nothing of ours either.
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

    /// Since version 6.1 it runs on hardware virtualisation alone.
    fn is_emulated(&self) -> bool {
        false
    }

    fn preflight(&self) -> BoxFuture<'_, Vec<Lack>> {
        Box::pin(self.lacks())
    }

    fn configure(&self, _: &ClusterPlan) -> String {
        vagrantfile::common()
    }

    fn configure_node(&self, plan: &ClusterPlan, node: &NodePlan) -> String {
        vagrantfile::of_node(plan, node)
    }

    /// The box is imported by Vagrant, once for all instances: their disks are differences to it.
    fn prepare<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { Ok(self.make_network(plan).await?) })
    }

    /// Vagrant imports it, as the machine that all others are clones of.
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

    fn machines<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Machine>, EngineError>> {
        Box::pin(async move {
            let mut machines = Vec::new();
            for name in self.names(home).await? {
                // It may have gone in between.
                let machine = self.describe(&name).await?;
                machines.extend(machine.map(|machine| Machine { name, state: machine.state.known() }));
            }
            Ok(machines)
        })
    }

    fn power<'a>(&'a self, machine: &'a Machine, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(self.obey(&machine.name, power))
    }

    fn remove<'a>(&'a self, machine: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { Ok(self.end(machine).await?) })
    }

    fn clear<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(self.clear_all(id))
    }

    fn sightings<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Sighting>, EngineError>> {
        Box::pin(async move { Ok(self.see(home).await?) })
    }
}
