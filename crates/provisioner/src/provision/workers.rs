//! Adds workers to a running cluster, and removes workers from it.
//!
//! A worker that is being added or removed is *in transit*: the registry's entry lists it beside the other workers. An
//! added worker is in transit from before its first part is made until it is Ready; a removed one from the end of its
//! drain until its last part is removed. After a failure or SIGKILL the next operation removes the workers in transit,
//! so that both kinds of leftovers are finished in one way.

use std::time::Duration;

use super::{ProvisionError, Residue, StageError};
use crate::capacity::Demand;
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

/// What happens to the pods of a worker before the worker is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// The pods are evicted within this time. If they are not, the worker stays, cordoned.
    Within(Duration),
    /// The pods are not evicted: they end with the worker, and their controllers start new ones on other nodes.
    Skipped,
}

/// Why workers were not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The registry has no such instance, or a node of the instance does not run.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The instance's state does not allow the change; nothing was done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The cluster that answers is not the recorded one, or its identity could not be checked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The engine failed outside of a stage.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stage failed.
    #[error("change the workers of {instance}: stage {stage}")]
    Stage {
        /// The instance's name.
        instance: String,
        /// The stage that failed.
        stage: Stage,
        /// What the failure left.
        residue: Residue,
        /// Why the stage failed.
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
                "the node stays cordoned: repeat the command, or uncordon the node with `homelab kubectl {instance} -- \
                     uncordon {node}`; `--force` removes the node with its remaining pods"
            )),
            Self::Stage { source, residue: Residue::Recorded, .. } => {
                Some(source.hint().unwrap_or_else(|| {
                    "the next add-worker or remove-worker removes what is left".to_owned()
                }))
            }
            Self::Stage { source, .. } => source.hint(),
        }
    }
}

/// The hint for a node that does not run. The node's name begins with the name of its instance.
fn absent(node: &str) -> String {
    match node.rsplit_once("-w-") {
        Some((instance, _)) => {
            format!(
                "`sudo homelab k8s remove-worker {instance} {node} --force` removes a worker that does not run"
            )
        }
        None => {
            let instance =
                node.strip_suffix("-main").or_else(|| Some(node.rsplit_once("-cp-")?.0)).unwrap_or(node);
            format!(
                "`sudo homelab start {instance}` starts nodes that do not run, as after a reboot of the host"
            )
        }
    }
}

impl Provisioner {
    /// Adds `count` workers to a running cluster; they get the lowest free numbers. Before, it removes the workers that
    /// an earlier, unfinished change left in transit.
    ///
    /// # Errors
    /// [`WorkersError`]. After [`WorkersError::Stage`] with [`Residue::Recorded`] the workers are in transit, and the
    /// next operation removes them; the other nodes of the cluster are unchanged.
    pub async fn add_workers(&self, name: &str, count: u8) -> Result<Cluster, WorkersError> {
        let (hold, _) = self.hold_settled(name, OperationKind::AddWorkers).await?;
        let cluster = self.attach(name).await?;
        if count == 0 {
            return Ok(Cluster { instance: hold.end(|_| ())?, ..cluster });
        }
        let asked = Demand::of_workers(&cluster.plan, count);
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

    /// Runs the stages of a bring-up for the workers in transit alone.
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

    /// Removes a worker: first its pods, then the node, then the records of it in the cluster, on the host and in the
    /// registry. Before, it removes the workers that an earlier, unfinished change left in transit. The returned
    /// cluster has the nodes that run: a worker that does not run can be removed with [`Drain::Skipped`].
    ///
    /// # Errors
    /// [`WorkersError`]. After a failure in [`Stage::Drain`] the worker stays in the cluster, cordoned; after a failure
    /// in any other stage it is in transit, and the next operation removes it.
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

    /// Removes the workers that a failed, cancelled or killed change left in transit. Returns their names.
    ///
    /// # Errors
    /// [`WorkersError`]; the call may be repeated.
    pub async fn settle_workers(&self, name: &str) -> Result<Vec<String>, WorkersError> {
        let (hold, settled) = self.hold_settled(name, OperationKind::RemoveWorker).await?;
        hold.end(|_| ())?;
        Ok(settled)
    }

    /// Begins a change of the workers of a running instance, after a check of the cluster's identity. Removes the
    /// workers that an earlier change left in transit, and returns their names.
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

    /// Removes the workers in transit, and their record in the registry last. Returns the instance without them, and
    /// their names. May be repeated.
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
            // First the nodes themselves: a kubelet that still runs would register its node again.
            for node in &gone {
                self.engines.destroy_node(&before, node).await?;
            }
            let nodes = self.running(&after).await?;
            kubeadm::delete_tokens(&nodes.first).await?;
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

    /// Adapts the names of nodes, inside the cluster and on the host, to the nodes of `after`.
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

    /// The running nodes of a plan. It is an error when the first node does not run.
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

/// The plan with this node alone, to attach to one node.
fn alone(plan: &ClusterPlan, node: &NodePlan) -> ClusterPlan {
    ClusterPlan { nodes: vec![node.clone()], ..plan.clone() }
}
