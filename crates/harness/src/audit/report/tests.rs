//! Two small runs in every rendering: an isolated one, and one with a leak, an inconclusive cell and a cell that is not
//! covered. A larger run with three instances is kept as JSON, for tests of renderings elsewhere.

use insta::{assert_binary_snapshot, assert_json_snapshot, assert_snapshot};

use super::*;
use crate::audit::cells::{CellMethod, Selection};
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

/// The classes accepted by default, except H11.
fn all_but_h11() -> Vec<Acceptance> {
    let accepted = accepted_on(EngineKind::Container).into_iter();
    accepted.filter(|acceptance| acceptance.class != ClassId::H11).collect()
}

/// N8 leaks from the pod; the control of C2 has no answer; H11 is not covered and not accepted.
pub(super) fn leaky() -> Report {
    let plan = plan(&["N8", "C2", "C4", "H11", "C8"]);
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
    Report::of(&plan, &observed, &all_but_h11(), times())
}

#[test]
fn the_whole_sample_is_isolated_when_nothing_is_wrong() {
    let mixed = vec![sample::machines("acme", 60, 1), sample::subject("globex", 61, 0)];
    for (subjects, shared) in
        [(sample::two(), KERNEL), (sample::two_of_machines(), HYPERVISOR), (mixed, BOTH)]
    {
        let plan = Plan::new(1, subjects, sample::host(), &Selection::default()).expect("a plan");
        let accepted = accepted_on_all(plan.subjects.iter().map(|subject| subject.engine));
        let report = Report::of(&plan, &sample::quiet(&plan), &accepted, times());
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
    assert_eq!(report.outcome, AuditOutcome::Leak);
    assert_snapshot!("leaky console", report.console(false));
    assert_snapshot!("leaky console, coloured", report.console(true).replace('\u{1b}', "ESC"));
    assert_snapshot!("leaky tap", report.tap());
    assert_snapshot!("leaky markdown", report.markdown());
    assert_snapshot!("leaky junit", report.junit().expect("XML"));
    assert_snapshot!("leaky html", report.html().expect("a page"));
    assert_json_snapshot!("leaky json", report);
}

/// N8 leaks from acme to globex; the control of C2 in initech has no answer; H11 is not covered and not accepted.
fn large() -> Report {
    let subjects = [("acme", 60, 1), ("globex", 61, 0), ("initech", 62, 0)]
        .map(|(name, third, workers)| sample::subject(name, third, workers));
    let classes = ["N5", "N8", "H5", "C2", "C8", "H11", "S1"].map(str::to_owned);
    let selection = Selection { classes: classes.to_vec(), ..Selection::default() };
    let plan = Plan::new(0x2b, subjects.to_vec(), sample::host(), &selection).expect("a plan");
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
    Report::of(&plan, &observed, &all_but_h11(), times())
}

#[test]
fn a_large_run_is_read_back_as_it_was_written() {
    let report = large();
    let text = report.json().expect("JSON");
    assert_eq!(Report::from_json(&text).expect("a report"), report);
    assert_binary_snapshot!("large.json", text.into_bytes());
}

#[test]
fn what_is_accepted_later_counts_as_if_it_had_been_accepted_at_once() {
    let plan = plan(&["H5", "H11", "C8"]);
    let observed = sample::quiet(&plan);
    let of = |accepted: &[Acceptance]| Report::of(&plan, &observed, accepted, times());
    let accept = |class, reason: &str| Acceptance { class, reason: reason.to_owned() };
    let all = [accept(ClassId::C8, "no servers"), accept(ClassId::H11, "tried by hand")];
    let (first, later) = all.split_at(1);
    assert_eq!(of(first).outcome, AuditOutcome::Inconclusive);
    assert_eq!(of(first).accepting(later), of(&all));
    assert_eq!(of(&all).outcome, AuditOutcome::Isolated);
    let again = of(&all).accepting(&[accept(ClassId::C8, "another reason"), accept(ClassId::H5, "it hurts")]);
    assert_eq!(again.cells, of(&all).cells, "what is covered or accepted already is as it was");
}

#[test]
fn what_was_left_out_is_in_every_report_and_keeps_it_from_being_isolated() {
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
    let report = Report::of(&plan, &sample::quiet(&plan), &accepted_on(EngineKind::Container), times());
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
fn an_assertion_shows_the_evidence_of_what_fails() {
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
fn a_page_asks_nothing_of_any_network() {
    let page = leaky().html().expect("a page");
    for word in ["<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}
