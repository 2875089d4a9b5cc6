//! Benchmarks: durations beside their budgets, and the resources of nodes.
//!
//! `bench [quick|weights] [FILE]` prints Markdown to standard output and writes the same as JSON to FILE. `quick`
//! measures only commands that need neither root nor a cluster, `weights` only the resources of nodes. A benchmark
//! does not pass or fail: a reader compares the figures with the budgets.

mod audits;
mod cgroup;
mod claims;
mod latency;
mod measure;
mod report;
mod weights;

use anyhow::Context;
use harness::fixtures::one_client;
use harness::{FixtureBuilder, MultiClusterFixture};
use provisioner::request::{ClusterSpec, CniKind, Topology};

use audits::Audit;
use measure::{Case, Temperature, measure};
use report::Report;

/// Warm rounds of each case; the median is reported.
const ROUNDS: usize = 3;

/// The benchmarks to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Only those that need neither root nor a cluster.
    Quick,
    /// Only the resources of nodes.
    Weights,
    /// All benchmarks.
    All,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (part, json) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["claimant", home, number, claims] => return claims::claimant(home, number, claims.parse()?),
        ["quick", ref rest @ ..] => (Part::Quick, rest.first().copied()),
        ["weights", ref rest @ ..] => (Part::Weights, rest.first().copied()),
        ref rest => (Part::All, rest.first().copied()),
    };
    let mut report = Report::of(if cfg!(debug_assertions) { "debug" } else { "release" });
    if part != Part::Weights {
        report.quick = latency::measure().await?;
        report.quick.push(claims::measure().await?);
    }
    if part != Part::Quick {
        report.weights = weights::measure(ROUNDS).await?;
    }
    if part == Part::All {
        report.clusters = clusters().await?;
        report.audits = audits().await?;
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("write {path}"))?;
    }
    report::print(&report);
    Ok(())
}

/// Measures the durations of real clusters.
async fn clusters() -> anyhow::Result<Vec<Case>> {
    let multi = |name: &str| ClusterSpec::new(name).topology(Topology::Multi);
    let two = || MultiClusterFixture::builder().cluster(multi("acme")).cluster(multi("globex"));
    let cilium = |topology, workers| {
        let acme = ClusterSpec::new("acme").topology(topology).workers(workers);
        MultiClusterFixture::builder().cluster(acme.cni(CniKind::Cilium))
    };
    let one_worker = || MultiClusterFixture::builder().cluster(multi("acme").workers(1));
    Ok(vec![
        measure("one k8s-single, cold page cache", Temperature::Cold, 1, one_client).await?,
        measure("one k8s-single", Temperature::Warm, ROUNDS, one_client).await?,
        measure("one k8s-multi with one worker", Temperature::Warm, ROUNDS, one_worker).await?,
        measure("two k8s-multi side by side, 8 nodes", Temperature::Warm, ROUNDS, two).await?,
        measure("one k8s-single with Cilium", Temperature::Warm, ROUNDS, || cilium(Topology::Single, 0))
            .await?,
        measure("one k8s-multi with Cilium, no worker", Temperature::Warm, ROUNDS, || {
            cilium(Topology::Multi, 0)
        })
        .await?,
        measure("one k8s-multi with Cilium, two workers", Temperature::Warm, ROUNDS, || {
            cilium(Topology::Multi, 2)
        })
        .await?,
    ])
}

/// Measures the durations of audits of real clusters.
async fn audits() -> anyhow::Result<Vec<Audit>> {
    let fixture = |names: &[&str]| {
        let multi = |name: &&str| ClusterSpec::new(*name).topology(Topology::Multi).workers(1);
        names.iter().map(multi).fold(MultiClusterFixture::builder(), FixtureBuilder::cluster)
    };
    let four = fixture(&["acme", "globex", "initech", "umbrella"]);
    Ok(vec![
        audits::measure("two k8s-multi with one worker", 10.0, ROUNDS, fixture(&["acme", "globex"])).await?,
        audits::measure("four k8s-multi with one worker", 20.0, ROUNDS, four).await?,
    ])
}
