//! Pauses, resumes, halts and starts an instance.
//!
//! The registry says paused or halted before the first node is, and running only when the API server answers again.
//! So the same verb, repeated, finishes an operation that was interrupted.

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::{ProvisionError, Residue, StageError};
use crate::cni;
use crate::engine::EngineError;
use crate::error::{Hint, chain};
use crate::events::Event;
use crate::exec::{Command, CommandError};
use crate::identity::IdentityError;
use crate::kubeadm;
use crate::node::Nodes;
use crate::plan::{self, ClusterPlan, PlanError, Power};
use crate::registry::{ChangeError, Instance, OperationKind, RegistryError, State, this_boot};
use crate::stage::Stage;

use super::stages::Stages;
use super::{AttachError, Provisioner};

/// The deadline from the start of a node until it runs commands, for a container; it is stretched for emulated VMs.
const BOOT: Duration = Duration::from_secs(30);

/// Why an instance was not paused, resumed, halted or started.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The registry has no such instance.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The instance's state does not allow the operation; nothing was done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The cluster that answers is not the recorded one.
    #[error(transparent)]
    Identity(IdentityError),
    /// A node of the instance does not exist any more.
    #[error("{power} {instance}: its node {node} is gone")]
    Gone {
        /// The operation.
        power: Power,
        /// The instance's name.
        instance: String,
        /// The name of the node.
        node: String,
    },
    /// A stage failed.
    #[error("{power} {instance}: stage {stage}")]
    Stage {
        /// The operation.
        power: Power,
        /// The instance's name.
        instance: String,
        /// The stage that failed.
        stage: Stage,
        /// Why the stage failed.
        #[source]
        source: StageError,
    },
}

impl From<ChangeError<PlanError>> for PowerError {
    fn from(error: ChangeError<PlanError>) -> Self {
        match error {
            ChangeError::Registry(error) => Self::Registry(error),
            ChangeError::Refused(error) => Self::Plan(error),
        }
    }
}

impl Hint for PowerError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Attach(error) => error.hint(),
            Self::Gone { instance, .. } => Some(format!(
                "`sudo homelab status {instance}` shows what is left; the node's data is lost, and \
                     `sudo homelab down {instance}` removes the rest"
            )),
            Self::Stage {
                power: Power::Resume,
                instance,
                source: StageError::Engine(EngineError::Absent { .. }),
                ..
            } => Some(format!("it is off, as after a reboot of the host: `sudo homelab start {instance}`")),
            Self::Stage { power, instance, .. } => Some(format!(
                "`sudo homelab {power} {instance}` may be repeated; `sudo homelab status {instance}` shows the nodes"
            )),
        }
    }
}

impl Provisioner {
    /// Freezes all nodes of an instance: they keep their memory and get no processor. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] the instance is recorded as paused, and some nodes may still run.
    pub async fn pause(&self, name: &str) -> Result<Instance, PowerError> {
        self.rest(name, Power::Pause).await
    }

    /// Resumes the nodes of a paused instance, and waits until its API server answers. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] the instance is still recorded as paused.
    pub async fn resume(&self, name: &str) -> Result<Instance, PowerError> {
        self.wake(name, Power::Resume).await
    }

    /// Shuts all nodes of an instance down; they keep their disks. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] the instance is recorded as halted, and some nodes may still run.
    pub async fn halt(&self, name: &str) -> Result<Instance, PowerError> {
        self.rest(name, Power::Halt).await
    }

    /// Boots the nodes that are off, resumes the paused ones, and waits until the API server answers. Works for a
    /// halted and for a paused instance, whose nodes are off after a reboot of the host. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] the recorded state is the one before the call.
    pub async fn start(&self, name: &str) -> Result<Instance, PowerError> {
        self.wake(name, Power::Start).await
    }

    async fn rest(&self, name: &str, power: Power) -> Result<Instance, PowerError> {
        self.known(name)?;
        let stages = Stages::of(name, &self.events);
        let allowed = |instance: &Instance| plan::stopped(instance, power).map(|_| instance.clone());
        let (instance, hold) = self.hold(name, operation(power), allowed)?;
        // A paused or halted cluster cannot answer. A running one that answers must be the recorded one.
        if instance.state == State::Running {
            self.identify_if_it_answers(&instance).await.map_err(PowerError::Identity)?;
            self.settle(instance, &hold, &stages).await.map_err(failed(power))?;
        }
        let instance = hold.record(|instance| plan::stopped(instance, power))?;
        self.tell(&instance, power, &stages).await.map_err(failed(power))?;
        let instance = hold.end(|_| ())?;
        self.events.publish(told(power, name));
        Ok(instance)
    }

