//! The self-test of T2 and T3, which needs the destruction of an instance: of a third one, made for this test.
//!
//! The name of the third instance begins with the name of the target, so that a destruction by prefix would also hit
//! the target.
//!
//! 1. The third instance is created and relics are left in it. It is destroyed together with the injection of T3: the
//!    audit has to find the target changed.
//! 2. It is created again under the same name, and must have none of the relics. With the relics in it (the injection of
//!    T2), the audit has to find them, and after they were removed nothing.
//! 3. It is destroyed again, and the audit has to find the target unchanged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use provisioner::Provisioner;
use provisioner::exec::CommandError;
use provisioner::registry::{Keeper, Owner};
use provisioner::request::{CheckedSpec, ClusterSpec, SpecError, Topology};
use provisioner::{DestroyError, ProvisionError};

use super::relics::{Relics, RelicsError};
use super::score::Detection;
use super::state::{self, Snapshot};
use crate::audit::inject::Pair;
use crate::audit::subject::{Destroyed, Subject};
use crate::audit::{ClassId, HostSubject, Observed, Plan, Property, Report, SelectionError};
use crate::cluster::{ClusterError, TestCluster};
use crate::name;
use crate::undo::{Left, Undos};

/// Why T2 and T3 could not be tested.
#[derive(Debug, thiserror::Error)]
pub(super) enum DestructionError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("record this process as the owner of the third instance")]
    Owner(#[source] std::io::Error),
    #[error(transparent)]
    Create(#[from] Box<ProvisionError>),
    #[error(transparent)]
    Destroy(#[from] DestroyError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Relics(#[from] RelicsError),
    #[error(transparent)]
    Plan(#[from] SelectionError),
    #[error("destroy the third instance")]
    Left(#[from] Left),
}

/// The results of both injections: T2 (`inherited`) and T3 (`destroyed`).
#[derive(Debug, Clone)]
pub(super) struct Detections {
    pub(super) inherited: Detection,
    pub(super) destroyed: Detection,
}

/// Tests both injections, one after the other. The third instance is destroyed at the end, also after an error.
pub(super) async fn detect(pair: &Pair<'_>) -> Result<Detections, DestructionError> {
    let third = Third::beside(pair)?;
    let mut undos = Undos::default();
    let (provisioner, doomed) = (third.provisioner.clone(), third.spec.name.to_string());
    undos.push(format!("destroy {doomed}"), move || {
        let (provisioner, doomed) = (provisioner.clone(), doomed.clone());
        async move { provisioner.destroy(&doomed).await.map(drop) }
    });
    let detections = third.detect(pair).await;
    undos.close().await?;
    detections
}

/// How the third instance is made.
struct Third {
    provisioner: Provisioner,
    spec: CheckedSpec,
    owner: Owner,
}

impl Third {
    fn beside(pair: &Pair<'_>) -> Result<Self, DestructionError> {
        let other = &pair.to.inner().instance;
        // With a random suffix, because an instance of this name is destroyed even if it could not be created here.
        let name = format!("{}-{}", other.name, name::suffix());
        let spec = ClusterSpec {
            engine: other.engine,
            size: other.size,
            cni: other.k8s.cni,
            cilium: other.k8s.cilium,
            ..ClusterSpec::new(name).topology(Topology::Single).throw_away()
        };
        let owner = Owner::hold(pair.provisioner.home(), name::run_id()).map_err(DestructionError::Owner)?;
        Ok(Self { provisioner: pair.provisioner.clone(), spec: spec.check()?, owner })
    }

    async fn detect(&self, pair: &Pair<'_>) -> Result<Detections, DestructionError> {
        let first = self.make().await?;
        let relics = Relics::of(&first)?;
        relics.leave_in(&first).await?;
        let stirred = self.destroy(pair, async || restart_kubelet(pair.to).await).await?;

        let second = self.make().await?;
        let find = async || relics.found_in(&second).await;
        let leave = async || relics.leave_in(&second).await;
        let remove = async || relics.remove_from(&second).await;
        let (injected, inherited) = searches(find, leave, remove).await?;
        let calm = self.destroy(pair, async || Ok(())).await?;

        let facts = |relics| (relics, Vec::new());
        let judged = |class, during, after| {
            let (during, after) = (self.report(pair, class, during)?, self.report(pair, class, after)?);
            let there = (self.spec.name.as_str(), pair.to.name());
            Ok::<_, DestructionError>(Detection::judge(&during, &after, there, None))
        };
        Ok(Detections {
            inherited: judged(ClassId::T2, facts(injected), facts(inherited))?,
            destroyed: judged(ClassId::T3, (None, stirred), (None, calm))?,
        })
    }

    async fn make(&self) -> Result<TestCluster, DestructionError> {
        let keeper = Keeper::Run(self.owner.clone());
        let made = self.provisioner.create(&self.spec, keeper).await.map_err(Box::new)?;
        Ok(TestCluster::of(&self.provisioner, self.spec.name.to_string(), made).await?)
    }

    /// Destroys the third instance, calls `meanwhile`, and compares the state of the target before and after.
    async fn destroy(
        &self,
        pair: &Pair<'_>,
        meanwhile: impl AsyncFnOnce() -> Result<(), CommandError>,
    ) -> Result<Vec<Property>, DestructionError> {
        let before = Snapshot::of(pair.to).await?;
        self.provisioner.destroy(self.spec.name.as_str()).await?;
        meanwhile().await?;
        Ok(state::compared(&before, &Snapshot::of(pair.to).await?))
    }

    /// The report of an audit of one class with these facts.
    fn report(
        &self,
        pair: &Pair<'_>,
        class: ClassId,
        (inherited, other): (Option<Vec<String>>, Vec<Property>),
    ) -> Result<Report, DestructionError> {
        let name = self.spec.name.to_string();
        let third = Subject { name: name.clone(), ..pair.source.clone() };
        let plan =
            Plan::on_request(0, vec![third, pair.target.clone()], HostSubject::default(), (class, &name))?;
        let mut observed = Observed::default();
        let others = BTreeMap::from([(pair.to.name().to_owned(), other)]);
        observed.after.destroyed = Some(Destroyed { instance: name, inherited, others });
        let now = Timestamp::now();
        Ok(Report::of(&plan, &observed, (now, now)))
    }
}

/// The relics that an instance has: with the injection of T2 (`leave`), and without it. `None` when a search could not be
/// made. What an earlier instance has left is searched for before the injection, whose removal would delete it.
async fn searches<E>(
    find: impl AsyncFn() -> Option<Vec<String>>,
    leave: impl AsyncFnOnce() -> Result<(), E>,
    remove: impl AsyncFnOnce() -> Result<(), E>,
) -> Result<(Option<Vec<String>>, Option<Vec<String>>), E> {
    let inherited = find().await;
    leave().await?;
    let injected = find().await;
    remove().await?;
    let left = find().await;
    let all = inherited.zip(left).map(|(inherited, left)| [inherited, left].concat());
    Ok((injected, all))
}

/// The injection of T3: restarts the kubelet of the target's last node.
async fn restart_kubelet(other: &TestCluster) -> Result<(), CommandError> {
    let restart = other.inner().plan.platform.restart("kubelet");
    match other.nodes().last() {
        Some(node) => node.run(&restart).await.map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn what_the_first_instance_left_is_found_although_the_injection_deletes_it() {
        let relics = |left: Vec<String>| async move {
            let files = RefCell::new(left);
            let found = searches(
                async || Some(files.borrow().clone()),
                async || {
                    files.borrow_mut().push("relic".to_owned());
                    Ok::<_, Infallible>(())
                },
                async || {
                    files.borrow_mut().clear();
                    Ok(())
                },
            );
            found.await.expect("it cannot fail")
        };
        let one = || vec!["relic".to_owned()];
        assert_eq!(relics(Vec::new()).await, (Some(one()), Some(Vec::new())));
        assert_eq!(relics(one()).await.1, Some(one()));
    }
}
