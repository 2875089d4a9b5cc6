//! Workers come to a running cluster and go again.
//!
//! A worker that is being added or removed is *in transit* in the registry's entry, beside the workers that there are:
//! from before the first part of it is made until it is Ready, and from when it is drained until its last part is gone.
//! So there is one way to finish what a failure or SIGKILL left: the next operation removes the workers in transit.

use std::time::Duration;

use super::{ProvisionError, Residue, StageError};
use crate::capacity::Cost;
use crate::cni;
use crate::engine::EngineError;
use crate::error::Hint;
use crate::events::Event;
use crate::identity::IdentityError;
use crate::kubeadm::{self, KubeadmError};
use crate::node::{Node, Nodes};
use crate::plan::{self, ClusterPlan, NodePlan, PlanError};
use crate::registry::{ChangeError, Instance, OperationKind, RegistryError, Workers};
use crate::stage::Stage;

use super::hold::Hold;
use super::stages::Stages;
use super::{AttachError, Cluster, Provisioner};

/// How the pods of a worker leave it before it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// They are evicted within this time, or the worker stays, cordoned.
    Within(Duration),
    /// They end with the worker, whatever they do; their controllers make new ones elsewhere.
    Skipped,
}

/// Why a cluster did not get or lose workers.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// There is no such instance, or a node of it does not run.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The instance is not in a state for it: nothing was done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It is another cluster than the one that is meant, or that cannot be found out.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The host is not ready.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stage failed.
    #[error("change the workers of {instance}: stage {stage}")]
    Stage {
        /// The instance's name.
        instance: String,
        /// Where it failed.
        stage: Stage,
        /// What is left.
        residue: Residue,
        /// Why.
        #[source]
        source: StageError,
    },
}

impl From<ProvisionError> for WorkersError {
    fn from(error: ProvisionError) -> Self {
        let ProvisionError { cluster, stage, residue, source } = error;
        Self::Stage { instance: cluster, stage, residue, source }
    }
}

impl From<ChangeError<PlanError>> for WorkersError {
    fn from(error: ChangeError<PlanError>) -> Self {
        match error {
            ChangeError::Registry(error) => Self::Registry(error),
            ChangeError::Refused(error) => Self::Plan(error),
        }
    }
}

impl Hint for WorkersError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Attach(AttachError::Engine(EngineError::Absent { node })) => Some(absent(node)),
            Self::Attach(error) => error.hint(),
            Self::Stage { source: StageError::Capacity(error), .. } => error.hint(),
            Self::Stage {
                instance, source: StageError::Kubeadm(KubeadmError::Drain { node, .. }), ..
            } => Some(format!(
                "the node stays cordoned: try again, or let pods onto it with `homelab kubectl {instance} -- uncordon \
                     {node}`; `--force` removes it with the pods that are left"
            )),
            Self::Stage { source, residue: Residue::Recorded, .. } => {
                Some(source.hint().unwrap_or_else(|| {
                    "what is left goes with the next add-worker or remove-worker".to_owned()
                }))
            }
            Self::Stage { source, .. } => source.hint(),
        }
    }
}

/// What helps where this node does not run. Its name begins with that of its instance.
fn absent(node: &str) -> String {
    match node.rsplit_once("-w-") {
        Some((instance, _)) => {
            format!(
                "`homelab k8s remove-worker {instance} {node} --force` removes a worker that does not run"
            )
        }
        None => {
            let instance =
                node.strip_suffix("-main").or_else(|| Some(node.rsplit_once("-cp-")?.0)).unwrap_or(node);
            format!("`homelab start {instance}` starts nodes that do not run, as after a reboot of this host")
        }
    }
}

