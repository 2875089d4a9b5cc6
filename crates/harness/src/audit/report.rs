//! The result of a run, for people and for programs: one value with many renderings.
//!
//! [`Report`] holds everything. The renderings are pure functions of it and decide nothing. A report contains no
//! secret: it describes probes in words, and only names the kind of credentials in them.

mod model;
mod tell;
mod console;
mod json;
mod junit;
mod tap;
mod markdown;
mod html;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::cells::Plan;
use super::class::{Class, ClassId};
use super::judge::Run;
use super::observed::Observed;
use super::subject::{Kernel, Subject};
use super::verdict::{AuditOutcome, Verdict};
use super::viewpoint::{HOST, Target};

pub use model::{
    Acceptance, CellReport, ClassReport, Counts, EvidenceReport, Group, LeftOut, PairReport, PhaseReport,
    ProbeReport, Report, VERSION, WitnessReport,
};

/// What container nodes share, whatever the audit finds. Every report states it.
const KERNEL: &str = "The nodes of all instances are containers and share this host's kernel: root on a node can \
                      change settings of the kernel that all nodes share, and a kernel vulnerability breaks the \
                      isolation of all clients, whatever this report says. Only VMs have separate kernels.";
/// What VMs share.
const HYPERVISOR: &str = "The nodes of all instances are VMs, each with its own kernel. They share this host's \
                          hypervisor, network stack, processors and disks: a vulnerability in one of these breaks \
                          the isolation of all clients, whatever this report says.";
/// What the nodes share where some are containers and some are VMs.
const BOTH: &str = "The nodes of some instances are containers, which share this host's kernel. The nodes of other \
                    instances are VMs, which have their own kernels and share this host's hypervisor, network \
                    stack, processors and disks. A vulnerability in a shared part breaks the isolation of the \
                    clients that share it, whatever this report says.";

/// What is not known of clusters of which only the kubeconfig is known.
const UNKNOWN: &str = "Only the kubeconfigs of these clusters are known: whether their nodes share a kernel, a hypervisor, \
                       a network or disks with another cluster is not. A vulnerability in a shared part breaks the \
                       isolation of the clients that share it, whatever this report says.";

/// What the nodes of these clusters share, whatever the audit finds.
fn shared(subjects: &[Subject]) -> String {
    let of = |kernel: Kernel| {
        subjects.iter().filter(move |subject| subject.kernel == kernel).map(|it| it.name.as_str())
    };
    let here = match (of(Kernel::OfHost).count(), of(Kernel::Own).count()) {
        (0, 0) => None,
        (_, 0) => Some(KERNEL),
        (0, _) => Some(HYPERVISOR),
        _ => Some(BOTH),
    };
    let unknown: Vec<&str> = of(Kernel::Unknown).collect();
    let there = (!unknown.is_empty()).then(|| format!("{UNKNOWN} ({})", unknown.join(", ")));
    here.map(str::to_owned).into_iter().chain(there).collect::<Vec<_>>().join(" ")
}

impl Report {
    /// Judges every cell of a run and makes the report. Nothing is accepted yet: see [`Self::accepting`].
    pub fn of(plan: &Plan, observed: &Observed, (started, ended): (Timestamp, Timestamp)) -> Self {
        let run = Run::new(plan, observed);
        let cells: Vec<CellReport> = plan
            .cells
            .iter()
            .map(|cell| {
                let (judgement, evidence) = run.judge(cell);
                CellReport {
                    class: cell.class,
                    source: cell.source.clone(),
                    target: cell.target.name().to_owned(),
                    viewpoint: cell.viewpoint.to_string(),
                    protocol: cell.protocol.clone(),
                    verdict: judgement.verdict,
                    why: judgement.why,
                    accepted: None,
                    evidence: evidence.as_ref().map(tell::evidence),
                }
            })
            .collect();
        let instances: Vec<String> = plan.subjects.iter().map(|subject| subject.name.clone()).collect();
        let asked = Class::all().filter(|class| cells.iter().any(|cell| cell.class == class.id));
        let mut report = Self {
            version: VERSION,
            run: format!("{:08x}", plan.run),
            started: format!("{started:.0}"),
            ended: format!("{ended:.0}"),
            phases: observed.phases.iter().map(PhaseReport::of).collect(),
            outcome: AuditOutcome::Inconclusive,
            kernel: shared(&plan.subjects),
            pairs: Vec::new(),
            counts: Counts::default(),
            classes: asked.map(ClassReport::of).collect(),
            accepted: Vec::new(),
            instances,
            left_out: Vec::new(),
            not_asked: plan.not_asked.clone(),
            cells,
        };
        report.judge();
        report
    }

    /// The report with classes that the operator accepts as not covered. A class that is already accepted keeps its
    /// reason. The program itself accepts none.
    #[must_use]
    pub fn accepting(mut self, more: &[Acceptance]) -> Self {
        for acceptance in more {
            if self.accepted.iter().all(|known| known.class != acceptance.class) {
                self.accepted.push(acceptance.clone());
            }
        }
        for cell in self.cells.iter_mut().filter(|cell| cell.verdict == Verdict::NotCovered) {
            let known = self.accepted.iter().find(|acceptance| acceptance.class == cell.class);
            cell.accepted = known.map(|known| format!("{} (by {})", known.reason, known.by));
        }
        self.judge();
        self
    }

