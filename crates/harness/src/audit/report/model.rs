//! The report as data: what programs get. Fields are only ever added; the schema is `docs/schemas/audit.json`.

use serde::{Deserialize, Serialize};

use crate::audit::class::{Class, ClassId};
use crate::audit::observed::Phase;
use crate::audit::verdict::{Outcome, Verdict};

/// The format of a report.
pub const VERSION: u32 = 1;

/// What a run of the audit means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The version of this format.
    pub version: u32,
    /// The number in all nonces of this run, in hex.
    pub run: String,
    /// When the first probe was sent, RFC 3339.
    pub started: String,
    /// When the last witness was read, RFC 3339.
    pub ended: String,
    /// How long each part of the run took, in their order.
    pub phases: Vec<PhaseReport>,
    /// What all cells together mean.
    pub outcome: Outcome,
    /// What no audit of packets can change.
    pub kernel: String,
    /// The instances, in the order of the matrix.
    pub instances: Vec<String>,
    /// The instances of this host that should have been audited and could not be. The outcome is never isolated then.
    #[serde(default, rename = "leftOut")]
    pub left_out: Vec<LeftOut>,
    /// How many cells have which verdict.
    pub counts: Counts,
    /// The matrix: each instance against each other and the workstation.
    pub pairs: Vec<PairReport>,
    /// The classes that were asked.
    pub classes: Vec<ClassReport>,
    /// What was accepted as not covered, and why.
    pub accepted: Vec<Acceptance>,
    /// Every cell.
    pub cells: Vec<CellReport>,
}

/// An instance of which nothing is known: nothing was asked of it, and nothing on its behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// The instance.
    pub instance: String,
    /// Why: `it is halted`.
    pub why: String,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PhaseReport {
    /// Which: `set` until the witnesses listen, `learn` what is known of the instances, `ask`, `ask, routed` by root with
    /// a route through the workstation, `ask, by the hypervisor` with one through that, `hear` the witnesses, `strike`
    /// everything.
    pub name: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How many cells have which verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Cells that are isolated.
    pub isolated: usize,
    /// Cells that leak.
    pub leak: usize,
    /// Cells of which nobody knows.
    pub inconclusive: usize,
    /// Cells that were not covered, the accepted ones included.
    pub not_covered: usize,
    /// Those among them that were accepted.
    pub accepted: usize,
}

/// One place of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairReport {
    /// Who asked.
    pub source: String,
    /// Who was asked.
    pub target: String,
    /// The worst verdict of all its cells that is not accepted; null when nothing was asked.
    pub verdict: Option<Verdict>,
    /// How many of its cells have which verdict.
    pub counts: Counts,
}

/// A class that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClassReport {
    /// Its id.
    pub id: ClassId,
    /// What it is.
    pub title: String,
    /// What the classes of its group have in common.
    pub group: String,
    /// What a leak of it would mean.
    pub means: String,
}

/// A class that may be not covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Acceptance {
    /// Which.
    pub class: ClassId,
    /// Why, in words.
    pub reason: String,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CellReport {
    /// Its class.
    pub class: ClassId,
    /// On behalf of which instance it was asked.
    pub source: String,
    /// Who was asked.
    pub target: String,
    /// From where.
    pub viewpoint: String,
    /// By which protocol, or what was compared.
    pub protocol: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
    /// Why it may be not covered, if it may.
    pub accepted: Option<String>,
    /// What the verdict rests on, where probes were sent.
    pub evidence: Option<EvidenceReport>,
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvidenceReport {
    /// The question.
    pub question: Vec<ProbeReport>,
    /// The control: the same, asked of the own instance.
    pub control: Vec<ProbeReport>,
    /// The target's own control: the same, asked from within it.
    pub own: Vec<ProbeReport>,
    /// The target's witnesses.
    pub witnesses: Vec<WitnessReport>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeReport {
    /// What it carried.
    pub nonce: String,
    /// From where it was sent.
    pub from: String,
    /// The command of its prober.
    pub command: Option<String>,
    /// What was sent, in words.
    pub sent: String,
    /// When the first packet left, RFC 3339.
    pub at: Option<String>,
    /// How many packets left, as far as the prober knows.
    pub packets: u32,
    /// What the prober says.
    pub answer: String,
    /// What witnesses saw of it.
    pub arrivals: Vec<String>,
}

/// One witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WitnessReport {
    /// Its identity.
    pub witness: String,
    /// Why its silence proves nothing; null when it does.
    pub doubt: Option<String>,
}

/// The cells of one class and one pair.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The class.
    pub class: ClassId,
    /// Who asked.
    pub source: &'a str,
    /// Who was asked.
    pub target: &'a str,
    /// The cells, at least one.
    pub cells: Vec<&'a CellReport>,
}

impl CellReport {
    /// Whether it keeps the run from being isolated.
    pub fn fails(&self) -> bool {
        self.verdict != Verdict::Isolated && self.accepted.is_none()
    }
}

impl Group<'_> {
    /// The worst verdict of its cells.
    pub fn verdict(&self) -> Verdict {
        self.cells.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Inconclusive)
    }

    /// The cells that have it.
    pub fn worst(&self) -> impl Iterator<Item = &CellReport> {
        let verdict = self.verdict();
        self.cells.iter().copied().filter(move |cell| cell.verdict == verdict)
    }

    /// Whether it keeps the run from being isolated.
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
                Verdict::Isolated => counts.isolated += 1,
                Verdict::Leak => counts.leak += 1,
                Verdict::Inconclusive => counts.inconclusive += 1,
                Verdict::NotCovered => counts.not_covered += 1,
            }
            counts.accepted += usize::from(cell.accepted.is_some());
        }
        counts
    }

    /// All cells.
    pub fn total(&self) -> usize {
        self.isolated + self.leak + self.inconclusive + self.not_covered
    }

    /// How many have a verdict.
    pub fn with(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Isolated => self.isolated,
            Verdict::Leak => self.leak,
            Verdict::Inconclusive => self.inconclusive,
            Verdict::NotCovered => self.not_covered,
        }
    }
}
