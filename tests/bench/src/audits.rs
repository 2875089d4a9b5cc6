//! The duration of an audit and of its parts.

use anyhow::ensure;
use harness::FixtureBuilder;
use harness::audit::{AuditOutcome, Report};
use serde::Serialize;

use crate::measure::median;

/// The parts before the first probe is deployed and after the last witness has reported.
const AROUND: [&str; 2] = ["deploy", "remove"];

/// The figures of an audit, as medians over the rounds, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Audit {
    pub(crate) name: &'static str,
    pub(crate) rounds: usize,
    /// The number of judged cells.
    pub(crate) cells: usize,
    /// The budget for the audit without deploying and removing the probes.
    pub(crate) budget: f64,
    /// The duration without deploying and removing the probes.
    pub(crate) median: f64,
    pub(crate) worst: f64,
    /// All parts with their durations, in their order.
    pub(crate) phases: Vec<(String, f64)>,
}

/// Audits all classes `rounds` times, in the same clusters.
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
                ensure!(report.outcome == AuditOutcome::Isolated, "{}", report.console(false));
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
