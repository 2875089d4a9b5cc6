//! The promises of every engine, written once: `unit` checks them on the simulated engine, `e2e` on the engines that
//! make real nodes.
//!
//! A node may take a minute to boot, so all promises are checked on the same two instances, with six boots in all:
//! `a` with two nodes, and `a-cp-1`, whose name begins with that of `a` and equals that of one of its nodes. Both are
//! destroyed at the end, also when a promise is broken. The checks are in `promises`.

mod promises;

use std::sync::Arc;

use anyhow::{Context, ensure};
use jiff::Timestamp;

use provisioner::engine::Engine;
use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, InstanceId, Pools, Taken};
use provisioner::registry::{Keeper, Operation, OperationKind, Owner};
use provisioner::request::{ClusterSpec, EngineKind, NodeSize, Topology};
use provisioner::sighting::SightingKind;

/// An engine under test, and the instances that it makes.
#[derive(Debug)]
pub struct Trial {
    engine: Arc<dyn Engine>,
    home: Home,
    /// `a`: a control plane and a worker.
    large: ClusterPlan,
    /// `a-cp-1`: one node.
    small: ClusterPlan,
}

/// Checks all promises of an engine, one after the other.
///
/// `kind` is the engine in the plans of the instances. `taken` has the networks that they must not get: those of the
/// host, for a real engine.
///
/// # Errors
/// The first promise that is broken.
pub async fn engine_suite(
    kind: EngineKind,
    engine: Arc<dyn Engine>,
    home: Home,
    taken: Taken,
) -> anyhow::Result<()> {
    let trial = Trial::new(kind, engine, home, taken)?;
    let outcome = trial.all_promises().await;
    trial.cleaned(outcome).await
}

impl Trial {
    fn new(kind: EngineKind, engine: Arc<dyn Engine>, home: Home, mut taken: Taken) -> anyhow::Result<Self> {
        let mut planned = |name: &str, topology: Topology| {
            let spec = ClusterSpec::new(name).topology(topology).engine(kind).throw_away();
            let spec = if topology == Topology::Multi { spec.workers(1) } else { spec };
            let spec = if kind.is_virtual() { spec.size(NodeSize::LEAST) } else { spec };
            let owner = Owner::current("contract")?;
            let creation = Operation { kind: OperationKind::Create, owner, since: Timestamp::UNIX_EPOCH };
            let pools = Pools::default();
            let instance = plan::claim(&spec.check()?, &taken, &pools, Keeper::Operator, creation)?;
            home.create_dir(&home.instance(name))?;
            let plan = ClusterPlan::of(&instance, &home);
            taken.instances.push(instance);
            anyhow::Ok(plan)
        };
        let large = planned("a", Topology::Multi)?;
        let small = planned("a-cp-1", Topology::Single)?;
        Ok(Self { engine, home, large, small })
    }

    /// Checks the promises in this order, because each check begins with the nodes that the one before it leaves.
    async fn all_promises(&self) -> anyhow::Result<()> {
        let broken = |promise: &'static str| move || format!("broken promise: {promise}");
        self.nothing_is_there().await.with_context(broken("nothing exists before the first check"))?;
        self.what_never_was_is_absent()
            .await
            .with_context(broken("nodes that were never made are absent"))?;
        self.create_may_be_repeated().await.with_context(broken("create may be repeated"))?;
        self.attach_finds_what_create_made()
            .await
            .with_context(broken("attach finds the nodes of create"))?;
        self.a_node_runs_commands_and_keeps_files().await.with_context(broken("a node runs commands"))?;
        self.sightings_tell_what_exists().await.with_context(broken("sightings list what exists"))?;
        self.nodes_reach_nodes_of_their_own_instance_only()
            .await
            .with_context(broken("nodes reach only nodes of their own instance"))?;
        self.logs_are_collected().await.with_context(broken("logs are collected"))?;
        self.a_paused_node_keeps_its_memory().await.with_context(broken("a paused node keeps its memory"))?;
        self.a_halted_node_keeps_its_disk().await.with_context(broken("a halted node keeps its disk"))?;
        self.one_node_goes_alone().await.with_context(broken("one node can be destroyed alone"))?;
        self.create_adds_what_is_missing().await.with_context(broken("create adds missing nodes"))?;
        self.instances_go_alone().await.with_context(broken("destroying one instance leaves the other"))?;
        self.destroy_may_come_at_any_time().await.with_context(broken("destroy works at any time"))
    }

    async fn destroy(&self, plan: &ClusterPlan) -> anyhow::Result<bool> {
        Ok(self.engine.destroy(&plan.id, &plan.folder).await?)
    }

    /// Destroys all nodes for any outcome, then checks that nothing is left.
    async fn cleaned(&self, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
        for plan in [&self.large, &self.small] {
            let destroyed = self.destroy(plan).await;
            if outcome.is_ok() {
                destroyed.context("destroy at the end")?;
            }
        }
        outcome?;
        self.nothing_is_there().await.context("nothing exists after the last check")
    }

    async fn nothing_is_there(&self) -> anyhow::Result<()> {
        let left = self.engine.sightings().await?;
        ensure!(left.is_empty(), "sightings are left: {left:?}");
        Ok(())
    }

    /// The names of the nodes that exist, of all instances.
    async fn nodes_there(&self) -> anyhow::Result<Vec<String>> {
        let is_node = |kind| matches!(kind, SightingKind::Container | SightingKind::Vm);
        let sightings = self.engine.sightings().await?.into_iter();
        let mut names: Vec<String> =
            sightings.filter(|sighting| is_node(sighting.kind)).map(|sighting| sighting.name).collect();
        names.sort();
        Ok(names)
    }

    fn id(&self, name: &str) -> InstanceId {
        InstanceId { home: self.home.id(), name: name.to_owned() }
    }
}
