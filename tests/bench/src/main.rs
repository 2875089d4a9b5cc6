//! How long real clusters take, stage by stage, and what they weigh.
//!
//! `bench` prints Markdown on standard output and writes the same as JSON into the file that its argument names.
//! Nothing here passes or fails: the budgets stand beside the figures, and people judge.

mod measure;
mod memory;
mod report;

use anyhow::Context;
use harness::fixtures::one_client;
use provisioner::spec::{ClusterSpec, Topology};

use harness::MultiClusterFixture;
use measure::{Temperature, measure};

/// Warm rounds of each case; the median is reported.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let json = std::env::args().nth(1);
    let multi = |name: &str| ClusterSpec::new(name).topology(Topology::Multi);
    let two = || MultiClusterFixture::builder().cluster(multi("acme")).cluster(multi("globex"));
    let one_worker = || MultiClusterFixture::builder().cluster(multi("acme").workers(1));
    let cases = [
        measure("one k8s-single, cold page cache", Temperature::Cold, 1, one_client).await?,
        measure("one k8s-single", Temperature::Warm, ROUNDS, one_client).await?,
        measure("one k8s-multi with one worker", Temperature::Warm, ROUNDS, one_worker).await?,
        measure("two k8s-multi side by side, 8 nodes", Temperature::Warm, ROUNDS, two).await?,
    ];
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&cases)?;
        std::fs::write(&path, text).with_context(|| format!("write {path}"))?;
    }
    report::print(&cases);
    Ok(())
}
