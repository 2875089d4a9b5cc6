//! Two small runs, rendered in every way: one in which all is well, and one with a leak, an inconclusive and a not
//! covered cell.

use insta::{assert_json_snapshot, assert_snapshot};
use schemars::schema_for;

use super::*;
use crate::audit::cells::{CellWay, Selection};
use crate::audit::sample;

fn plan(classes: &[&str]) -> Plan {
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    let selection = Selection { classes, from: vec!["acme".to_owned()], to: Vec::new() };
    Plan::new(0x2a, sample::two(), sample::host(), &selection).expect("a plan")
}

fn times() -> (Timestamp, Timestamp) {
    let time = |text: &str| text.parse().expect("a time");
    (time("2026-11-20T14:00:00Z"), time("2026-11-20T14:00:08Z"))
}

fn clean() -> Report {
    let plan = plan(&["N8", "H5", "C8"]);
    Report::of(&plan, &sample::quiet(&plan), &accepted_on(EngineKind::Container), times())
}

/// N8 leaks from the pod; N5 has a witness that lost packets; H11 is not covered.
pub(super) fn leaky() -> Report {
    let plan = plan(&["N8", "C2", "C4", "H11", "C8"]);
    let mut observed = sample::quiet(&plan);
    for cell in &plan.cells {
        let CellWay::Probes { cross, control, .. } = &cell.way else { continue };
        if cell.class == ClassId::N8 && cell.viewpoint.to_string() == "a pod of acme" {
            sample::say(&mut observed, &cross[0], sample::answered(Some("globex/pod-witness"), "hello"));
            sample::arrive(&mut observed, "globex/pod-witness", &cross[0]);
        }
        if cell.class == ClassId::C2 {
            observed.answers.remove(&control[0]);
        }
    }
    Report::of(&plan, &observed, &accepted_on(EngineKind::Container), times())
}

#[test]
fn the_whole_sample_is_isolated_when_nothing_is_wrong() {
    let plan = Plan::new(1, sample::two(), sample::host(), &Selection::default()).expect("a plan");
    let report = Report::of(&plan, &sample::quiet(&plan), &accepted_on(EngineKind::Container), times());
    let failed: Vec<String> = report
        .cells
        .iter()
        .filter(|cell| cell.fails() && cell.class != ClassId::H11)
        .map(|cell| format!("{}: {}", tell::name(cell), cell.why))
        .collect();
    assert_eq!(failed, [""; 0]);
    assert_eq!(report.outcome, Outcome::Inconclusive, "H11 is not accepted by itself");
}

#[test]
fn a_clean_run() {
    let report = clean();
    report.assert_isolated();
    assert_snapshot!("clean console", report.console(false));
    assert_snapshot!("clean tap", report.tap());
    assert_snapshot!("clean markdown", report.markdown());
    assert_snapshot!("clean junit", report.junit().expect("XML"));
    assert_snapshot!("clean html", report.html().expect("a page"));
}

#[test]
fn a_run_with_a_leak() {
    let report = leaky();
    assert_eq!(report.outcome, Outcome::Leak);
    assert_snapshot!("leaky console", report.console(false));
    assert_snapshot!("leaky console, coloured", report.console(true).replace('\u{1b}', "ESC"));
    assert_snapshot!("leaky tap", report.tap());
    assert_snapshot!("leaky markdown", report.markdown());
    assert_snapshot!("leaky junit", report.junit().expect("XML"));
    assert_snapshot!("leaky html", report.html().expect("a page"));
    assert_json_snapshot!("leaky json", report);
}

#[test]
fn no_report_holds_a_secret() {
    let report = leaky();
    let all = [
        report.json().expect("JSON"),
        report.junit().expect("XML"),
        report.html().expect("a page"),
        report.tap(),
        report.markdown(),
        report.console(true),
        format!("{:?}", plan(&["C2", "C4"])),
    ];
    assert!(all.iter().all(|text| !text.contains("hunter2")));
}

#[test]
#[should_panic(expected = "arrived as tcp from 192.168.60.10:40312 at witness globex/pod-witness")]
fn an_assertion_shows_the_evidence() {
    leaky().assert_isolated();
}

#[test]
fn the_schema_is_as_published() {
    let schema = serde_json::to_string_pretty(&schema_for!(Report)).expect("a schema") + "\n";
    assert_eq!(schema, include_str!("../../../../../docs/schemas/audit.json"));
}

#[test]
fn a_page_asks_nothing_of_any_network() {
    let page = leaky().html().expect("a page");
    for word in ["<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}
