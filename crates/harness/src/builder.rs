//! Which clusters a test wants, and the life of the fixture around its body.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::OnceLock;

use camino::Utf8PathBuf;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use provisioner::error::{Hint, chain};
use provisioner::events::Events;
use provisioner::exec::fix_umask;
use provisioner::home::{Home, HomeError};
use provisioner::registry::{Keeper, Owner};
use provisioner::settings::SettingsError;
use provisioner::spec::{CheckedSpec, ClusterSpec, SpecError};
use provisioner::{DestroyError, ProvisionError, Provisioner, Reaping};
use tokio::signal::unix::{SignalKind, signal};
use tracing::instrument::WithSubscriber;

use crate::budget::Budget;
use crate::cluster::{ClusterError, TestCluster};
use crate::evidence::{Evidence, say};
use crate::fixture::MultiClusterFixture;
use crate::name;
use crate::teardown::Teardown;

/// Whether clusters stay when the test is over. A test whose future is dropped, as by a time-out around it, is cancelled:
/// its clusters go, whatever is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// They go, whatever happens.
    #[default]
    Never,
    /// They stay when the test failed; its output says how to take them down.
    OnFailure,
    /// They stay.
    Always,
}

/// How many clusters a processor brings up side by side. Measured on two (docs/benchmarks.md, "Side by side"): each one
/// takes longer then, but all of them are up sooner than a few after a few, and nothing failed with up to three a
/// processor, or with Cilium two. Beyond that nobody has looked, and deadlines come near.
const PER_PROCESSOR: usize = 2;

/// How many of these clusters come up side by side on so many processors. Virtual machines have processors of their own to
/// keep busy: where these are emulated on as many as there are, two clusters took 12 minutes side by side, and one takes 4.
fn side_by_side(clusters: &[CheckedSpec], processors: usize) -> usize {
    let largest = clusters.iter().filter_map(|spec| spec.size).map(|size| usize::from(size.cpus)).max();
    largest.map_or(PER_PROCESSOR * processors, |cpus| (processors / cpus).max(1))
}

/// Says which clusters a test wants.
#[derive(Debug, Default)]
pub struct FixtureBuilder {
    specs: Vec<ClusterSpec>,
    keep: Keep,
    evidence: Option<Utf8PathBuf>,
    events: Option<tokio::sync::mpsc::UnboundedSender<Events>>,
    is_forced: bool,
    provisioner: Option<Provisioner>,
}

/// Why a fixture could not be had or could not be taken down.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// No home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Not one cluster was asked for.
    #[error("the fixture has no clusters: a test over nothing proves nothing")]
    Empty,
    /// A spec is wrong.
    #[error("the spec of '{name}'")]
    Spec {
        /// Whose.
        name: String,
        /// What is wrong.
        #[source]
        source: SpecError,
    },
    /// The user's settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// This process cannot be told from others.
    #[error("find out who owns the clusters")]
    Owner(#[source] std::io::Error),
    /// Signals cannot be listened for.
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    /// A cluster did not come up.
    #[error(transparent)]
    Provision(#[from] Box<ProvisionError>),
    /// A cluster came up and cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Someone wants the test to end.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
    /// The clusters did not go away.
    #[error("teardown failed: {}", listed(.0))]
    Teardown(Vec<DestroyError>),
}

impl Hint for FixtureError {
    /// The fixture tells it in the test's output, beside the error.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Home(error) => error.hint(),
            Self::Spec { source, .. } => source.hint(),
            Self::Settings(error) => error.hint(),
            Self::Provision(error) => error.source.hint(), // what is left is the fixture's to remove
            Self::Cluster(error) => error.hint(),
            Self::Teardown(failures) if failures.is_empty() => None,
            Self::Teardown(_) => Some("`homelab reap` tries again".to_owned()),
            Self::Empty | Self::Owner(_) | Self::Signals(_) | Self::Interrupted(_) => None,
        }
    }
}

