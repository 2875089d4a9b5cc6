//! Tests on real Kubernetes clusters: a test asks for clusters, uses them, and leaves nothing on the host.
//!
//! This page is a guide for people who write isolation tests in a repository of their own. Each cluster is a kubeadm
//! cluster with an API server, an etcd, certificate authorities and a network of its own. Its nodes are containers or
//! VMs on the host that runs the test.
//!
//! # Before the first test
//!
//! Tests with real clusters need root and a host on which `homelab doctor` finds nothing missing. The first fixture on
//! a host builds the node image, which takes about half an hour on two cores; `homelab assets build` or
//! `homelab assets import` does so beforehand. The test's crate has these dependencies:
//!
//! ```toml
//! [dev-dependencies]
//! harness = { package = "homelab-harness", path = "../homelab/crates/harness" }
//! provisioner = { package = "homelab-provisioner", path = "../homelab/crates/provisioner" }
//! anyhow = "1"
//! rstest = "0.28" # for "With rstest"
//! tokio = { version = "1", features = ["full"] }
//! ```
//!
//! # A first test
//!
//! ```no_run
//! use harness::{MultiClusterFixture, ping};
//! use provisioner::request::{ClusterSpec, Topology};
//!
//! # #[cfg(any())]
//! #[tokio::test]
//! # fn left_out() {}
//! async fn acme_cannot_reach_globex() -> anyhow::Result<()> {
//!     MultiClusterFixture::builder()
//!         .cluster(ClusterSpec::new("acme").topology(Topology::Multi).workers(1))
//!         .cluster(ClusterSpec::new("globex").topology(Topology::Multi).workers(1))
//!         .run(async |fx| {
//!             let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
//!             acme.run_pod(ping(acme.node("acme-cp-1").ip())).await?.assert_output_contains(" 0% packet loss");
//!             acme.run_pod(ping(globex.node("globex-cp-1").ip())).await?.assert_output_contains("UNREACHABLE");
//!             Ok(())
//!         })
//!         .await
//! }
//! ```
//!
//! The first ping is the *control*: the same probe where it must succeed. Without the control, the test would also pass
//! in a pod without `ping`.
//!
//! [`FixtureBuilder::run`] brings the clusters up side by side, runs the body, and destroys the clusters, also when the
//! body fails, panics, or is ended by SIGTERM or Ctrl-C. A failed teardown fails the test. The error type of the body
//! is any type that implements `From<FixtureError>` and `Display`, such as `anyhow::Error`.
//!
//! The names in a test are unique within its fixture only. On the host, each name has a random suffix, for instance
//! `acme-x7k2`, so that tests and operators do not collide; [`TestNode::real_name`] is the name that Kubernetes knows.
//!
//! A test runs commands in three ways: [`TestCluster::run_pod`] in a new pod, [`TestCluster::exec`] in a running pod,
//! [`TestNode::run`] on a node. [`TestCluster::apply`] applies manifests, [`TestCluster::wait_for`] waits for a
//! condition, and [`TestCluster::client`] is a `kube` client. Nodes cannot pull images, because a cluster has no route
//! to anywhere: [`TestCluster::load_image`] imports an archive into all nodes. Wait with [`wait::until`], whose
//! time-out repeats the last status, and not with `sleep`.
//!
//! # With rstest
//!
//! [`fixtures`] has builders for common cases. rstest hands them to tests by the name of the argument:
//!
//! ```no_run
//! use harness::FixtureBuilder;
//! use harness::fixtures::two_clients;
//! use rstest::rstest;
//!
//! # #[cfg(any())]
//! #[rstest]
//! #[tokio::test]
//! # fn left_out() {}
//! async fn two_clients_are_isolated(two_clients: FixtureBuilder) -> anyhow::Result<()> {
//!     two_clients
//!         .run(async |fx| {
//!             fx.audit().await?.assert_isolated();
//!             Ok(())
//!         })
//!         .await
//! }
//! ```
//!
//! # When a test fails
//!
//! The fixture keeps evidence before it destroys the clusters, and prints the folder: `target/homelab/<run>/<test>/`,
//! or the folder given to [`FixtureBuilder::evidence_in`]. `failure.txt` has the error, `events.jsonl` the events, and
//! `commands.log` the commands (unless the test installs a tracing subscriber of its own). A folder for each cluster
//! has the plan, the logs, and what `kubectl get` shows of nodes, pods, services and events.
//!
//! [`Keep::OnFailure`] leaves the clusters of a failed test on the host. The test's output then has the command that
//! removes each of them, such as `homelab down acme-x7k2`. Until then, `homelab kubectl acme-x7k2 -- get pods` works as
//! with any other instance.
//!
//! ```no_run
//! # use harness::{Keep, fixtures::two_clients};
//! # async fn test() -> anyhow::Result<()> {
//! two_clients()
//!     .keep(Keep::OnFailure)
//!     .run(async |fx| {
//!         fx.audit().await?.assert_isolated();
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```
//!
//! # Under nextest
//!
//! nextest ends a slow test with SIGTERM, and kills it after a grace period, which is 10 s by default. Evidence and
//! teardown share a budget of 50 s, or 110 s in a fixture with VMs; the grace period has to be longer:
//!
//! ```toml
//! # .config/nextest.toml
//! [profile.default]
//! slow-timeout = { period = "120s", terminate-after = 5, grace-period = "60s" }
//!
//! # One test at a time: the fixtures of tests that run side by side share the host's memory and processors.
//! [test-groups]
//! clusters = { max-threads = 1 }
//!
//! [[profile.default.overrides]]
//! filter = "all()"
//! test-group = "clusters"
//! ```
//!
//! SIGKILL leaves clusters behind. The next fixture destroys them before it begins, and so does `homelab reap`.
//!
//! # The audit in a test
//!
//! A ping covers one class of leak (N1), from one pod to one node, and nothing at the target confirms its silence.
//! [`MultiClusterFixture::audit`] sends the probes of all classes between all clusters of the fixture, in both
//! directions, with a control for each probe and a witness at each target.
//! [`assert_isolated`](audit::Report::assert_isolated) panics on a leak and on an inconclusive result, and prints the
//! matrix with the evidence. A selection sends fewer probes, and a class that is not covered can be accepted with a
//! reason:
//!
//! ```no_run
//! # use harness::MultiClusterFixture;
//! use harness::audit::{Acceptance, ClassId, Selection};
//!
//! # async fn test(fx: &MultiClusterFixture) -> anyhow::Result<()> {
//! let classes = vec!["N1".to_owned(), "N3".to_owned()];
//! let selection = Selection { classes, ..Selection::default() };
//! fx.audit_only(&selection).await?.assert_isolated();
//!
//! let accepted = [Acceptance::by_test(ClassId::C9, "tried by hand")];
//! fx.audit().await?.accepting(&accepted).assert_isolated();
//! # Ok(())
//! # }
//! ```
//!
//! [`audit`] lists the steps of a run and says what a verdict means.
//!
//! # Without clusters: the simulated engine
//!
//! Helpers around a fixture can be tested in milliseconds and without root. The feature `simulated` of
//! `homelab-provisioner` has an engine whose nodes exist in memory only. A simulated node keeps files, and each other
//! command succeeds with empty output unless the test gives an answer or a fault. There is no API server, so pods and
//! the audit do not work.
//!
//! ```
//! use std::sync::Arc;
//!
//! use harness::MultiClusterFixture;
//! use provisioner::Provisioner;
//! use provisioner::engine::SimulatedEngine;
//! use provisioner::home::Home;
//! use provisioner::request::{ClusterSpec, EngineKind, Topology};
//!
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let home = Home::at(folder.path().join("home").to_str().expect("a path in UTF-8"));
//! let engine = SimulatedEngine::new(home.id());
//! MultiClusterFixture::builder()
//!     .cluster(ClusterSpec::new("acme").topology(Topology::Single).engine(EngineKind::Simulated))
//!     .made_by(Provisioner::with_engine(home, Arc::new(engine)))
//!     .run(async |fx| {
//!         assert_eq!(fx.cluster("acme").node("acme-main").name(), "acme-main");
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```
//!
//! # Teardown
//!
//! Three rings: `run` itself, the `Drop` of the undo stack when the future of a test is dropped, and `homelab reap` for
//! the clusters of a process that SIGKILL ended.

mod builder;
mod fixture;
mod cluster;
mod attached;
mod pod;
mod ask;
mod name;
mod budget;
mod evidence;
mod journal;
mod ring;
mod undo;
mod teardown;
pub mod fixtures;
pub mod audit;
pub mod inventory;
pub mod wait;

pub use ask::AskError;
pub use attached::{AttachContextError, AttachedCluster, AttachedNode, ContextSpec};
pub use builder::{FixtureBuilder, FixtureError, Keep};
pub use cluster::{ClusterError, TestCluster, TestNode};
pub use fixture::MultiClusterFixture;
pub use pod::{PodError, PodOutput, PodRun, ping};
