//! Two small runs in every rendering: an isolated one, and one with a leak, an inconclusive cell and a cell that is not
//! covered. A larger run with three instances is kept as JSON, for tests of renderings elsewhere.

use insta::{assert_binary_snapshot, assert_json_snapshot, assert_snapshot};

use super::*;
use crate::audit::cells::{CellMethod, Selection};
use crate::audit::sample;
use crate::audit::subject::{Part, Parts};

fn plan(classes: &[&str]) -> Plan {
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    let selection = Selection { classes, from: vec!["acme".to_owned()], ..Selection::default() };
    Plan::new(0x2a, two(), sample::host(), &selection).expect("a plan")
}

/// The sample instances; the audit cannot use the backends of globex, so C7 is not covered.
fn two() -> Vec<Subject> {
    let mut two = sample::two();
    two[1].parts = Parts::default().without(Part::Backends, "its kubelets do not answer");
    two
}

fn times() -> (Timestamp, Timestamp) {
    let time = |text: &str| text.parse().expect("a time");
    (time("2026-11-20T14:00:00Z"), time("2026-11-20T14:00:08Z"))
}

fn clean() -> Report {
    let plan = plan(&["N8", "H5", "C8"]);
    Report::of(&plan, &sample::quiet(&plan), times())
}

/// N8 leaks from the pod; the control of C2 has no answer; C7 is not covered and not accepted.
pub(super) fn leaky() -> Report {
    let plan = plan(&["N8", "C2", "C4", "C7", "C8"]);
    let mut observed = sample::quiet(&plan);
    for cell in &plan.cells {
        let CellMethod::Probes { cross, control, .. } = &cell.way else { continue };
        if cell.class == ClassId::N8 && cell.viewpoint.to_string() == "a pod of acme" {
            sample::say(&mut observed, &cross[0], sample::answered(Some("globex/pod-witness"), "hello"));
            sample::arrive(&mut observed, "globex/pod-witness", &cross[0]);
        }
        if cell.class == ClassId::C2 {
            observed.answers.remove(&control[0]);
        }
    }
    Report::of(&plan, &observed, times())
}

#[test]
fn samples_of_containers_of_vms_and_of_both_are_isolated_without_findings() {
    let mixed = vec![sample::in_vms("acme", 60, 1), sample::subject("globex", 61, 0)];
    for (subjects, shared) in [(sample::two(), KERNEL), (sample::two_in_vms(), HYPERVISOR), (mixed, BOTH)] {
        let plan = Plan::new(1, subjects, sample::host(), &Selection::default()).expect("a plan");
        let report = Report::of(&plan, &sample::quiet(&plan), times());
        let failed: Vec<String> = report
            .cells
            .iter()
            .filter(|cell| cell.fails())
            .map(|cell| format!("{}: {}", tell::name(cell), cell.why))
            .collect();
        assert_eq!(failed, [""; 0]);
        assert_eq!((report.outcome, report.kernel.as_str()), (AuditOutcome::Isolated, shared));
    }
}

#[test]
fn a_clean_run_is_isolated_and_reported_in_every_format() {
    let report = clean();
    report.assert_isolated();
    assert_snapshot!("clean console", report.console(false));
    assert_snapshot!("clean tap", report.tap());
    assert_snapshot!("clean markdown", report.markdown());
    assert_snapshot!("clean junit", report.junit().expect("XML"));
    assert_snapshot!("clean html", report.html().expect("a page"));
}

#[test]
fn a_run_with_a_leak_is_reported_in_every_format() {
    let report = leaky();
    assert_eq!(report.outcome, AuditOutcome::Leak);
    assert_snapshot!("leaky console", report.console(false));
    assert_snapshot!("leaky console, coloured", report.console(true).replace('\u{1b}', "ESC"));
    assert_snapshot!("leaky tap", report.tap());
    assert_snapshot!("leaky markdown", report.markdown());
    assert_snapshot!("leaky junit", report.junit().expect("XML"));
    assert_snapshot!("leaky html", report.html().expect("a page"));
    assert_json_snapshot!("leaky json", report);
}