fn listed(failures: &[DestroyError]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl MultiClusterFixture {
    /// Says which clusters there shall be.
    pub fn builder() -> FixtureBuilder {
        FixtureBuilder::default()
    }
}

impl FixtureBuilder {
    /// Asks for a cluster. Its data need not survive a power cut.
    #[must_use]
    pub fn cluster(mut self, spec: ClusterSpec) -> Self {
        self.specs.push(spec.throw_away());
        self
    }

    /// Says whether the clusters stay afterwards.
    #[must_use]
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Keeps evidence of a failure in this folder, instead of `target/homelab/<run>/<test>`.
    #[must_use]
    pub fn evidence_in(self, folder: impl Into<Utf8PathBuf>) -> Self {
        Self { evidence: Some(folder.into()), ..self }
    }

    /// Hands out the fixture's events as soon as it has some, for whoever shows progress.
    #[must_use]
    pub fn events(self, to: tokio::sync::mpsc::UnboundedSender<Events>) -> Self {
        Self { events: Some(to), ..self }
    }

    /// Brings the clusters up even if they do not fit on this machine, all together.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { is_forced: true, ..self }
    }

    /// Has the clusters made by this provisioner, instead of one for the home of the environment.
    #[must_use]
    pub fn made_by(self, provisioner: Provisioner) -> Self {
        Self { provisioner: Some(provisioner), ..self }
    }

    /// Brings the clusters up, runs the body, keeps evidence if anything failed, takes everything down.
    ///
    /// Evidence of all clusters is kept side by side, until teardown needs the rest of the time that nextest gives.
    ///
    /// A panic of the body is caught, and goes on when everything is gone. SIGTERM and SIGINT end the body. The umask of
    /// the test's process is 022 from then on: what nodes see does not depend on who runs a test.
    ///
    /// # Errors
    /// The body's own error, or a [`FixtureError`]; a failed teardown fails the test.
    pub async fn run<T, E>(self, body: impl AsyncFnOnce(&MultiClusterFixture) -> Result<T, E>) -> Result<T, E>
    where
        E: From<FixtureError> + std::fmt::Display,
    {
        fix_umask();
        let provisioner = match self.provisioner.clone() {
            Some(provisioner) => provisioner,
            None => {
                Provisioner::new(Home::from_env().map_err(FixtureError::from)?).map_err(FixtureError::from)?
            }
        };
        if let Some(to) = &self.events {
            let _ = to.send(provisioner.events().clone()); // nobody may want to see progress any more
        }
        let run = name::run_id();
        let mut evidence = Evidence::of(&provisioner, &run, self.evidence.clone());
        reap(&provisioner).await;
        let budget = Budget::of(&self.specs);
        let teardown = Teardown::new(provisioner.clone(), budget);
        let hint = OnceLock::new();
        let work = async {
            let clusters = self.bring_up(&provisioner, &teardown, &run).await;
            let clusters = clusters.inspect_err(|error| {
                error.hint().into_iter().for_each(|text| drop(hint.set(text)));
            })?;
            body(&MultiClusterFixture::of(clusters, provisioner.clone())).await
        };
        let work = AssertUnwindSafe(work.with_subscriber(evidence.listener()));
        let outcome = tokio::select! {
            biased; // signals are listened for before there is anything that they could leave behind
            signal = interrupted() => Ok(Err(E::from(signal))),
            outcome = work.catch_unwind() => outcome,
        };
        let failure = match &outcome {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(said(panic.as_ref())),
        };
        // The test's own error type need not be able to carry a hint.
        if let Some(hint) = hint.get() {
            say(&format!("hint: {hint}"));
        }
        let ends = budget.begin();
        if let Some(why) = &failure {
            let hint = hint.get().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            evidence.keep(&provisioner, &teardown.names(), &format!("{why}{hint}"), ends.evidence).await;
        }
        if self.keep == Keep::Always || (self.keep == Keep::OnFailure && failure.is_some()) {
            for name in teardown.keep() {
                // `reap` leaves an operator's instance alone.
                let kept = provisioner.keep(&name).map(drop);
                let why = kept.map_or_else(|error| format!(" ({error})"), |()| String::new());
                say(&format!("kept: `homelab down {name}` takes it down{why}"));
            }
        }
        let left = teardown.close(ends.teardown).await;
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(Ok(_)) if !left.is_empty() => {
                let error = FixtureError::Teardown(left);
                error.hint().into_iter().for_each(|hint| say(&format!("hint: {hint}")));
                Err(error.into())
            }
            Ok(outcome) => {
                for failure in left {
                    say(&format!("teardown failed: {failure}"));
                }
                outcome
            }
        }
    }

    async fn bring_up(
        &self,
        provisioner: &Provisioner,
        teardown: &Teardown,
        run: &str,
    ) -> Result<Vec<TestCluster>, FixtureError> {
        if self.specs.is_empty() {
            return Err(FixtureError::Empty);
        }
        let owner = Owner::hold(provisioner.home(), run).map_err(FixtureError::Owner)?;
        let suffix = name::suffix();
        let checked = self.specs.iter().map(|spec| {
            let real = ClusterSpec { name: format!("{}-{suffix}", spec.name), ..spec.clone() };
            real.check().map_err(|source| FixtureError::Spec { name: spec.name.clone(), source })
        });
        let checked = checked.collect::<Result<Vec<_>, _>>()?;
        if !self.is_forced {
            provisioner.admit(&checked).await.map_err(Box::new)?;
        }
        // They are admitted all together, and what the first ones take must not be counted against the others twice.
        let provisioner = &provisioner.clone().forced();
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        stream::iter(self.specs.iter().zip(&checked).map(|(asked, checked)| {
            let keeper = Keeper::Run(owner.clone());
            async move {
                teardown.push(checked.name.as_str());
                let cluster = provisioner.create(checked, keeper).await.map_err(Box::new)?;
                Ok::<_, FixtureError>(TestCluster::of(provisioner, asked.name.clone(), cluster).await?)
            }
        }))
        .buffered(side_by_side(&checked, processors))
        .try_collect()
        .await
    }
}

