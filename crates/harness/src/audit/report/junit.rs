//! JUnit: a suite for each pair, a case for each class in it, and the evidence in the body of a failure.

use quick_junit::{NonSuccessKind, ReportUuid, TestCase, TestCaseStatus, TestSuite};

use super::model::{Group, LeftOut};
use super::{Report, tell};
use crate::audit::cells::NotAsked;
use crate::audit::class::Class;
use crate::audit::verdict::Verdict;

impl Report {
    /// The report as JUnit XML. The `classname` of a case is the class's id. A case that is neither isolated nor
    /// accepted is a failure, so no reader takes it for a pass.
    ///
    /// # Errors
    /// Errors of the XML writer.
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = quick_junit::Report::new(format!("isolation audit {}", self.run));
        report.uuid = None::<ReportUuid>;
        let groups = self.groups();
        for pair in &self.pairs {
            let of = |group: &&Group<'_>| group.source == pair.source && group.target == pair.target;
            let mut suite = TestSuite::new(format!("{} → {}", pair.source, pair.target));
            suite.add_test_cases(groups.iter().filter(of).map(case));
            report.add_test_suite(suite);
        }
        if !self.left_out.is_empty() {
            let mut suite = TestSuite::new("left out");
            suite.add_test_cases(self.left_out.iter().map(left_out));
            report.add_test_suite(suite);
        }
        if !self.not_asked.is_empty() {
            let mut suite = TestSuite::new("not asked");
            suite.add_test_cases(self.not_asked.iter().map(not_asked));
            report.add_test_suite(suite);
        }
        report.to_string()
    }
}

/// The case of an instance that was left out: a failure, because an instance without tests is not isolated.
fn left_out(left_out: &LeftOut) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type("LEFT OUT").set_message(format!("not audited: {}", left_out.why));
    TestCase::new(format!("{} is audited", left_out.instance), status)
}

/// The case of classes that were not asked: skipped, with the reason.
fn not_asked(not_asked: &NotAsked) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status.set_type("NOT ASKED").set_message(not_asked.why.clone());
    TestCase::new(not_asked.what.clone(), status)
}

fn case(group: &Group<'_>) -> TestCase {
    let verdict = group.verdict().name();
    let why = group.worst().next().map_or("", |cell| cell.why.as_str());
    let status = if group.fails() {
        let cells = group.cells.iter().filter(|cell| cell.fails());
        let body: Vec<String> = cells.map(|cell| tell::cell(cell)).collect();
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(verdict).set_message(format!("{verdict}: {why}")).set_description(body.join("\n"));
        status
    } else if let Some(reason) = group.cells.iter().find_map(|cell| cell.accepted.as_ref()) {
        let mut status = TestCaseStatus::skipped();
        status.set_type(verdict).set_message(format!("accepted: {reason}"));
        status
    } else if group.verdict() == Verdict::NotApplicable {
        let mut status = TestCaseStatus::skipped();
        status.set_type(verdict).set_message(why.to_owned());
        status
    } else {
        TestCaseStatus::success()
    };
    let title = Class::of(group.class).title;
    let mut case =
        TestCase::new(format!("{}: {title}, {} → {}", group.class, group.source, group.target), status);
    case.set_classname(group.class.to_string());
    case
}