impl Provisioner {
    /// Adds so many workers to a cluster that runs: the lowest numbers that are free. Before, it removes the workers of
    /// an earlier change that did not finish.
    ///
    /// # Errors
    /// [`WorkersError`]. After [`WorkersError::Stage`] the workers are in transit, and the next operation removes them;
    /// the rest of the cluster is as it was.
    pub async fn add_workers(&self, name: &str, count: u8) -> Result<Cluster, WorkersError> {
        let (hold, _) = self.hold_settled(name, OperationKind::AddWorkers).await?;
        let cluster = self.attach(name).await?;
        if count == 0 {
            return Ok(Cluster { instance: hold.end(|_| ())?, ..cluster });
        }
        let asked = Cost::of_workers(&cluster.plan, count);
        self.demand_room(asked, &[cluster.plan.engine]).await.map_err(|source| WorkersError::Stage {
            instance: name.to_owned(),
            stage: Stage::Claim,
            residue: Residue::Nothing,
            source,
        })?;
        let instance = hold.record(|instance| plan::add_workers(instance, count))?;
        let stages = Stages::of(name, &self.events);
        let (plan, nodes) = self.join_workers(&instance, &stages).await?;
        let instance = hold.end(|instance| {
            *instance = instance.with_transit();
            instance.transit = Workers::default();
        })?;
        for node in plan.nodes.iter().filter(|node| !cluster.plan.nodes.contains(node)) {
            self.events.publish(Event::WorkerAdded { instance: name.to_owned(), node: node.name.clone() });
        }
        Ok(Cluster { instance, plan, nodes, kubeconfig: cluster.kubeconfig, unmerged: None })
    }

    /// The flow of a bring-up for the workers in transit alone.
    async fn join_workers(
        &self,
        instance: &Instance,
        stages: &Stages<'_>,
    ) -> Result<(ClusterPlan, Nodes), ProvisionError> {
        let before = ClusterPlan::of(instance, &self.home);
        let plan = ClusterPlan::of(&instance.with_transit(), &self.home);
        let left = Residue::Recorded;
        stages.run(Stage::Assets, left, self.built(&plan)).await?;
        let nodes = stages.run(Stage::Nodes, left, self.nodes(&plan)).await?;
        let network = cni::of(&plan);
        let extend = cni::extend(network.as_ref(), nodes, &before, &plan);
        let wired = stages.run(Stage::Network, left, extend).await?;
        let bundle = stages.run(Stage::Authorities, left, self.authorities(instance)).await?;
        let serving = stages.run(Stage::Join, left, kubeadm::serving(wired, &plan)).await?;
        let invitation = stages.run(Stage::Join, left, kubeadm::reopen(&serving)).await?;
        let join = kubeadm::join_all(serving, invitation, &plan, &bundle, &self.events);
        let joined = stages.run(Stage::Join, left, join).await?;
        let ready = async {
            kubeadm::newcomers_ready(&joined, &plan).await?;
            let newcomers: Vec<&Node> = joined.newcomers().iter().collect();
            network.ready(&newcomers).await.map_err(StageError::from)
        };
        stages.run(Stage::Ready, left, ready).await?;
        let nodes = joined.into_nodes();
        stages.run(Stage::Names, left, self.adapt_names(instance, &nodes, &before, &plan)).await?;
        Ok((plan, nodes))
    }

    /// Removes a worker, first its pods, then its machine, then what is known of it. Before, it removes the workers of an
    /// earlier change that did not finish. The nodes of the cluster that is returned are those that run: a worker that
    /// does not can be removed with [`Drain::Skipped`].
    ///
    /// # Errors
    /// [`WorkersError`]. After [`Stage::Drain`] the worker is there, and cordoned; after any other stage it is in
    /// transit, and the next operation goes on.
    pub async fn remove_worker(&self, name: &str, node: &str, drain: Drain) -> Result<Cluster, WorkersError> {
        let (hold, settled) = self.hold_settled(name, OperationKind::RemoveWorker).await?;
        if settled.iter().any(|gone| gone == node) {
            return self.what_runs(hold.end(|_| ())?).await;
        }
        let stages = Stages::of(name, &self.events);
        let without = plan::remove_worker(&self.known(name)?, node)?;
        if let Drain::Within(patience) = drain {
            let first = self.first(&ClusterPlan::of(&without, &self.home)).await?;
            stages.run(Stage::Drain, Residue::Nothing, kubeadm::drain(&first, node, patience)).await?;
        }
        let instance = hold.record(|instance| plan::remove_worker(instance, node))?;
        self.settle(instance, &hold, &stages).await?;
        self.what_runs(hold.end(|_| ())?).await
    }

