//! Real clusters, lent to one test.
//!
//! ```no_run
//! use harness::{MultiClusterFixture, ping};
//! use provisioner::spec::{ClusterSpec, Topology};
//!
//! # async fn test() -> anyhow::Result<()> {
//! MultiClusterFixture::builder()
//!     .cluster(ClusterSpec::new("acme").topology(Topology::Multi))
//!     .cluster(ClusterSpec::new("globex").topology(Topology::Multi))
//!     .run(async |fx| {
//!         let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
//!         acme.run_pod(ping(acme.node("acme-cp-1").ip())).await?.assert_output_contains(" 0% packet loss");
//!         acme.run_pod(ping(globex.node("globex-cp-1").ip())).await?.assert_output_contains("UNREACHABLE");
//!         // The ping is class N1 without a witness; the audit asks all classes, each with control and witness.
//!         fx.audit().await?.assert_isolated();
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```
//!
//! 1. [`FixtureBuilder`]: which clusters, and what happens to them after a failure.
//! 2. [`MultiClusterFixture`]: the clusters while the test runs; [`TestCluster`] is one of them.
//! 3. [`PodRun`] and [`PodOutput`]: a command in a pod, and what became of it.
//! 4. [`audit`]: which questions prove that clusters are isolated, and what the answers mean.
//! 5. [`wait`]: polls whose timeout repeats the last status.
//!
//! Teardown has three rings: `run` itself, the `Drop` of the undo stack, and `homelab reap` for what SIGKILL
//! leaves.

mod builder;
mod fixture;
mod cluster;
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
pub use builder::{FixtureBuilder, FixtureError, Keep};
pub use cluster::{ClusterError, TestCluster, TestNode};
pub use fixture::MultiClusterFixture;
pub use pod::{PodError, PodOutput, PodRun, ping};
