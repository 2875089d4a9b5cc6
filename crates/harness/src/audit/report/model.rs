//! The report as data, for programs. Fields are only added; the schema is `docs/schemas/audit.json`.

use serde::{Deserialize, Serialize};

use crate::audit::cells::NotAsked;
use crate::audit::class::{Class, ClassId};
use crate::audit::observed::Phase;
use crate::audit::verdict::{AuditOutcome, Verdict};

/// The version of the report format.
pub const VERSION: u32 = 1;

/// The report of a run of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The version of the report format.
    pub version: u32,
    /// The number in all nonces of this run, eight hex digits.
    pub run: String,
    /// When the first probe was sent, RFC 3339.
    pub started: String,
    /// When the last witness was read, RFC 3339.
    pub ended: String,
    /// The duration of each part of the run, in their order.
    pub phases: Vec<PhaseReport>,
    /// The outcome of all cells together.
    pub outcome: AuditOutcome,
    /// What the nodes of all instances share, whatever the audit finds: the host's kernel, or its hypervisor.
    pub kernel: String,
    /// The instances, in the order of the matrix.
    pub instances: Vec<String>,
    /// The instances of this host that were left out of the audit. With at least one, the outcome is never isolated.
    #[serde(default, rename = "leftOut")]
    pub left_out: Vec<LeftOut>,
    /// Classes, sources and targets that were not asked, each with the reason.
    #[serde(default, rename = "notAsked")]
    pub not_asked: Vec<NotAsked>,
    /// The number of cells with each verdict.
    pub counts: Counts,
    /// The matrix: each instance against each other one, and against the host, whose name is `host`.
    pub pairs: Vec<PairReport>,
    /// The classes of all cells.
    pub classes: Vec<ClassReport>,
    /// The classes that are accepted as not covered.
    pub accepted: Vec<Acceptance>,
    /// Every cell.
    pub cells: Vec<CellReport>,
}

/// An instance that was left out of the audit: no cell has it as source or target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Its name.
    pub instance: String,
    /// The reason: `it is halted`.
    pub why: String,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PhaseReport {
    /// `deploy`: start probers and witnesses; `facts`: collect facts; `probe`: send the probes; `probe, routed`: as root
    /// with a route through the host; `probe, through the hypervisor`: as root with a route through the hypervisor; `read`:
    /// read the witnesses; `remove`: remove everything.
    pub name: String,
    /// Its duration in milliseconds.
    pub took_ms: u64,
}

/// The number of cells with each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Cells that have nothing to ask, by what was found in the run.
    #[serde(default)]
    pub not_applicable: usize,
    /// Cells that are isolated.
    pub isolated: usize,
    /// Cells in which the source reached the target by declared paths only.
    #[serde(default)]
    pub expected: usize,
    /// Cells that leak.
    pub leak: usize,
    /// Cells that are inconclusive.
    pub inconclusive: usize,
    /// Cells that are not covered, the accepted ones included.
    pub not_covered: usize,
    /// Cells that are not covered and accepted.
    pub accepted: usize,
}

/// One field of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairReport {
    /// The source instance.
    pub source: String,
    /// The target: an instance, or `host` for the host.
    pub target: String,
    /// The worst verdict among its cells that are not accepted; null when it has no cells.
    pub verdict: Option<Verdict>,
    /// The number of its cells with each verdict.
    pub counts: Counts,
}

/// A class with cells in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClassReport {
    /// Its id.
    pub id: ClassId,
    /// A few words: `TCP, open port`.
    pub title: String,
    /// The name of its group: `Network`.
    pub group: String,
    /// The meaning of a leak of this class.
    pub means: String,
}

/// A class that is accepted as not covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Acceptance {
    /// Its id.
    pub class: ClassId,
    /// The reason.
    pub reason: String,
    /// Who accepts it: `ada, by --accept`, `config.yaml`, `the test`.
    #[serde(default)]
    pub by: String,
}

impl Acceptance {
    /// An acceptance by a test, for [`Report::accepting`].
    pub fn by_test(class: ClassId, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), by: "the test".to_owned() }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CellReport {
    /// Its class.
    pub class: ClassId,
    /// The source instance.
    pub source: String,
    /// The target: an instance, or `host` for the host.
    pub target: String,
    /// The viewpoint of its probes: `a pod of acme`, `node acme-cp-1, routed`.
    pub viewpoint: String,
    /// The protocol of its probes, `look` for an inspection, `facts` for a comparison of facts, or `none`.
    pub protocol: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for the verdict.
    pub why: String,
    /// The reason why it is accepted as not covered; null where it is not.
    pub accepted: Option<String>,
    /// The evidence of the verdict; null where no probe was sent.
    pub evidence: Option<EvidenceReport>,
}

