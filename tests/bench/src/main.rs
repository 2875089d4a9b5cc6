//! How long things take and what they weigh, beside the budgets.
//!
//! `bench [quick] [FILE]` prints Markdown on standard output and writes the same as JSON into FILE. `quick` measures
//! what needs neither root nor a cluster. Nothing here passes or fails: people judge.

mod audits;
mod claims;
mod latency;
mod measure;
mod memory;
mod report;

use anyhow::Context;
use harness::fixtures::one_client;
use harness::{FixtureBuilder, MultiClusterFixture};
use provisioner::spec::{ClusterSpec, Topology};

use audits::Audit;
use measure::{Case, Temperature, measure};
use report::Report;

/// Warm rounds of each case; the median is reported.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (quick, json) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["claimant", home, number, claims] => return claims::claimant(home, number, claims.parse()?),
        ["quick", ref rest @ ..] => (true, rest.first().copied()),
        ref rest => (false, rest.first().copied()),
    };
    let mut figures = latency::measure().await?;
    figures.push(claims::measure().await?);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let clusters = if quick { Vec::new() } else { clusters().await? };
    let audits = if quick { Vec::new() } else { audits().await? };
    let report = Report { build, quick: figures, clusters, audits };
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("write {path}"))?;
    }
    report::print(&report);
    Ok(())
}

/// What real clusters take.
async fn clusters() -> anyhow::Result<Vec<Case>> {
    let multi = |name: &str| ClusterSpec::new(name).topology(Topology::Multi);
    let two = || MultiClusterFixture::builder().cluster(multi("acme")).cluster(multi("globex"));
    let one_worker = || MultiClusterFixture::builder().cluster(multi("acme").workers(1));
    Ok(vec![
        measure("one k8s-single, cold page cache", Temperature::Cold, 1, one_client).await?,
        measure("one k8s-single", Temperature::Warm, ROUNDS, one_client).await?,
        measure("one k8s-multi with one worker", Temperature::Warm, ROUNDS, one_worker).await?,
        measure("two k8s-multi side by side, 8 nodes", Temperature::Warm, ROUNDS, two).await?,
    ])
}

/// What audits of real clusters take.
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
