//! An instance comes to rest, with its memory or its disks alone, and goes on again.
//!
//! It is recorded as at rest before the first node is, and as running when the API server answers again: whatever was
//! cut short in between is finished by the same verb.

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

/// How long a container may take from its start until it runs commands.
const BOOT: Duration = Duration::from_secs(30);

/// Why an instance did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// There is no such instance.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The instance is not in a state for it: nothing was done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It is another cluster than the one that is meant.
    #[error(transparent)]
    Identity(IdentityError),
    /// A node of it does not exist any more.
    #[error("{power} {instance}: its node {node} is gone")]
    Gone {
        /// What it was told.
        power: Power,
        /// The instance's name.
        instance: String,
        /// The node.
        node: String,
    },
    /// A stage failed.
    #[error("{power} {instance}: stage {stage}")]
    Stage {
        /// What it was told.
        power: Power,
        /// The instance's name.
        instance: String,
        /// Where it failed.
        stage: Stage,
        /// Why.
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
                "`homelab status {instance}` shows what there is; what was on that node is gone with it, and \
                     `homelab down {instance}` takes the rest away"
            )),
            Self::Stage {
                power: Power::Resume,
                instance,
                source: StageError::Engine(EngineError::Absent { .. }),
                ..
            } => Some(format!("it is off, as after a reboot of this host: `homelab start {instance}`")),
            Self::Stage { power, instance, .. } => Some(format!(
                "`homelab {power} {instance}` may be repeated; `homelab status {instance}` shows what there is"
            )),
        }
    }
}

impl Provisioner {
    /// Stops all nodes of an instance where they are: they keep their memory and get no processor. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] it is recorded as paused, and some of its nodes may run.
    pub async fn pause(&self, name: &str) -> Result<Instance, PowerError> {
        self.rest(name, Power::Pause).await
    }

    /// Has a paused instance go on, and waits until its API server answers. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] it is still recorded as paused.
    pub async fn resume(&self, name: &str) -> Result<Instance, PowerError> {
        self.wake(name, Power::Resume).await
    }

    /// Shuts all nodes of an instance down: they keep their disks. May be repeated.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] it is recorded as halted, and some of its nodes may run.
    pub async fn halt(&self, name: &str) -> Result<Instance, PowerError> {
        self.rest(name, Power::Halt).await
    }

    /// Boots the nodes of a halted instance, has those of a paused one go on, and waits until its API server answers. May
    /// be repeated, and ends whatever rest an instance is in: what was paused is off after a reboot of this host.
    ///
    /// # Errors
    /// [`PowerError`]; after [`PowerError::Stage`] it is recorded as before.
    pub async fn start(&self, name: &str) -> Result<Instance, PowerError> {
        self.wake(name, Power::Start).await
    }

    async fn rest(&self, name: &str, power: Power) -> Result<Instance, PowerError> {
        self.known(name)?;
        let stages = Stages::of(name, &self.events);
        let allowed = |instance: &Instance| plan::at_rest(instance, power).map(|_| instance.clone());
        let (instance, hold) = self.hold(name, operation(power), allowed)?;
        // A paused or halted one does not answer; one that runs must be the one that is meant, if it can tell.
        if instance.state == State::Running {
            self.identify_if_it_answers(&instance).await.map_err(PowerError::Identity)?;
            self.settle(instance, &hold, &stages).await.map_err(failed(power))?;
        }
        let instance = hold.record(|instance| plan::at_rest(instance, power))?;
        self.tell(&instance, power, &stages).await.map_err(failed(power))?;
        let instance = hold.end(|_| ())?;
        self.events.publish(told(power, name));
        Ok(instance)
    }

    async fn wake(&self, name: &str, power: Power) -> Result<Instance, PowerError> {
        self.known(name)?;
        let allowed = |instance: &Instance| plan::awake(instance, power).map(|_| instance.clone());
        let (instance, hold) = self.hold(name, operation(power), allowed)?;
        let stages = Stages::of(name, &self.events);
        if power == Power::Start {
            self.refuse_overlaps(&instance)?;
            if hold.interrupted == Some(OperationKind::Halt) {
                // What the killed process has started, such as `podman stop`, lives on, and would end nodes that run now.
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
            Ok(Instance { boot_id: this_boot().map(str::to_owned), ..plan::awake(instance, power)? })
        })?;
        self.settle(instance, &hold, &stages).await.map_err(failed(power))?;
        let instance = hold.end(|_| ())?;
        self.events.publish(told(power, name));
        Ok(instance)
    }

    /// Refuses an instance whose networks another home of this host has claimed, while the list of homes did not lead
    /// to this one.
    fn refuse_overlaps(&self, instance: &Instance) -> Result<(), PowerError> {
        let Some(others) = self.others()? else { return Ok(()) };
        Ok(plan::apart(instance, &others.instances(&self.home)?)?)
    }

    /// Waits until nodes that are on their way have booted, have certificates that are good for another month, know the
    /// ways to each other's pods, which a kernel forgets, and serve the API. Says whether certificates were issued anew;
    /// the kubeconfigs are then, too.
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

    /// Takes handles on nodes as soon as all of them run commands.
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

    /// Has all machines do what they are told.
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