    /// The report with the instances that were left out of the audit. With at least one, the outcome is never isolated.
    #[must_use]
    pub fn without(mut self, left_out: Vec<LeftOut>) -> Self {
        self.left_out = left_out;
        self.judge();
        self
    }

    fn judge(&mut self) {
        let cells = AuditOutcome::of(self.cells.iter().map(|cell| (cell.verdict, cell.accepted.is_some())));
        self.outcome = match cells {
            AuditOutcome::Isolated if !self.left_out.is_empty() => AuditOutcome::Inconclusive,
            outcome => outcome,
        };
        self.pairs = pairs(&self.instances, &self.cells);
        self.counts = Counts::of(&self.cells);
    }

    /// What this report does not say anything about, and why, a sentence each.
    fn unasked(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|LeftOut { instance, why }| {
            format!("{instance} was left out because {why}: no cell has it as source or target.")
        });
        let alone = (self.instances.len() == 1)
            .then(|| "This audit has only one instance: nothing was tested between instances.".to_owned());
        let not_asked = self.not_asked.iter().map(|it| format!("{}: {}.", it.what, it.why));
        left_out.chain(alone).chain(not_asked).collect()
    }

    /// Whether the report has a cell of this class.
    pub(super) fn asks(&self, class: ClassId) -> bool {
        self.cells.iter().any(|cell| cell.class == class)
    }

    /// Why the class is not covered, where none of its cells is. A class that is not applicable becomes applicable by
    /// its injection.
    pub(super) fn why_not_covered(&self, class: ClassId) -> Option<String> {
        let cells = || self.cells.iter().filter(|cell| cell.class == class);
        let covered = |cell: &CellReport| cell.verdict != Verdict::NotCovered;
        cells().next().filter(|_| !cells().any(covered)).map(|cell| cell.why.clone())
    }

    /// The cells of each class and pair, in the order of the classes.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<(ClassId, &str, &str), Vec<&CellReport>> = BTreeMap::new();
        for cell in &self.cells {
            groups.entry((cell.class, &cell.source, &cell.target)).or_default().push(cell);
        }
        groups
            .into_iter()
            .map(|((class, source, target), cells)| Group { class, source, target, cells })
            .collect()
    }

    /// Asserts that every instance is isolated from every other one.
    ///
    /// # Panics
    /// When the outcome is a leak or inconclusive. The message has the matrix, and the evidence of the cells that fail.
    #[track_caller]
    pub fn assert_isolated(&self) {
        if self.outcome != AuditOutcome::Isolated {
            panic!(
                "the instances are not proven to be isolated: {}\n\n{}",
                self.outcome,
                self.console(false)
            );
        }
    }

    /// The classes with this verdict, with the reason. Each reason appears once.
    pub fn with(&self, verdict: Verdict) -> BTreeSet<(ClassId, &str)> {
        let cells = self.cells.iter().filter(|cell| cell.verdict == verdict);
        cells.map(|cell| (cell.class, cell.why.as_str())).collect()
    }

    /// The classes that were not covered: the reason, and whether it is accepted. Each reason appears once.
    pub fn not_covered(&self) -> BTreeSet<(ClassId, &str, bool)> {
        let cells = self.cells.iter().filter(|cell| cell.verdict == Verdict::NotCovered);
        cells
            .map(|cell| (cell.class, cell.accepted.as_deref().unwrap_or(&cell.why), cell.accepted.is_some()))
            .collect()
    }
}

/// The matrix: the worst verdict of each pair, and the number of its cells. A pair without cells has no verdict.
fn pairs(instances: &[String], cells: &[CellReport]) -> Vec<PairReport> {
    let host = Target::Host;
    let columns = instances.iter().map(String::as_str).chain([host.name()]);
    let columns: Vec<&str> = columns.collect();
    let pair = |source: &String, target: &str| {
        let of = cells.iter().filter(|cell| cell.source == *source && cell.target == target);
        let of: Vec<&CellReport> = of.collect();
        let accepted = |cell: &&&CellReport| cell.accepted.is_none();
        let verdict = of.iter().filter(accepted).map(|cell| cell.verdict).max();
        PairReport {
            source: source.clone(),
            target: target.to_owned(),
            verdict: verdict.or_else(|| of.first().map(|_| Verdict::NotCovered)),
            counts: Counts::of(of),
        }
    };
    let others =
        |source: &String| columns.iter().filter(|target| *target != source).copied().collect::<Vec<_>>();
    instances
        .iter()
        .flat_map(|source| others(source).into_iter().map(|target| pair(source, target)))
        .collect()
}

/// The targets of the matrix, in its order.
fn columns(report: &Report) -> Vec<&str> {
    report.instances.iter().map(String::as_str).chain([HOST]).collect()
}
