//! [`FixtureBuilder`]: the clusters that a test asks for, and the order of bring-up, body, evidence and teardown.
//!
//! Only [`FixtureBuilder::run`] does anything; the other methods collect options.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::OnceLock;

use camino::Utf8PathBuf;
use futures::future::try_join_all;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use provisioner::error::{Hint, chain};
use provisioner::events::Events;
use provisioner::exec::fix_umask;
use provisioner::home::{Home, HomeError};
use provisioner::registry::{Keeper, Owner};
use provisioner::request::{CheckedSpec, ClusterSpec, SpecError};
use provisioner::settings::SettingsError;
use provisioner::{DestroyError, ProvisionError, Provisioner, Reaping};
use tokio::signal::unix::{SignalKind, signal};
use tracing::instrument::WithSubscriber;

use crate::attached::{AttachContextError, AttachedCluster, ContextSpec};
use crate::budget::Budget;
use crate::cluster::{ClusterError, TestCluster};
use crate::evidence::{Evidence, say};
use crate::fixture::MultiClusterFixture;
use crate::name;
use crate::teardown::Teardown;

/// Whether the clusters stay on the host after the test. Where the test's future is dropped, for instance by a time-out
/// around it, the clusters are always destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The clusters are always destroyed.
    #[default]
    Never,
    /// The clusters of a failed test stay. The test's output has the `homelab down` command for each of them.
    OnFailure,
    /// The clusters stay, and the output has the `homelab down` commands.
    Always,
}

/// How many clusters come up side by side for each processor of the host. Measured on two processors
/// (docs/benchmarks.md, "Clusters in parallel"): each cluster takes longer then, but all of them are up sooner than in batches.
/// Nothing failed with up to three clusters for each processor, or two with Cilium. More were not measured, and come
/// close to the deadlines.
const PER_PROCESSOR: usize = 2;

/// How many of these clusters come up side by side on a host with `processors` processors. With VMs, only as many as
/// the host has processors for, by the largest node: with as many emulated processors as the host has, two clusters
/// took 12 minutes side by side, and one takes 4. Pure.
fn side_by_side(clusters: &[CheckedSpec], processors: usize) -> usize {
    let largest = clusters.iter().filter_map(|spec| spec.size).map(|size| usize::from(size.cpus)).max();
    largest.map_or(PER_PROCESSOR * processors, |cpus| (processors / cpus).max(1))
}

/// Collects what a test asks for: clusters and options. [`FixtureBuilder::run`] brings the clusters up.
#[derive(Debug, Default)]
pub struct FixtureBuilder {
    specs: Vec<ClusterSpec>,
    contexts: Vec<ContextSpec>,
    keep: Keep,
    evidence: Option<Utf8PathBuf>,
    events: Option<tokio::sync::mpsc::UnboundedSender<Events>>,
    is_forced: bool,
    provisioner: Option<Provisioner>,
}

/// Why the clusters of a fixture could not be brought up or destroyed.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// There is no usable home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The builder has no cluster.
    #[error("the fixture has no clusters: add `.cluster(…)` or `.attached(…)` to the builder")]
    Empty,
    /// A spec is invalid.
    #[error("check the spec of '{name}'")]
    Spec {
        /// The cluster's name, as the test gives it.
        name: String,
        /// All problems of the spec.
        #[source]
        source: SpecError,
    },
    /// The home's `config.yaml` cannot be read or used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// `/proc` cannot be read or the home's lock cannot be taken, so the clusters would have no owner.
    #[error("record this process as the owner of the clusters")]
    Owner(#[source] std::io::Error),
    /// The handlers of SIGTERM and SIGINT cannot be installed.
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    /// A cluster did not come up.
    #[error(transparent)]
    Provision(#[from] Box<ProvisionError>),
    /// A cluster that homelab did not make could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachContextError),
    /// A cluster came up, but its API server or nodes cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A signal ended the test: `SIGTERM` or `SIGINT`.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
    /// Clusters could not be destroyed, each with its error.
    #[error("teardown failed: {}", listed(.0))]
    Teardown(Vec<DestroyError>),
}

impl Hint for FixtureError {
    /// [`FixtureBuilder::run`] prints the hint to the test's output, because the test's own error may not carry it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Home(error) => error.hint(),
            Self::Spec { source, .. } => source.hint(),
            Self::Settings(error) => error.hint(),
            Self::Provision(error) => error.source.hint(), // what is left is the fixture's to remove
            Self::Attach(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Teardown(failures) if failures.is_empty() => None,
            Self::Teardown(_) => Some("`sudo homelab reap` tries again".to_owned()),
            Self::Empty | Self::Owner(_) | Self::Signals(_) | Self::Interrupted(_) => None,
        }
    }
}