    /// Removes the workers that are in transit although no operation is in progress: a change that failed, was cancelled
    /// or was killed left them in parts. Returns their names.
    ///
    /// # Errors
    /// [`WorkersError`]; may be repeated.
    pub async fn settle_workers(&self, name: &str) -> Result<Vec<String>, WorkersError> {
        let (hold, settled) = self.hold_settled(name, OperationKind::RemoveWorker).await?;
        hold.end(|_| ())?;
        Ok(settled)
    }

    /// Begins a change of the workers of an instance that runs and is the one that is meant. Returns the names of the
    /// workers that an earlier change left in transit; they have been removed.
    async fn hold_settled(
        &self,
        name: &str,
        kind: OperationKind,
    ) -> Result<(Hold, Vec<String>), WorkersError> {
        self.known(name)?;
        let allowed = |instance: &Instance| plan::running(instance).map(|()| instance.clone());
        let (instance, hold) = self.hold(name, kind, allowed)?;
        self.identify_instance(&instance).await?;
        let (_, settled) = self.settle(instance, &hold, &Stages::of(name, &self.events)).await?;
        Ok((hold, settled))
    }

    /// Removes the workers in transit, their record last. Returns the instance without them, and their names. May be
    /// repeated.
    pub(super) async fn settle(
        &self,
        instance: Instance,
        hold: &Hold,
        stages: &Stages<'_>,
    ) -> Result<(Instance, Vec<String>), ProvisionError> {
        if instance.transit.is_empty() {
            return Ok((instance, Vec::new()));
        }
        let before = ClusterPlan::of(&instance.with_transit(), &self.home);
        let after = ClusterPlan::of(&instance, &self.home);
        let gone = before.nodes.iter().filter(|node| !after.nodes.contains(node));
        let gone: Vec<NodePlan> = gone.cloned().collect();
        let leave = async {
            // First the machines: a kubelet that runs would have itself known again.
            for node in &gone {
                self.engines.destroy_node(&before, node).await?;
            }
            let nodes = self.running(&after).await?;
            kubeadm::void_tickets(&nodes.first).await?;
            kubeadm::forget(&nodes.first, &gone).await?;
            cni::of(&after).adapt(&nodes.all(), &after, &gone).await?;
            self.adapt_names(&instance, &nodes, &before, &after).await?;
            let settled =
                |instance: &Instance| Ok(Instance { transit: Workers::default(), ..instance.clone() });
            Ok::<_, StageError>(hold.record(settled)?)
        };
        let instance = stages.run(Stage::Leave, Residue::Recorded, leave).await?;
        let names: Vec<String> = gone.into_iter().map(|node| node.name).collect();
        for node in &names {
            self.events.publish(Event::WorkerRemoved { instance: instance.name.clone(), node: node.clone() });
        }
        Ok((instance, names))
    }

    /// Names lead to the nodes that there are now, inside the cluster and on the host.
    async fn adapt_names(
        &self,
        instance: &Instance,
        nodes: &Nodes,
        before: &ClusterPlan,
        after: &ClusterPlan,
    ) -> Result<(), StageError> {
        kubeadm::adapt(nodes, before, after).await?;
        if self.has_names(instance) {
            self.record_names(after).await?;
        }
        Ok(())
    }

    async fn what_runs(&self, instance: Instance) -> Result<Cluster, WorkersError> {
        let plan = ClusterPlan::of(&instance, &self.home);
        let nodes = self.running(&plan).await?;
        let kubeconfig = self.home.isolated_kubeconfig(&instance.name);
        Ok(Cluster { kubeconfig, instance, plan, nodes, unmerged: None })
    }

    /// The nodes of a plan that run; the first one must.
    async fn running(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        let mut nodes = Nodes { first: self.first(plan).await?, others: Vec::new() };
        for node in plan.others() {
            match self.engines.attach(&alone(plan, node)).await {
                Ok(found) => nodes.others.push(found.first),
                Err(EngineError::Absent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }

    async fn first(&self, plan: &ClusterPlan) -> Result<Node, EngineError> {
        Ok(self.engines.attach(&alone(plan, plan.first())).await?.first)
    }
}

/// A plan of one node, to ask for that one alone.
fn alone(plan: &ClusterPlan, node: &NodePlan) -> ClusterPlan {
    ClusterPlan { nodes: vec![node.clone()], ..plan.clone() }
}
