//! What every engine promises, written once: `unit` runs it against the simulated engine, `e2e` against those
//! that make real nodes.
//!
//! Each promise takes away what it made, also when it is broken. The promises themselves are in `promises`.

mod promises;

use std::sync::Arc;

use anyhow::{Context, ensure};
use jiff::Timestamp;

use provisioner::engine::Engine;
use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, InstanceId, Pools, Taken};
use provisioner::spec::{ClusterSpec, Topology};

/// An engine on trial, and where its instances may live.
#[derive(Debug, Clone)]
pub struct Trial {
    engine: Arc<dyn Engine>,
    home: Home,
    taken: Taken,
}

/// Holds an engine to all its promises, one after the other.
///
/// `taken` is what the trial's instances must keep clear of: the host's own networks, for a real engine.
///
/// # Errors
/// The first promise that is broken.
pub async fn engine_suite(engine: Arc<dyn Engine>, home: Home, taken: Taken) -> anyhow::Result<()> {
    let trial = Trial { engine, home, taken };
    let broken = |promise: &'static str| move || format!("broken promise: {promise}");
    trial.nothing_is_there().await.with_context(broken("a trial begins with nothing"))?;
    trial.create_may_be_repeated().await.with_context(broken("create may be repeated"))?;
    trial.attach_finds_what_create_made().await.with_context(broken("attach finds what create made"))?;
    trial.attach_says_what_is_absent().await.with_context(broken("attach says what is absent"))?;
    trial.a_node_runs_commands_and_keeps_files().await.with_context(broken("a node runs commands"))?;
    trial.sightings_tell_what_exists().await.with_context(broken("sightings tell what exists"))?;
    trial.destroy_may_come_at_any_time().await.with_context(broken("destroy may come at any time"))?;
    trial.instances_go_alone().await.with_context(broken("destroying one instance leaves the other"))?;
    trial.one_node_goes_and_comes_again().await.with_context(broken("one node goes alone"))?;
    trial.a_larger_plan_adds_what_is_missing().await.with_context(broken("create adds what is missing"))?;
    trial.logs_are_collected().await.with_context(broken("logs are collected"))
}

impl Trial {
    /// Plans clusters that do not overlap.
    fn plans<const N: usize>(&self, wishes: [(&str, u8); N]) -> anyhow::Result<[ClusterPlan; N]> {
        let mut taken = self.taken.clone();
        let mut plans = Vec::new();
        for (name, workers) in wishes {
            let topology = if workers == 0 { Topology::Single } else { Topology::Multi };
            let spec = ClusterSpec::new(name).topology(topology).workers(workers).throw_away().check()?;
            let instance = plan::claim(&spec, &taken, &Pools::default(), None, Timestamp::UNIX_EPOCH)?;
            plans.push(ClusterPlan::of(&instance, &self.home));
            self.home.create_dir(&self.home.instance(name))?;
            taken.instances.push(instance);
        }
        plans.try_into().map_err(|_| anyhow::anyhow!("one plan for each wish"))
    }

    async fn destroy(&self, plan: &ClusterPlan) -> anyhow::Result<bool> {
        Ok(self.engine.destroy(&plan.id, &plan.folder).await?)
    }

    /// Destroys all plans' nodes, whatever the outcome, then looks whether nothing is left.
    async fn cleaned<T>(&self, plans: &[ClusterPlan], outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        for plan in plans {
            let destroyed = self.destroy(plan).await;
            if outcome.is_ok() {
                destroyed?;
            }
        }
        let outcome = outcome?;
        self.nothing_is_there().await?;
        Ok(outcome)
    }

    async fn nothing_is_there(&self) -> anyhow::Result<()> {
        let left = self.engine.sightings().await?;
        ensure!(left.is_empty(), "things are left: {left:?}");
        Ok(())
    }

    fn id(&self, name: &str) -> InstanceId {
        InstanceId { home: self.home.id(), name: name.to_owned() }
    }
}
