//! The engine that makes nodes as VMs with Vagrant, so that each client has its own kernels.
//!
//! Vagrant makes a VM from the box, gives it a key, a host name and its address, and removes it again. The
//! [`Hypervisor`] closes the ways out that Vagrant leaves open. The engine takes the list of VMs from the hypervisor
//! and never from Vagrant's records, which may miss some. A VM on which `vagrant up` did not finish is removed and made
//! again.

mod hypervisor;
pub mod kvm;
mod libvirt;
mod logs;
pub mod networks_conf;
mod preflight;
mod project;
mod vagrantfile;
mod virtualbox;

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use futures::future::{BoxFuture, join_all, try_join_all};
use ipnet::Ipv4Net;

use crate::assets::{Assets, NodeBox};
use crate::exec::{Command, CommandError, Failure, Local, OverSsh, Runner};
use crate::files::failed;
use crate::node::Node;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::request::Provider;
use crate::slowdown::{Slowdown, Stretched};

use super::engines::Removal;
use super::{Engine, EngineError, MissingRequirement};
use crate::plan::Power;
use crate::sighting::Sighting;

use hypervisor::{Hypervisor, Vm, VmState};
use libvirt::{Driver, Libvirt};
use project::{Project, Vagrant};
use virtualbox::VirtualBox;

#[cfg(feature = "fuzzing")]
pub use project::read_vagrant;
pub use virtualbox::VirtualBoxError;
pub(crate) use virtualbox::allowed_ranges;
#[cfg(feature = "fuzzing")]
pub use virtualbox::read_virtualbox;

/// Time-out for a VM from power-on to the first login, before stretching.
const BOOT: Duration = Duration::from_secs(60);

/// Makes nodes as VMs.
#[derive(Debug, Clone)]
pub struct VagrantEngine {
    home: String,
    assets: Assets,
    hypervisor: Arc<dyn Hypervisor>,
    host: Arc<dyn Runner>,
}

impl VagrantEngine {
    /// An engine for the instances of one home. The host guard lets no address of `pools` leave the host.
    pub fn new(home: impl Into<String>, provider: Provider, pools: Vec<Ipv4Net>, assets: Assets) -> Self {
        Self::on(Arc::new(Local), home, provider, pools, assets)
    }

    /// As [`Self::new`], but `host` runs the commands on the host.
    pub fn on(
        host: Arc<dyn Runner>,
        home: impl Into<String>,
        provider: Provider,
        pools: Vec<Ipv4Net>,
        assets: Assets,
    ) -> Self {
        let hypervisor: Arc<dyn Hypervisor> = match provider {
            Provider::Libvirt => Arc::new(Libvirt::new(pools, Driver::of_host(), Arc::clone(&host))),
            Provider::Virtualbox => Arc::new(VirtualBox::new(pools, Arc::clone(&host))),
        };
        Self { home: home.into(), assets, hypervisor, host }
    }

    fn project(&self, instance: &Utf8Path) -> Project {
        Project::of(instance, self.hypervisor.provider(), self.vagrant())
    }

    fn vagrant(&self) -> Vagrant {
        Vagrant::in_cache(self.assets.folder(), Arc::clone(&self.host))
    }

    fn node_box(&self, kubernetes: &str) -> Result<NodeBox, EngineError> {
        let provider = self.hypervisor.provider();
        self.assets.find_box(kubernetes, provider).ok_or_else(|| {
            let what = format!("the box of Kubernetes {kubernetes} for {provider}");
            let remedy = format!("homelab assets build --kubernetes {kubernetes} --box {provider}");
            EngineError::Preflight(vec![MissingRequirement { what, remedy }])
        })
    }