/// N8 leaks from acme to globex; the control of C2 in initech has no answer; C7 is not covered in globex, and not
/// accepted.
fn large() -> Report {
    let initech = sample::subject("initech", 62, 0);
    let subjects: Vec<Subject> = two().into_iter().chain([initech]).collect();
    let classes = ["N5", "N8", "H5", "C2", "C7", "C8", "S1"].map(str::to_owned);
    let selection = Selection { classes: classes.to_vec(), ..Selection::default() };
    let plan = Plan::new(0x2b, subjects, sample::host(), &selection).expect("a plan");
    let mut observed = sample::quiet(&plan);
    for cell in &plan.cells {
        let CellMethod::Probes { cross, control, .. } = &cell.way else { continue };
        match (cell.class, cell.source.as_str(), cell.target.name()) {
            (ClassId::N8, "acme", "globex") => {
                sample::say(&mut observed, &cross[0], sample::answered(Some("globex/pod-witness"), "hello"));
                sample::arrive(&mut observed, "globex/pod-witness", &cross[0]);
            }
            (ClassId::C2, "initech", "acme") => drop(observed.answers.remove(&control[0])),
            _ => {}
        }
    }
    Report::of(&plan, &observed, times())
}

#[test]
fn a_large_run_is_read_back_as_it_was_written() {
    let report = large();
    let text = report.json().expect("JSON");
    assert_eq!(Report::from_json(&text).expect("a report"), report);
    assert_binary_snapshot!("large.json", text.into_bytes());
}

#[test]
fn classes_accepted_later_count_like_those_accepted_at_once() {
    let mut subjects = two();
    subjects[0].parts = Parts::default().without(Part::Pods, "its pods cannot be started");
    let classes = ["H5", "H6", "C7"].map(str::to_owned).to_vec();
    let selection = Selection { classes, from: vec!["acme".to_owned()], ..Selection::default() };
    let plan = Plan::new(0x2a, subjects, sample::host(), &selection).expect("a plan");
    let observed = sample::quiet(&plan);
    let of = |accepted: &[Acceptance]| Report::of(&plan, &observed, times()).accepting(accepted);
    let accept = |class, reason: &str| Acceptance::by_test(class, reason);
    let all = [accept(ClassId::H6, "no metadata here"), accept(ClassId::C7, "tried by hand")];
    let (first, later) = all.split_at(1);
    assert_eq!(of(first).outcome, AuditOutcome::Inconclusive);
    assert_eq!(of(first).accepting(later), of(&all));
    assert_eq!(of(&all).outcome, AuditOutcome::Isolated);
    let again = of(&all).accepting(&[accept(ClassId::H6, "another reason"), accept(ClassId::H5, "it hurts")]);
    assert_eq!(again.cells, of(&all).cells, "what is covered or accepted already is as it was");
}

#[test]
fn an_instance_left_out_is_in_every_format_and_the_report_is_not_isolated() {
    let left_out = LeftOut { instance: "initech".to_owned(), why: "it is halted".to_owned() };
    let report = clean().without(vec![left_out.clone()]);
    assert_eq!(report.outcome, AuditOutcome::Inconclusive);
    assert_eq!(report.clone().accepting(&[]).outcome, AuditOutcome::Inconclusive, "it stays so");
    assert_eq!(leaky().without(vec![left_out]).outcome, AuditOutcome::Leak, "a leak is a leak");
    assert_snapshot!("left out console", report.console(false));
    assert_snapshot!("left out tap", report.tap());
    assert_snapshot!("left out markdown", report.markdown());
    let xml = report.junit().expect("XML");
    assert!(
        xml.contains(r#"<testsuite name="left out" tests="1" skipped="0" errors="0" failures="1">"#),
        "{xml}"
    );
    assert!(xml.contains(r#"message="not audited: it is halted""#), "{xml}");
    let sentence = "initech was left out because it is halted: no cell has it as source or target.";
    assert!(report.html().expect("a page").contains(sentence));
    let back = Report::from_json(&report.json().expect("JSON")).expect("a report");
    assert_eq!(back, report);
}

#[test]
fn an_audit_of_one_instance_says_that_nothing_was_asked_between_instances() {
    let alone = vec![sample::subject("acme", 60, 0)];
    let plan = Plan::new(1, alone, sample::host(), &Selection::default()).expect("a plan");
    let report = Report::of(&plan, &sample::quiet(&plan), times());
    let said = "This audit has only one instance: nothing was tested between instances.";
    for text in [report.console(false), report.markdown(), report.tap(), report.html().expect("a page")] {
        assert!(text.contains(said), "{text}");
    }
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
fn a_failed_assertion_shows_the_evidence_of_the_leak() {
    leaky().assert_isolated();
}

#[test]
fn the_report_for_programs_is_as_published() {
    published::is_schema::<Report>("audit.json");
    let left_out = LeftOut { instance: "initech".to_owned(), why: "it is halted".to_owned() };
    let reports = [clean(), leaky(), large(), clean().without(vec![left_out])];
    published::conform("audit.json", &reports.map(|report| report.json().expect("JSON")));
}

#[test]
fn the_html_report_loads_nothing_from_a_network() {
    let page = leaky().html().expect("a page");
    for word in ["<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}