/// Takes away what dead tests left. A failure of that is not this test's.
async fn reap(provisioner: &Provisioner) {
    match provisioner.reap().await {
        Ok(Reaping { reaped, spared, blind }) => {
            for (engine, error) in blind {
                say(&format!("could not ask {engine} for leftovers: {}", chain(&error)));
            }
            for one in spared {
                say(&one.to_string());
            }
            for one in reaped {
                let how = one.outcome.map_or_else(|error| error.to_string(), |()| "gone".to_owned());
                say(&format!("reaped {}, {}: {how}", one.instance, one.why));
            }
        }
        Err(error) => say(&format!("could not reap: {error}")),
    }
}

/// Waits for somebody to want the test to end.
async fn interrupted() -> FixtureError {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => FixtureError::Interrupted("SIGTERM"),
            _ = interrupt.recv() => FixtureError::Interrupted("SIGINT"),
        },
        (Err(error), _) | (_, Err(error)) => FixtureError::Signals(error),
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the test panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provisioner::engine::{Engine, Fault, Lack, SimulatedEngine};
    use provisioner::spec::{EngineKind, Provider};

    use super::*;

    #[tokio::test]
    async fn a_fixture_that_fails_tells_what_to_do_about_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        let home = Home::at(folder.join("home"));
        let lack = Lack { what: "podman".to_owned(), remedy: "apt-get install podman".to_owned() };
        let engine = SimulatedEngine::new(home.id()).with_fault(Fault::Preflight(lack));
        let error = FixtureBuilder::default()
            .cluster(ClusterSpec::new("acme").engine(EngineKind::Simulated))
            .made_by(Provisioner::with_engine(home, Arc::new(engine)))
            .evidence_in(folder.join("evidence"))
            .run(async |_| Ok::<_, FixtureError>(()))
            .await
            .unwrap_err();
        assert_eq!(error.hint().unwrap(), "`homelab doctor` lists all missing requirements");
        let kept = std::fs::read_to_string(folder.join("evidence/failure.txt")).unwrap();
        assert!(kept.contains("\nhint: `homelab doctor` lists all missing requirements\n"), "{kept}");
    }

    #[tokio::test(start_paused = true)]
    async fn evidence_that_hangs_is_cut_off_and_teardown_begins_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        let home = Home::at(folder.join("home"));
        // Each question to an API server takes 150 s until its deadline.
        let engine = SimulatedEngine::new(home.id()).emulated();
        let engine = engine.with_fault(Fault::Hang("get events".to_owned()));
        let provisioner = Provisioner::with_engine(home, Arc::new(engine.clone()));
        let begun = tokio::time::Instant::now();
        let error = FixtureBuilder::default()
            .cluster(ClusterSpec::new("acme").workers(0).engine(EngineKind::Simulated))
            .made_by(provisioner.clone())
            .evidence_in(folder.join("evidence"))
            .run(async |_| Err::<(), _>(FixtureError::Interrupted("SIGTERM")))
            .await
            .unwrap_err();
        assert!(matches!(error, FixtureError::Interrupted(_)), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 20, "what teardown leaves of 50 s");
        assert_eq!(engine.sightings().await.unwrap(), [], "the cluster is gone");
        assert_eq!(provisioner.registry().list().unwrap(), []);
    }

    #[test]
    fn machines_come_up_beside_each_other_only_as_far_as_each_has_processors_of_its_own() {
        let container = ClusterSpec::new("acme").check().unwrap();
        let machines = ClusterSpec::new("globex").engine(EngineKind::Vagrant(Provider::Libvirt));
        let machines = machines.check().unwrap();
        assert_eq!(side_by_side(std::slice::from_ref(&container), 2), 4);
        assert_eq!(side_by_side(std::slice::from_ref(&machines), 2), 1);
        assert_eq!(side_by_side(&[container, machines.clone()], 1), 1, "each comes up at some time");
        assert_eq!(side_by_side(&[machines], 16), 8);
    }
}