    async fn wake(&self, name: &str, power: Power) -> Result<Instance, PowerError> {
        self.known(name)?;
        let allowed = |instance: &Instance| plan::running_again(instance, power).map(|_| instance.clone());
        let (instance, hold) = self.hold(name, operation(power), allowed)?;
        let stages = Stages::of(name, &self.events);
        if power == Power::Start {
            self.refuse_overlaps(&instance)?;
            if hold.interrupted == Some(OperationKind::Halt) {
                // Commands of the killed process, such as `podman stop`, still run, and would stop nodes that start
                // now.
                self.tell(&instance, Power::Halt, &stages).await.map_err(failed(power))?;
            }
            self.tell(&instance, Power::Resume, &stages).await.map_err(failed(power))?;
        }
        let plan = self.tell(&instance, power, &stages).await.map_err(failed(power))?;
        let renewed = self.answers(&plan, &stages).await.map_err(failed(power))?;
        if renewed {
            self.events.publish(Event::CertificatesRenewed { instance: name.to_owned() });
        }
        let instance = hold.record(|instance| {
            Ok(Instance { boot_id: this_boot().map(str::to_owned), ..plan::running_again(instance, power)? })
        })?;
        self.settle(instance, &hold, &stages).await.map_err(failed(power))?;
        let instance = hold.end(|_| ())?;
        self.events.publish(told(power, name));
        Ok(instance)
    }

    /// Refuses an instance if another home of this host has claimed one of its networks. That can happen when this home
    /// was not on the list of homes at the time of the other claim.
    fn refuse_overlaps(&self, instance: &Instance) -> Result<(), PowerError> {
        let Some(others) = self.others()? else { return Ok(()) };
        Ok(plan::apart(instance, &others.instances(&self.home)?)?)
    }

    /// Waits until the nodes have booted and the API server answers. In between it renews certificates that expire
    /// within a month, and sets the routes to the pods of other nodes, which a kernel loses with a reboot. Returns
    /// whether it renewed the certificates, and with them the kubeconfigs.
    async fn answers(&self, plan: &ClusterPlan, stages: &Stages<'_>) -> Result<bool, ProvisionError> {
        let left = Residue::Recorded;
        let booted = async {
            let nodes = self.booted(plan).await?;
            let renewed = self.issue_due(&nodes, plan).await?;
            Ok::<_, StageError>((nodes, renewed))
        };
        let (nodes, renewed) = stages.run(Stage::Ready, left, booted).await?;
        let rewire = async { cni::rewire(cni::of(plan).as_ref(), nodes, plan).await };
        let wired = stages.run(Stage::Network, left, rewire).await?;
        let serving = stages.run(Stage::Ready, left, kubeadm::serving(wired, plan)).await?;
        if renewed {
            stages.run(Stage::Kubeconfig, left, self.write_kubeconfigs(serving.first(), plan)).await?;
        }
        Ok(renewed)
    }

    /// Polls until all nodes run commands, and returns handles on them.
    async fn booted(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        let deadline = Instant::now() + plan.platform.slowdown.stretch(BOOT).on_clock();
        loop {
            match self.usable(plan).await {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(200)).await,
                Ok(nodes) => return Ok(nodes),
            }
        }
    }

    async fn usable(&self, plan: &ClusterPlan) -> Result<Nodes, EngineError> {
        let nodes = self.engines.attach(plan).await?;
        let look = Command::within(Duration::from_secs(10), "true");
        let looks = nodes.iter().map(async |node| {
            let unusable =
                |why: CommandError| EngineError::Unusable { node: node.name().to_owned(), why: chain(&why) };
            node.run(&look).await.map_err(unusable)
        });
        try_join_all(looks).await?;
        Ok(nodes)
    }

    /// Pauses, resumes, halts or starts all nodes.
    async fn tell(
        &self,
        instance: &Instance,
        power: Power,
        stages: &Stages<'_>,
    ) -> Result<ClusterPlan, ProvisionError> {
        let plan = ClusterPlan::of(instance, &self.home);
        stages.run(Stage::Nodes, Residue::Recorded, self.engines.power(&plan, power)).await?;
        Ok(plan)
    }
}

fn operation(power: Power) -> OperationKind {
    match power {
        Power::Pause => OperationKind::Pause,
        Power::Resume => OperationKind::Resume,
        Power::Halt => OperationKind::Halt,
        Power::Start => OperationKind::Start,
    }
}

fn told(power: Power, name: &str) -> Event {
    let instance = name.to_owned();
    match power {
        Power::Pause => Event::InstancePaused { instance },
        Power::Resume => Event::InstanceResumed { instance },
        Power::Halt => Event::InstanceHalted { instance },
        Power::Start => Event::InstanceStarted { instance },
    }
}

fn failed(power: Power) -> impl Fn(ProvisionError) -> PowerError {
    move |ProvisionError { cluster: instance, stage, source, .. }| match source {
        StageError::Engine(EngineError::Absent { node }) if stage == Stage::Nodes => {
            PowerError::Gone { power, instance, node }
        }
        source => PowerError::Stage { power, instance, stage, source },
    }
}
