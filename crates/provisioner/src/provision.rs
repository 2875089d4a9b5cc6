//! The flow itself: create, attach, add and remove workers, pause and halt, destroy, release, reap.
//!
//! [`Provisioner::create`] reads top to bottom, a line a stage. Each stage consumes the result of the stage before it,
//! so the types fix the order of the stages ([`crate::bring_up`]).

mod certificates;
mod destroy;
mod error;
mod evidence;
mod guard;
mod hold;
mod identify;
mod in_use;
mod names;
mod outside;
mod room;
mod parts;
mod power;
mod prune;
mod reap;
mod renewal;
mod release;
mod stages;
mod workers;

use std::sync::Arc;
use std::time::Instant;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::assets::Assets;
use crate::bring_up::Joined;
use crate::capacity::Demand;
use crate::cni::{self, Cni};
use crate::engine::{EngineError, Engines};
use crate::error::Hint;
use crate::events::{Event, Events};
use crate::exec::Runner;
use crate::fabric;
use crate::files::failed;
use crate::home::{Home, Listed};
use crate::kubeadm;
use crate::kubeconfig::KubeconfigError;
use crate::node::Nodes;
use crate::pki::Bundle;
use crate::plan::{self, ClusterPlan, HostNetwork, InstanceId, Taken};
use crate::registry::{
    ChangeError, Instance, Keeper, Neighbours, OperationKind, Registry, RegistryError, State, this_boot,
};
use crate::request::{CheckedSpec, EngineKind};
use crate::settings::Settings;
use crate::stage::Stage;
use crate::tls::Folder;
use crate::trust::Store;

use stages::Stages;

pub use certificates::{Certificates, CertificatesError};
pub use destroy::Removed;
pub use error::{DestroyError, ProvisionError, Residue, StageError};
pub use identify::RenewError;
pub use in_use::InUseError;
pub use names::{Change, Names, NamesChange, NamesError, NamesState, Synced};
pub use power::PowerError;
pub use reap::{ReapError, Reaped, Reaping, Spared};
pub use release::ReleaseError;
pub use renewal::{Dated, DatedKind};
pub use workers::{Drain, WorkersError};

/// Creates, changes and destroys the clusters of one home.
#[derive(Debug, Clone)]
pub struct Provisioner {
    home: Home,
    registry: Registry,
    engines: Engines,
    host: HostKind,
    /// The list of this host's homes; `None` where the host is simulated.
    homes: Option<Listed>,
    settings: Settings,
    assets: Assets,
    events: Events,
    runner: Arc<dyn Runner>,
    trust: Store,
    is_forced: bool,
}

/// Whether there is a host to read networks, capacity and the guard from.
#[derive(Debug, Clone)]
enum HostKind {
    /// The kernel of this host is asked.
    Real,
    /// A simulated engine: there is no host, and nothing is asked.
    #[cfg(feature = "simulated")]
    None,
}

/// A working cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its registry entry.
    pub instance: Instance,
    /// Its names, networks and addresses.
    pub plan: ClusterPlan,
    /// Its nodes.
    pub nodes: Nodes,
    /// The path of its isolated kubeconfig, which has the context of this cluster alone.
    pub kubeconfig: Utf8PathBuf,
    /// Why `create` could not merge the context into the user's kubeconfig; `None` when it merged the context, when the
    /// instance has no context there, and after any other operation.
    pub unmerged: Option<Arc<KubeconfigError>>,
}