    /// The VM of a node, if it exists.
    async fn vm(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<Option<Vm>, EngineError> {
        let vms = self.hypervisor.vms(&self.home).await?;
        Ok(vm_of(plan, node, &vms).cloned())
    }

    /// Starts or resumes the complete VMs of a plan, and removes the incomplete ones. Returns the nodes that have no VM
    /// then.
    async fn wake<'a>(
        &self,
        plan: &'a ClusterPlan,
        project: &Project,
        there: &[Vm],
    ) -> Result<Vec<&'a NodePlan>, EngineError> {
        let mut missing = Vec::new();
        for node in &plan.nodes {
            match (vm_of(plan, node, there), project.id(node)) {
                (Some(vm), _) if project.is_whole(node) => {
                    let power = if vm.state == VmState::Paused { Power::Resume } else { Power::Start };
                    self.hypervisor.power(vm, power).await?;
                    continue;
                }
                (Some(vm), _) => self.hypervisor.remove(&vm.name).await?,
                // A VM whose cloning was killed does not have its name yet.
                (None, Some(id)) => self.hypervisor.remove(&id).await?,
                (None, None) => {}
            }
            project.forget(&node.name)?;
            missing.push(node);
        }
        Ok(missing)
    }

    fn handle(&self, plan: &ClusterPlan, node: &NodePlan) -> Node {
        let login = self.project(&plan.folder).login(node);
        let runner = OverSsh::new(&node.name, login, plan.platform.slowdown, Arc::clone(&self.host));
        Node::new(node.clone(), Arc::new(runner))
    }

    /// Handles on all nodes of a plan, if all of them run.
    async fn handles(&self, plan: &ClusterPlan) -> Result<Vec<Node>, EngineError> {
        let vms = self.hypervisor.vms(&self.home).await?;
        let project = self.project(&plan.folder);
        let handle = |node: &NodePlan| {
            let there = vm_of(plan, node, &vms);
            let runs = there.is_some_and(|vm| vm.state == VmState::Running);
            match runs && project.is_whole(node) {
                true => Ok(self.handle(plan, node)),
                false => Err(EngineError::Absent { node: node.name.clone() }),
            }
        };
        plan.nodes.iter().map(handle).collect()
    }

    /// Removes VMs from the hypervisor, and returns whether there were any. The caller has Vagrant destroy them first,
    /// so that Vagrant forgets them.
    async fn remove(&self, vms: &[Vm]) -> Result<bool, EngineError> {
        for vm in vms {
            self.hypervisor.remove(&vm.name).await?;
        }
        Ok(!vms.is_empty())
    }
}

impl Engine for VagrantEngine {
    fn is_emulated(&self) -> bool {
        self.hypervisor.is_emulated() || Slowdown::of_host() == Slowdown::EMULATED
    }

    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>> {
        Box::pin(async move {
            let mut lacks = self.hypervisor.preflight().await;
            if lacks.is_empty() && self.hypervisor.provider() == Provider::Libvirt {
                lacks.extend(self.vagrant().lacks_plugin().await);
            }
            lacks
        })
    }