/// The evidence of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvidenceReport {
    /// The probes from the source to the target.
    pub question: Vec<ProbeReport>,
    /// The control at the source: the same probes to the source's own instance.
    pub control: Vec<ProbeReport>,
    /// The control at the target: the same probes from within the target.
    pub own: Vec<ProbeReport>,
    /// The target's witnesses.
    pub witnesses: Vec<WitnessReport>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeReport {
    /// Its nonce.
    pub nonce: String,
    /// The viewpoint that sent it.
    pub from: String,
    /// The command of its prober.
    pub command: Option<String>,
    /// A description of the probe: `TCP connection to 192.168.61.10:7001`.
    pub sent: String,
    /// When the first packet left, RFC 3339; null where the prober did not report it.
    pub at: Option<String>,
    /// The number of packets that left, as far as the prober knows.
    pub packets: u32,
    /// The answer that the prober reported.
    pub answer: String,
    /// The arrivals that witnesses reported.
    pub arrivals: Vec<String>,
}

/// One witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WitnessReport {
    /// Its identity.
    pub witness: String,
    /// Why its silence proves nothing; null where it proves that no probe arrived.
    pub doubt: Option<String>,
}

/// The cells of one class and one pair.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The class.
    pub class: ClassId,
    /// The source instance.
    pub source: &'a str,
    /// The target: an instance, or `host` for the host.
    pub target: &'a str,
    /// The cells, at least one.
    pub cells: Vec<&'a CellReport>,
}

impl CellReport {
    /// Whether the cell prevents the outcome *isolated*.
    pub fn fails(&self) -> bool {
        let counts = ![Verdict::Isolated, Verdict::Expected, Verdict::NotApplicable].contains(&self.verdict);
        counts && self.accepted.is_none()
    }
}

impl Group<'_> {
    /// The worst verdict of its cells.
    pub fn verdict(&self) -> Verdict {
        self.cells.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Inconclusive)
    }

    /// The cells with the worst verdict.
    pub fn worst(&self) -> impl Iterator<Item = &CellReport> {
        let verdict = self.verdict();
        self.cells.iter().copied().filter(move |cell| cell.verdict == verdict)
    }

    /// Whether any of its cells prevents the outcome *isolated*.
    pub fn fails(&self) -> bool {
        self.cells.iter().any(|cell| cell.fails())
    }
}

impl PhaseReport {
    pub(super) fn of(phase: &Phase) -> Self {
        let took_ms = u64::try_from(phase.took.as_millis()).unwrap_or(u64::MAX);
        Self { name: phase.name.to_owned(), took_ms }
    }
}

impl ClassReport {
    pub(super) fn of(class: &Class) -> Self {
        let (id, group) = (class.id, class.id.group().to_owned());
        Self { id, group, title: class.title.to_owned(), means: class.means.to_owned() }
    }
}

impl Counts {
    pub(super) fn of<'a>(cells: impl IntoIterator<Item = &'a CellReport>) -> Self {
        let mut counts = Self::default();
        for cell in cells {
            match cell.verdict {
                Verdict::NotApplicable => counts.not_applicable += 1,
                Verdict::Isolated => counts.isolated += 1,
                Verdict::Expected => counts.expected += 1,
                Verdict::Leak => counts.leak += 1,
                Verdict::Inconclusive => counts.inconclusive += 1,
                Verdict::NotCovered => counts.not_covered += 1,
            }
            counts.accepted += usize::from(cell.accepted.is_some());
        }
        counts
    }

    /// The number of all cells.
    pub fn total(&self) -> usize {
        self.isolated + self.expected + self.leak + self.inconclusive + self.not_covered + self.not_applicable
    }

    /// The number of cells with this verdict.
    pub fn with(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::NotApplicable => self.not_applicable,
            Verdict::Isolated => self.isolated,
            Verdict::Expected => self.expected,
            Verdict::Leak => self.leak,
            Verdict::Inconclusive => self.inconclusive,
            Verdict::NotCovered => self.not_covered,
        }
    }
}