fn listed(failures: &[DestroyError]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl MultiClusterFixture {
    /// An empty builder.
    pub fn builder() -> FixtureBuilder {
        FixtureBuilder::default()
    }

    /// A builder with clusters that homelab did not make, by their contexts in the user's kubeconfig. The fixture changes
    /// nothing in them; an audit deploys its probes there and removes them. See [`FixtureBuilder::attached`].
    ///
    /// ```no_run
    /// use harness::audit::Acceptance;
    /// use harness::{ContextSpec, MultiClusterFixture};
    ///
    /// # async fn our_clusters_are_separate() -> anyhow::Result<()> {
    /// let prod = ContextSpec::new("prod").probe_image("registry.example.com/toolbox:1");
    /// MultiClusterFixture::attached([prod, ContextSpec::new("dev")])
    ///     .run(async |fx| {
    ///         let report = fx.audit().await?;
    ///         let classes = report.not_covered().into_iter().map(|(class, ..)| class);
    ///         let accepted = classes.map(|class| Acceptance {
    ///             class,
    ///             reason: "only the kubeconfigs are known".to_owned(),
    ///             by: "the test".to_owned(),
    ///         });
    ///         report.clone().accepting(&accepted.collect::<Vec<_>>()).assert_isolated();
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn attached(contexts: impl IntoIterator<Item = impl Into<ContextSpec>>) -> FixtureBuilder {
        contexts.into_iter().fold(Self::builder(), FixtureBuilder::attached)
    }
}

impl FixtureBuilder {
    /// Adds a cluster. It is a test's instance ([`ClusterSpec::throw_away`]): its etcd does not sync to disk, and the
    /// user's kubeconfig and the host's names do not have it.
    #[must_use]
    pub fn cluster(mut self, spec: ClusterSpec) -> Self {
        self.specs.push(spec.throw_away());
        self
    }

    /// Adds a cluster that homelab did not make: `"prod"`, a context of the user's kubeconfig, or a [`ContextSpec`] with
    /// more. It is attached before the first cluster comes up, and stays as it is.
    #[must_use]
    pub fn attached(mut self, context: impl Into<ContextSpec>) -> Self {
        self.contexts.push(context.into());
        self
    }

    /// Chooses whether the clusters stay after the test. The default is [`Keep::Never`].
    #[must_use]
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Writes the evidence of a failure to this folder instead of `target/homelab/<run>/<test>`.
    #[must_use]
    pub fn evidence_in(self, folder: impl Into<Utf8PathBuf>) -> Self {
        Self { evidence: Some(folder.into()), ..self }
    }

    /// Sends the fixture's event stream to this channel before the clusters come up, so that a caller can show
    /// progress.
    #[must_use]
    pub fn events(self, to: tokio::sync::mpsc::UnboundedSender<Events>) -> Self {
        Self { events: Some(to), ..self }
    }

    /// Skips the check that the host has capacity for all clusters of the fixture together.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { is_forced: true, ..self }
    }

    /// Creates the clusters with this provisioner instead of one for the home that the environment names.
    #[must_use]
    pub fn made_by(self, provisioner: Provisioner) -> Self {
        Self { provisioner: Some(provisioner), ..self }
    }

    /// Brings the clusters up, runs the body, keeps evidence after a failure, and destroys the clusters.
    ///
    /// Evidence of all clusters is collected side by side. It is cut off when the teardown needs the remaining time of
    /// nextest's grace period.
    ///
    /// A panic of the body is caught, and resumed after the teardown. SIGTERM and SIGINT end the body. The umask of the
    /// test's process is set to 022 for good, so that files that nodes see do not depend on the user who runs a test.
    ///
    /// # Errors
    /// The body's own error, or a [`FixtureError`]. A failed teardown fails the test; the clusters stay recorded then,
    /// and `homelab reap` removes them.
    ///
    /// # Panics
    /// When the body panics, with the body's own panic.
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
            let _ = to.send(provisioner.events().clone()); // the receiver may be gone
        }
        let run = name::run_id();
        let mut evidence = Evidence::of(&provisioner, &run, self.evidence.clone());
        reap(&provisioner).await;
        let budget = Budget::of(&self.specs);
        let teardown = Teardown::new(provisioner.clone(), budget);
        let hint = OnceLock::new();
        let work = async {
            let ready = async {
                let attached = self.attach(&provisioner).await?;
                Ok::<_, FixtureError>((self.bring_up(&provisioner, &teardown, &run).await?, attached))
            };
            let (clusters, attached) = ready.await.inspect_err(|error| {
                error.hint().into_iter().for_each(|text| drop(hint.set(text)));
            })?;
            body(&MultiClusterFixture::of(clusters, attached, provisioner.clone())).await
        };
        let work = AssertUnwindSafe(work.with_subscriber(evidence.listener()));
        let outcome = tokio::select! {
            biased; // the signal handlers are installed before the first cluster is claimed
            signal = interrupted() => Ok(Err(E::from(signal))),
            outcome = work.catch_unwind() => outcome,
        };
        let failure = match &outcome {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(said(panic.as_ref())),
        };
        // The test's own error type may not carry a hint.
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
                // As an operator's instance: `reap` does not remove those.
                let kept = provisioner.keep(&name).map(drop);
                let why = kept.map_or_else(|error| format!(" ({error})"), |()| String::new());
                say(&format!("kept: `sudo homelab down {name}` takes it down{why}"));
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

    async fn attach(&self, provisioner: &Provisioner) -> Result<Vec<AttachedCluster>, FixtureError> {
        let attached = self.contexts.iter().map(|spec| AttachedCluster::attach(provisioner.home(), spec));
        Ok(try_join_all(attached).await?)
    }

    async fn bring_up(
        &self,
        provisioner: &Provisioner,
        teardown: &Teardown,
        run: &str,
    ) -> Result<Vec<TestCluster>, FixtureError> {
        match (self.specs.as_slice(), self.contexts.as_slice()) {
            ([], []) => return Err(FixtureError::Empty),
            ([], _) => return Ok(Vec::new()),
            _ => {}
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
        // All clusters were admitted together: `create` must not count the first ones against the others again.
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

/// Destroys the clusters of tests whose process has ended. A failure is printed and does not fail this test.
async fn reap(provisioner: &Provisioner) {
    match provisioner.reap().await {
        Ok(Reaping { reaped, spared, blind }) => {
            for (engine, error) in blind {
                say(&format!("cannot list leftovers of {engine}: {}", chain(&error)));
            }
            for one in spared {
                say(&one.to_string());
            }
            for one in reaped {
                let how = one.outcome.map_or_else(|error| error.to_string(), |()| "removed".to_owned());
                say(&format!("reaped {}, {}: {how}", one.instance, one.why));
            }
        }
        Err(error) => say(&format!("cannot reap what ended tests left: {error}")),
    }
}

/// Waits for SIGTERM or SIGINT.
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

/// The message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the test panicked".to_owned())
}

#[cfg(test)]
mod tests;