    fn create<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(async move {
            let image = self.node_box(&plan.kubernetes)?;
            // `assets prune` must not remove the box before the hypervisor and Vagrant have copies.
            let lock = |source| EngineError::File(failed("lock", self.assets.folder())(source));
            let _held = self.assets.hold().await.map_err(lock)?;
            let project = self.project(&plan.folder);
            let there = self.hypervisor.vms(&self.home).await?;
            refuse_foreign(plan, &project, &there)?;
            self.hypervisor.prepare(plan).await?;
            project.write(&vagrantfile::vagrantfile(plan, &image, self.hypervisor.as_ref()))?;
            let missing = self.wake(plan, &project, &there).await?;
            let up = if missing.is_empty() {
                Ok(())
            } else {
                self.hypervisor.keep(&image).await?;
                self.vagrant().add_box(&image, self.hypervisor.provider()).await?;
                project.up(&missing).await
            };
            // Also after a failed `vagrant up`: a VM that came up only in part must not keep its way out.
            let sealed = self.hypervisor.seal(plan).await;
            up.and(sealed)?;
            let nodes: Vec<Node> = plan.nodes.iter().map(|node| self.handle(plan, node)).collect();
            try_join_all(nodes.iter().map(|node| usable(node, boot(plan)))).await?;
            Ok(nodes)
        })
    }

    fn attach<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(self.handles(plan))
    }

    fn destroy<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let project = self.project(folder);
            let mut removal = Removal::default();
            if project.is_there() {
                // A failure of Vagrant does not matter: the hypervisor lists the VMs that are left and removes them.
                drop(project.destroy(&[]).await);
            }
            let ours = format!("{}.", id.scope());
            let removed = async {
                let vms = self.hypervisor.vms(&self.home).await?.into_iter();
                let ours: Vec<Vm> = vms.filter(|it| it.name.starts_with(&ours)).collect();
                self.remove(&ours).await
            };
            removal.note(removed.await);
            removal.note(self.hypervisor.clear(id).await);
            removal.note(project.remove());
            removal.end(&id.name)
        })
    }

    fn destroy_node<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        node: &'a NodePlan,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let project = self.project(&plan.folder);
            let mut removal = Removal::default();
            let vm = self.vm(plan, node).await?;
            if vm.is_some() && project.is_there() {
                drop(project.destroy(&[&node.name]).await);
            }
            let left = self.vm(plan, node).await?;
            removal.note(self.remove(left.as_slice()).await);
            removal.note(project.forget(&node.name).map(|()| vm.is_some()));
            removal.end(&plan.id.name)
        })
    }

    fn power<'a>(&'a self, plan: &'a ClusterPlan, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let vms = self.hypervisor.vms(&self.home).await?;
            let vm = |node: &NodePlan| {
                let absent = || EngineError::Absent { node: node.name.clone() };
                vm_of(plan, node, &vms).ok_or_else(absent)
            };
            let vms = plan.nodes.iter().map(vm).collect::<Result<Vec<_>, _>>()?;
            if power == Power::Start {
                // After a reboot of the host, the networks may be missing or stopped.
                self.hypervisor.prepare(plan).await?;
            }
            try_join_all(vms.iter().map(|vm| self.hypervisor.power(vm, power))).await?;
            let woken = |state| {
                matches!((power, state), (Power::Start, VmState::Off) | (Power::Resume, VmState::Paused))
            };
            let woken = plan.nodes.iter().zip(&vms).filter(|(_, vm)| woken(vm.state));
            let woken: Vec<Node> = woken.map(|(node, _)| self.handle(plan, node)).collect();
            if !woken.is_empty() {
                self.hypervisor.seal(plan).await?;
            }
            try_join_all(woken.iter().map(|node| usable(node, boot(plan)))).await.map(drop)
        })
    }

    fn sightings(&self) -> BoxFuture<'_, Result<Vec<Sighting>, EngineError>> {
        self.hypervisor.sightings(&self.home)
    }

    /// None. The disks of VMs are in folders of the hypervisor; a VM with a disk in this folder is found by its process
    /// (`usage`).
    fn strangers<'a>(
        &'a self,
        _id: &'a InstanceId,
        _folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn collect_logs<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        into: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let vms = self.hypervisor.vms(&self.home).await?;
            let runs =
                |node: &&NodePlan| vm_of(plan, node, &vms).is_some_and(|it| it.state == VmState::Running);
            // In parallel, so that a node that does not answer does not delay the logs of the others.
            let logs = plan.nodes.iter().filter(runs).map(async |node: &NodePlan| {
                logs::collect(&self.handle(plan, node), &into.join(&node.name)).await
            });
            join_all(logs).await.into_iter().collect()
        })
    }
}

/// The VM of a node among these.
fn vm_of<'a>(plan: &ClusterPlan, node: &NodePlan, vms: &'a [Vm]) -> Option<&'a Vm> {
    let scope = plan.id.node_scope(&node.name);
    vms.iter().find(|vm| vm.name == scope)
}

/// Refuses a VM with the name of one of the plan's nodes that the instance's Vagrant project did not make.
fn refuse_foreign(plan: &ClusterPlan, project: &Project, there: &[Vm]) -> Result<(), EngineError> {
    let foreign = plan.nodes.iter().filter(|node| project.id(node).is_none());
    let mut foreign = foreign.filter_map(|node| vm_of(plan, node, there));
    foreign.next().map_or(Ok(()), |vm| {
        Err(EngineError::Foreign { what: format!("a virtual machine named {}", vm.name) })
    })
}

/// Whether a command did not reach the VM, as far as ssh can tell (ssh(1), "Exit status").
fn is_unreachable(error: &CommandError) -> bool {
    matches!(error.failure, Failure::Status { code: Some(255), .. })
}

/// Time-out for the first login to a VM of this plan.
fn boot(plan: &ClusterPlan) -> Stretched {
    plan.platform.slowdown.stretch(BOOT)
}

/// Waits until a node accepts logins and its containerd answers on its socket.
async fn usable(node: &Node, boot: Stretched) -> Result<(), EngineError> {
    const SOCKET: &str = "/run/containerd/containerd.sock";
    let wait = format!("until ctr --address {SOCKET} version >/dev/null 2>&1; do sleep 0.2; done");
    let wait = Command::within(Duration::from_secs(30), "sh").args(["-c", &wait]);
    let asked = Instant::now();
    let mut outcome = node.run(&wait).await;
    while let Err(error) = &outcome
        && is_unreachable(error)
        && asked.elapsed() < boot.on_clock()
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
        outcome = node.run(&wait).await;
    }
    outcome.map(drop).map_err(|error| EngineError::Unusable {
        node: node.name().to_owned(),
        why: format!("containerd does not answer: {error}"),
    })
}
