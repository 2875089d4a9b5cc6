//! The figures, as JSON and as Markdown.

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::audits::Audit;
use crate::measure::{Case, Temperature};
use crate::weights::Weight;

/// All figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The build: `debug` or `release`.
    pub(crate) build: &'static str,
    /// Durations of commands that need no cluster.
    pub(crate) quick: Vec<Figure>,
    /// Durations of real clusters.
    pub(crate) clusters: Vec<Case>,
    /// Durations of audits.
    pub(crate) audits: Vec<Audit>,
    /// Resources of nodes.
    pub(crate) weights: Vec<Weight>,
}

impl Report {
    /// A report without figures.
    pub(crate) fn of(build: &'static str) -> Self {
        Self { build, ..Self::default() }
    }
}

/// A duration beside its budget, both in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) rounds: usize,
    pub(crate) budget: f64,
    pub(crate) median: f64,
    pub(crate) worst: f64,
}

/// Prints all figures.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
pub(crate) fn print(report: &Report) {
    println!("{} build:\n", report.build);
    if !report.quick.is_empty() {
        quick(&report.quick);
    }
    if !report.weights.is_empty() {
        weights(&report.weights);
    }
    if !report.clusters.is_empty() {
        clusters(&report.clusters);
    }
    if !report.audits.is_empty() {
        audits(&report.audits);
    }
}

/// Prints the durations of commands that need no cluster.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
fn quick(all: &[Figure]) {
    let mut figures = table(&["what", "budget", "median", "worst", "rounds"]);
    for figure in all {
        let [budget, median, worst] = [figure.budget, figure.median, figure.worst].map(short);
        figures.add_row([figure.name.clone(), budget, median, worst, figure.rounds.to_string()]);
    }
    println!("{figures}\n");
}

/// Prints the resources of nodes.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
fn weights(all: &[Weight]) {
    let columns =
        ["pod network", "node", "memory", "peak", "CPUs when idle", "bring-up", "inotify", "rounds"];
    let mut figures = table(&columns);
    for weight in all {
        figures.add_row([
            weight.cni.clone(),
            weight.role.to_owned(),
            format!("{:.0} MiB", weight.memory),
            format!("{:.0} MiB", weight.peak),
            format!("{:.3}", weight.processors),
            format!("{:.1} s", weight.bring_up),
            format!("{:.0}", weight.inotify),
            weight.rounds.to_string(),
        ]);
    }
    println!("{figures}\n");
}

/// Prints the figures of all cases, and the stages of each case.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
fn clusters(cases: &[Case]) {
    let mut figures = table(&["case", "up", "a pod resolves a name", "down", "a worker", "memory a cluster"]);
    for case in cases {
        figures.add_row([
            case.name.to_owned(),
            seconds(case.up),
            seconds(case.first_answer),
            seconds(case.down),
            case.worker.map_or_else(String::new, seconds),
            format!("{:.0} MiB", case.memory),
        ]);
    }
    println!("{figures}\n");
    for case in cases {
        let rounds = if case.temperature == Temperature::Cold { "cold, one round" } else { "median" };
        let mut shares = table(&["stage", "took", "share"]);
        for (stage, took) in &case.stages {
            shares.add_row([stage.clone(), seconds(*took), format!("{:.0} %", 100.0 * took / case.up)]);
        }
        println!("{} ({rounds} of {}):\n\n{shares}\n", case.name, case.rounds);
    }
}

/// Prints the durations of audits without deploying and removing the probes, and the parts of each audit.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
fn audits(audits: &[Audit]) {
    let mut figures = table(&["audit of", "cells", "budget", "median", "worst", "rounds"]);
    for audit in audits {
        let [budget, median, worst] = [audit.budget, audit.median, audit.worst].map(seconds);
        let (cells, rounds) = (audit.cells.to_string(), audit.rounds.to_string());
        figures.add_row([audit.name.to_owned(), cells, budget, median, worst, rounds]);
    }
    println!("{figures}\n");
    for audit in audits {
        let all: f64 = audit.phases.iter().map(|(_, took)| took).sum();
        let mut shares = table(&["part", "took", "share"]);
        for (part, took) in &audit.phases {
            shares.add_row([part.clone(), seconds(*took), format!("{:.0} %", 100.0 * took / all)]);
        }
        println!("{}:\n\n{shares}\n", audit.name);
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(columns.to_vec());
    table
}

/// A duration in seconds as text, in milliseconds if it is shorter than a second.
fn short(time: f64) -> String {
    if time < 1.0 { format!("{:.1} ms", 1000.0 * time) } else { seconds(time) }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}
