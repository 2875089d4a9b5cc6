//! How long an audit takes, part by part.

use anyhow::ensure;
use harness::FixtureBuilder;
use harness::audit::{Outcome, Report};
use serde::Serialize;

use crate::measure::median;

/// Parts before the first probe is in place and after the last witness was heard.
const AROUND: [&str; 2] = ["set", "strike"];

/// What was measured, as medians over the rounds; times in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Audit {
    pub(crate) name: &'static str,
    pub(crate) rounds: usize,
    /// How many cells were judged.
    pub(crate) cells: usize,
    /// What it may take once the probes are in place.
    pub(crate) budget: f64,
    /// What it took then.
    pub(crate) median: f64,
    pub(crate) worst: f64,
    /// Each part, in their order.
    pub(crate) phases: Vec<(String, f64)>,
}

/// Audits all classes so many times, in clusters that come up once.
pub(crate) async fn measure(
    name: &'static str,
    budget: f64,
    rounds: usize,
    fixture: FixtureBuilder,
) -> anyhow::Result<Audit> {
    let reports: Vec<Report> = fixture
        .run(async |fx| {
            let mut reports = Vec::new();
            for _ in 0..rounds {
                let report = fx.audit().await?;
                ensure!(report.outcome == Outcome::Isolated, "{}", report.console(false));
                reports.push(report);
            }
            Ok(reports)
        })
        .await?;
    let took = |report: &Report, wanted: &dyn Fn(&str) -> bool| {
        let phases = report.phases.iter().filter(|phase| wanted(&phase.name));
        phases.map(|phase| phase.took_ms as f64 / 1000.0).sum::<f64>()
    };
    let asked = |report: &Report| took(report, &|name| !AROUND.contains(&name));
    let phases = reports[0].phases.iter().map(|phase| {
        let all = reports.iter().map(|report| took(report, &|name| name == phase.name));
        (phase.name.clone(), median(all.collect()))
    });
    Ok(Audit {
        name,
        rounds,
        cells: reports[0].counts.total(),
        budget,
        median: median(reports.iter().map(asked).collect()),
        worst: reports.iter().map(asked).fold(0.0, f64::max),
        phases: phases.collect(),
    })
}