/// Why [`Provisioner::attach`] returns no cluster.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry has no instance of this name.
    #[error("no instance '{name}'; there {}", there_are(.known))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of all instances in the registry.
        known: Vec<String>,
    },
    /// A node does not exist, does not run, or the engine cannot be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Hint for AttachError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Unknown { known, .. } if known.is_empty() => {
                Some("`sudo homelab up NAME` makes one".to_owned())
            }
            Self::Unknown { .. } => Some("`homelab instance list` shows them".to_owned()),
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Provisioner {
    /// Creates a cluster for its keeper. An abandoned instance of the same name is destroyed first.
    ///
    /// # Errors
    /// [`ProvisionError`] with the stage and the residue; `destroy` removes the residue. Until `destroy` or
    /// [`keep`](Self::keep), the registry records this process as the creator of the instance: when the process ends,
    /// the instance is abandoned.
    pub async fn create(&self, spec: &CheckedSpec, keeper: Keeper) -> Result<Cluster, ProvisionError> {
        let started = Instant::now();
        let stages = Stages::of(spec.name.as_str(), &self.events);
        self.clear_abandoned(spec.name.as_str()).await;
        let instance = stages.run(Stage::Claim, Residue::Nothing, self.claim(spec, keeper)).await?;
        let created = tokio::select! {
            created = self.build(&instance, &stages) => created,
            // No residue: the process that took the instance down removes what was made.
            source = self.taken_down(&instance) => {
                let (cluster, residue) = (instance.name, Residue::Nothing);
                return Err(ProvisionError { cluster, stage: Stage::Claim, residue, source });
            }
        };
        let cluster = match created {
            Ok(cluster) => cluster,
            Err(error) => return Err(self.recorded_as_failed(error)),
        };
        self.events.publish(Event::ClusterUp { instance: instance.name, took: started.elapsed() });
        Ok(cluster)
    }

    async fn build(&self, instance: &Instance, stages: &Stages<'_>) -> Result<Cluster, ProvisionError> {
        let plan = ClusterPlan::of(instance, &self.home);
        let left = Residue::Recorded; // on disk since the claim
        if self.has_names(instance) {
            stages.run(Stage::Names, left, self.record_names(&plan)).await?;
        }
        stages.run(Stage::Assets, left, self.built(&plan)).await?;
        let network = cni::of(&plan);
        let nodes = stages.run(Stage::Nodes, left, self.nodes(&plan)).await?;
        let wired = stages.run(Stage::Network, left, cni::wire(network.as_ref(), nodes, &plan)).await?;
        let bundle = stages.run(Stage::Authorities, left, self.authorities(instance)).await?;
        let init = kubeadm::init(wired, &plan, &bundle);
        let (serving, token) = stages.run(Stage::Init, left, init).await?;
        let complete = stages.run(Stage::Init, left, kubeadm::complete(&serving, token, &plan, &bundle));
        let deploy = stages.run(Stage::Network, left, network.deploy(&serving, &plan));
        let (invitation, ()) = tokio::try_join!(complete, deploy)?;
        let join = kubeadm::join_all(serving, invitation, &plan, &bundle, &self.events);
        let joined = stages.run(Stage::Join, left, join).await?;
        stages.run(Stage::Ready, left, self.ready(&joined, &plan, network.as_ref())).await?;
        stages.run(Stage::Kubeconfig, left, self.hand_out(joined, plan)).await
    }

    /// Checks the host, decides the instance's networks, and records the instance before anything of it exists.
    async fn claim(&self, spec: &CheckedSpec, keeper: Keeper) -> Result<Instance, StageError> {
        self.demand_files(spec).await?;
        self.demand_room(Demand::of_spec(spec), &[spec.engine]).await?;
        let host = self.host_networks().await?;
        let pools = self.pools_of(spec.engine)?;
        let creation = self.operation(OperationKind::Create)?;
        let emulated = Some(self.engines.of(spec.engine).is_emulated());
        let others = self.others()?;
        let neighbours = others.as_ref().map_or(Ok(Vec::new()), |others| others.instances(&self.home));
        let claimed = neighbours.map_err(ChangeError::Registry).and_then(|neighbours| {
            self.registry.claim(|instances| {
                let taken = Taken { instances: instances.to_vec(), neighbours, host };
                let instance = plan::claim(spec, &taken, &pools, keeper, creation)?;
                Ok(Instance { emulated, ..instance })
            })
        });
        if let (Err(_), Some(others)) = (&claimed, others) {
            others.leave_if_empty(&self.home)?;
        }
        let instance = claimed?;
        let (name, subnet) = (instance.name.clone(), instance.subnet.to_string());
        self.events.publish(Event::InstanceClaimed { instance: name, subnet });
        Ok(instance)
    }

    /// The host's networks, without those on the links of this home's instances.
    ///
    /// # Errors
    /// [`StageError`] when the registry cannot be read or the kernel cannot be asked.
    pub async fn host_networks(&self) -> Result<Vec<HostNetwork>, StageError> {
        match self.host {
            #[cfg(feature = "simulated")]
            HostKind::None => Ok(Vec::new()),
            HostKind::Real => {
                let id = |name: String| InstanceId { home: self.home.id(), name };
                let instances = self.registry.instances()?.into_iter();
                let ours = instances.map(|instance| id(instance.name));
                let links: Vec<String> = ours.flat_map(|id| [id.link(), id.management_link()]).collect();
                let ranges = self.settings.pools.ranges();
                let networks =
                    fabric::host_networks(&ranges, |link| links.iter().any(|ours| ours == link)).await;
                Ok(networks.map_err(|source| EngineError::Wires {
                    instance: "the host".to_owned(),
                    source: Box::new(source),
                })?)
            }
        }
    }

    /// The other homes of this host. No home can claim while the value lives. `None` where the host is simulated.
    fn others(&self) -> Result<Option<Neighbours<'_>>, RegistryError> {
        self.homes.as_ref().map(|list| Neighbours::enter(list, &self.home)).transpose()
    }

    /// Creates the nodes; the instance's folder is private to the user.
    async fn nodes(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        let made = self.home.create_dir(&plan.folder).map_err(failed("make", &plan.folder));
        made.map_err(EngineError::File)?;
        self.engines.create(plan).await
    }

    /// Builds the node image or the Vagrant box that the plan's engine starts nodes from, unless the cache has it.
    async fn built(&self, plan: &ClusterPlan) -> Result<(), StageError> {
        let (kubernetes, runner) = (&plan.kubernetes, self.runner.as_ref());
        match (&self.host, plan.engine) {
            #[cfg(feature = "simulated")]
            (HostKind::None, _) => Ok(()),
            (HostKind::Real, EngineKind::Vagrant(provider)) => {
                let built = self.assets.build_box(kubernetes, provider, runner, &self.events).await;
                Ok(built.map(drop)?)
            }
            (HostKind::Real, _) => Ok(self.assets.build(kubernetes, runner, &self.events).await.map(drop)?),
        }
    }

    /// Waits until the nodes are ready, the pod network works on each of them, and the cluster's DNS answers.
    async fn ready(&self, joined: &Joined, plan: &ClusterPlan, network: &dyn Cni) -> Result<(), StageError> {
        let nodes = joined.nodes().all();
        let up = async { network.ready(&nodes).await.map_err(StageError::from) };
        let whole = async { kubeadm::ready(joined, plan).await.map_err(StageError::from) };
        tokio::try_join!(whole, up)?;
        Ok(network.dns_ready(&nodes).await?)
    }

    /// Creates the cluster's authorities and the instance's own, unless they exist.
    async fn authorities(&self, instance: &Instance) -> Result<Bundle, StageError> {
        Folder::of(&self.home, instance).init(Timestamp::now())?;
        Ok(Bundle::in_folder(&self.home, &instance.name)?)
    }

    /// Writes the isolated kubeconfig, merges an operator's context into the user's kubeconfig, and records that the
    /// instance runs.
    async fn hand_out(&self, joined: Joined, plan: ClusterPlan) -> Result<Cluster, StageError> {
        let nodes = joined.into_nodes();
        let unmerged = self.write_kubeconfigs(&nodes.first, &plan).await?;
        let kubeconfig = self.home.isolated_kubeconfig(&plan.id.name);
        let identity = self.identity_of(&nodes.first, &plan).await?;
        let running = self.registry.update(&plan.id.name, |instance| {
            instance.state = State::Running;
            instance.operation = None;
            instance.boot_id = this_boot().map(str::to_owned);
            instance.k8s.identity = Some(identity);
        });
        Ok(Cluster { instance: running?, plan, nodes, kubeconfig, unmerged })
    }

    /// Records in the registry that a creation failed. If the registry cannot be changed, the residue is unknown.
    fn recorded_as_failed(&self, error: ProvisionError) -> ProvisionError {
        match self.registry.update(&error.cluster, |instance| instance.state = State::Failed) {
            Ok(_) => error,
            Err(_) => ProvisionError { residue: Residue::Unknown, ..error },
        }
    }

    /// Gives an instance to the operator, also one whose creation failed: it outlives this process, so that a person
    /// can inspect it.
    ///
    /// # Errors
    /// [`RegistryError`] when the registry cannot be changed.
    pub fn keep(&self, name: &str) -> Result<Instance, RegistryError> {
        self.registry.update(name, |instance| {
            instance.keeper = Keeper::Operator;
            instance.operation = None;
        })
    }

    /// Destroys an abandoned instance, so that its name is free. A failure is not reported here: the claim that follows
    /// fails because the name is in use.
    async fn clear_abandoned(&self, name: &str) {
        let found = self.registry.find(name).ok().flatten();
        if found.is_some_and(|instance| instance.is_abandoned(&self.home)) {
            let _ = self.destroy(name).await;
        }
    }

    /// Returns a handle on a cluster that exists.
    ///
    /// # Errors
    /// [`AttachError`] when the registry has no such instance, or not all of its nodes run.
    pub async fn attach(&self, name: &str) -> Result<Cluster, AttachError> {
        let instance = self.known(name)?;
        let plan = ClusterPlan::of(&instance, &self.home);
        let nodes = self.engines.attach(&plan).await?;
        let kubeconfig = self.home.isolated_kubeconfig(name);
        Ok(Cluster { instance, plan, nodes, kubeconfig, unmerged: None })
    }

    /// The instance of this name; if there is none, the error lists the names of all instances.
    fn known(&self, name: &str) -> Result<Instance, AttachError> {
        match self.registry.find(name)? {
            Some(instance) => Ok(instance),
            None => {
                let known = self.registry.instances()?.into_iter().map(|instance| instance.name).collect();
                Err(AttachError::Unknown { name: name.to_owned(), known })
            }
        }
    }
}

fn there_are(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        [one] => format!("is '{one}'"),
        many => format!("are '{}'", many.join("', '")),
    }
}
