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
use provisioner::request::{EngineKind, Provider};

use super::cells::Plan;
use super::class::{Class, ClassId};
use super::judge::Run;
use super::observed::Observed;
use super::subject::Subject;
use super::verdict::{AuditOutcome, Verdict};
use super::viewpoint::{HOST, Target};

pub use model::{
    Acceptance, CellReport, ClassReport, Counts, EvidenceReport, Group, LeftOut, PairReport, PhaseReport,
    ProbeReport, Report, VERSION, WitnessReport,
};

/// What container nodes share, whatever the audit finds. Every report states it.
const KERNEL: &str = "The nodes of all instances are containers and share this host's kernel: a kernel \
                      vulnerability breaks the isolation of all clients, whatever this report says. Only VMs \
                      have separate kernels.";
/// What VMs share.
const HYPERVISOR: &str = "The nodes of all instances are VMs, each with its own kernel. They share this host's \
                          hypervisor, network stack, processors and disks: a vulnerability in one of these breaks \
                          the isolation of all clients, whatever this report says.";
/// What the nodes share where some are containers and some are VMs.
const BOTH: &str = "The nodes of some instances are containers, which share this host's kernel. The nodes of other \
                    instances are VMs, which have their own kernels and share this host's hypervisor, network \
                    stack, processors and disks. A vulnerability in a shared part breaks the isolation of the \
                    clients that share it, whatever this report says.";

/// What the nodes of these instances share, whatever the audit finds.
fn shared(subjects: &[Subject]) -> &'static str {
    let machines = subjects.iter().filter(|subject| subject.engine.is_virtual()).count();
    match machines {
        0 => KERNEL,
        all if all == subjects.len() => HYPERVISOR,
        _ => BOTH,
    }
}

/// The classes that a run on an engine accepts as not covered by default, each with its reason: nodes of this engine
/// cannot have such a leak, or the answer is known.
pub fn accepted_on(engine: EngineKind) -> Vec<Acceptance> {
    let of = |class, reason: &str| Acceptance { class, reason: reason.to_owned() };
    let own = if let EngineKind::Vagrant(provider) = engine {
        let alone = "VirtualBox has no management network";
        let h13 = (provider == Provider::Virtualbox).then(|| of(ClassId::H13, alone));
        let always = [
            of(ClassId::N2, "the VMs have no routed IPv6"),
            of(
                ClassId::H11,
                "nothing limits an instance's use of processors and disks: this is known and not tested",
            ),
        ];
        always.into_iter().chain(h13).collect()
    } else if engine == EngineKind::Container {
        vec![
            of(ClassId::N2, "container nodes have no routed IPv6"),
            of(ClassId::H4, "container nodes have no NAT interface"),
            of(
                ClassId::H11,
                "nothing limits an instance's use of the host's resources: this is known and not tested",
            ),
            of(ClassId::H13, "container nodes have no hypervisor and no management network"),
            of(ClassId::C8, "container nodes have no SSH server and no SSH keys"),
        ]
    } else {
        Vec::new()
    };
    let destroyed =
        [ClassId::T2, ClassId::T3].map(|class| of(class, "no instance was destroyed in this run"));
    own.into_iter().chain(destroyed).collect()
}

/// The classes that a run on several engines accepts by default. The first engine with a class gives the reason.
pub(super) fn accepted_on_all(engines: impl IntoIterator<Item = EngineKind>) -> Vec<Acceptance> {
    let mut accepted: Vec<Acceptance> = Vec::new();
    for acceptance in engines.into_iter().flat_map(accepted_on) {
        if accepted.iter().all(|known| known.class != acceptance.class) {
            accepted.push(acceptance);
        }
    }
    accepted
}

impl Report {
    /// Judges every cell of a run and makes the report.
    pub fn of(
        plan: &Plan,
        observed: &Observed,
        accepted: &[Acceptance],
        (started, ended): (Timestamp, Timestamp),
    ) -> Self {
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
        let report = Self {
            version: VERSION,
            run: format!("{:08x}", plan.run),
            started: format!("{started:.0}"),
            ended: format!("{ended:.0}"),
            phases: observed.phases.iter().map(PhaseReport::of).collect(),
            outcome: AuditOutcome::Inconclusive,
            kernel: shared(&plan.subjects).to_owned(),
            pairs: Vec::new(),
            counts: Counts::default(),
            classes: asked.map(ClassReport::of).collect(),
            accepted: Vec::new(),
            instances,
            left_out: Vec::new(),
            cells,
        };
        report.accepting(accepted)
    }

    /// The report with more classes accepted as not covered. A class that is already accepted keeps its reason.
    #[must_use]
    pub fn accepting(mut self, more: &[Acceptance]) -> Self {
        for acceptance in more {
            if self.accepted.iter().all(|known| known.class != acceptance.class) {
                self.accepted.push(acceptance.clone());
            }
        }
        for cell in self.cells.iter_mut().filter(|cell| cell.verdict == Verdict::NotCovered) {
            let known = self.accepted.iter().find(|acceptance| acceptance.class == cell.class);
            cell.accepted = known.map(|acceptance| acceptance.reason.clone());
        }
        self.judge();
        self.pairs = pairs(&self.instances, &self.cells);
        self.counts = Counts::of(&self.cells);
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
    }

    /// The instances without tests and the reasons, a sentence each.
    fn unasked(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|LeftOut { instance, why }| {
            format!("{instance} was left out because {why}: no cell has it as source or target.")
        });
        let alone = (self.instances.len() == 1)
            .then(|| "This audit has only one instance: nothing was tested between instances.".to_owned());
        left_out.chain(alone).collect()
    }

    /// Whether the report has a cell of this class.
    pub(super) fn asks(&self, class: ClassId) -> bool {
        self.cells.iter().any(|cell| cell.class == class)
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
