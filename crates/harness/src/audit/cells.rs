//! The plan of a run: all cells, their probes and their controls.
//!
//! A [`Plan`] is made before anything runs. All probes of one viewpoint, controls included, are one [`Batch`]. Each
//! [`Cell`] gets one verdict. Its probes and both of its controls come from one function of the class, so a cell never
//! has probes without controls. The next step is [`judge`](super::judge).

mod ask;
mod depth;
mod pace;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use probe::{Batch, Nonce, Probe, Sight};
use provisioner::slowdown::Slowdown;
use serde::{Deserialize, Serialize};

use super::class::{Applies, Class, ClassId, Fact, Method, Proof, Towards};
use super::subject::{HostSubject, Part, Subject};
use super::verdict::{Judgement, Verdict};
#[cfg(test)]
use super::viewpoint::HOST;
use super::viewpoint::{Route, Stand, Target, Viewpoint};

use ask::Asks;
use depth::Depths;
use select::Selected;
pub use select::{Selection, SelectionError};

/// One cell of the audit: a class, a source and a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its class.
    pub class: ClassId,
    /// The viewpoint of its probes.
    pub viewpoint: Viewpoint,
    /// The source instance: the owner of the viewpoint, or of the credentials in the probes.
    pub source: String,
    /// The target.
    pub target: Target,
    /// The protocol of its probes, `look` for an inspection, `frames` for listening, `facts` for a comparison of facts, or `none`.
    pub protocol: String,
    /// Its method.
    pub way: CellMethod,
}

/// The method of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellMethod {
    /// Probes.
    Probes {
        /// The evidence that the target was reached.
        proof: Proof,
        /// The probes from the viewpoint to the target.
        cross: Vec<Nonce>,
        /// The control at the source: the same probes to the viewpoint's own instance.
        control: Vec<Nonce>,
        /// The control at the target: the same probes from within the target to itself. `None` where no system must
        /// answer at the target.
        own: Option<Vec<Nonce>>,
    },
    /// Inspection of both sides.
    Look {
        /// What the probers inspect.
        sight: Sight,
        /// The inspection at the viewpoint.
        here: Nonce,
        /// The inspections at every node of the target.
        there: Vec<Nonce>,
    },
    /// Frames that reached the target's witnesses.
    Listen,
    /// Comparison of known facts.
    Fact(Fact),
    /// No probe and no comparison is possible or needed: the verdict is known.
    Judged(Judgement),
}

/// The first or the last probe to a witness, which the witness must see. It is sent before or after all batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// The identity of the witness.
    pub witness: String,
    /// The viewpoint that sends it.
    pub from: Viewpoint,
    /// The probe.
    pub probe: Probe,
}

/// A planned run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The number in all nonces of the run.
    pub run: u32,
    /// The instances.
    pub subjects: Vec<Subject>,
    /// The host.
    pub host: HostSubject,
    /// The cells.
    pub cells: Vec<Cell>,
    /// What this run does not ask.
    pub not_asked: Vec<NotAsked>,
    /// The probes of each viewpoint, which it sends concurrently.
    pub batches: BTreeMap<Viewpoint, Batch>,
    /// The first probes, one for each witness: from then on it hears for this run. Empty where no class judges what
    /// witnesses hear without a question.
    pub openers: Vec<Barrier>,
    /// The last probes, one for each witness.
    pub barriers: Vec<Barrier>,
}

/// Classes, sources or targets that a run does not ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotAsked {
    /// What is not asked: `T2, T3`, or `sources other than acme`.
    pub what: String,
    /// The reason, as a sentence without a full stop.
    pub why: String,
}

impl Plan {
    /// Plans a run over these instances. Classes that no audit asks are left out.
    ///
    /// # Errors
    /// [`SelectionError`] when no cell can be tested, or when a name is unknown or not unique.
    pub fn new(
        run: u32,
        subjects: Vec<Subject>,
        host: HostSubject,
        selection: &Selection,
    ) -> Result<Self, SelectionError> {
        Self::made(run, subjects, host, selection, |class| class.on_request.is_none())
    }

    /// Plans a run that asks one class with one source, also if no audit asks the class.
    ///
    /// # Errors
    /// [`SelectionError`] when no cell can be tested, or when a name is not unique.
    pub(super) fn on_request(
        run: u32,
        subjects: Vec<Subject>,
        host: HostSubject,
        (class, from): (ClassId, &str),
    ) -> Result<Self, SelectionError> {
        let selection = Selection { from: vec![from.to_owned()], ..Selection::default() };
        Self::made(run, subjects, host, &selection, |other| other.id == class)
    }

    fn made(
        run: u32,
        subjects: Vec<Subject>,
        host: HostSubject,
        selection: &Selection,
        asks_it: impl Fn(&Class) -> bool,
    ) -> Result<Self, SelectionError> {
        let selected = selection.check(&subjects, &host)?;
        let made = |depths| Self::with_depths(run, &subjects, &host, (&selected, &asks_it), depths);
        let everything = made(Depths::Every)?;
        let depths = match selection.exhaustive {
            true => None,
            false => {
                let least = || made(Depths::Drawn(BTreeSet::new())).map(|plan| plan.packets());
                Depths::drawn(run, &subjects, everything.packets(), least)?
            }
        };
        let Some(depths) = depths else { return Ok(everything) };
        let mut plan = made(depths.clone())?;
        plan.not_asked.extend(depths.not_asked(&subjects, everything.time_limit()));
        Ok(plan)
    }

    /// The longest time that the probes of all viewpoints take.
    pub fn time_limit(&self) -> Duration {
        pace::time_limit(&self.batches)
    }

    /// The packets that all probes send at the most, approximately.
    pub fn packets(&self) -> u64 {
        pace::packets(&self.batches)
    }

    fn with_depths(
        run: u32,
        subjects: &[Subject],
        host: &HostSubject,
        (selected, asks_it): (&Selected, &impl Fn(&Class) -> bool),
        depths: Depths,
    ) -> Result<Self, SelectionError> {
        let mut asks = Asks::new(run, subjects, host, &depths);
        let mut cells = Vec::new();
        for class in Class::all().filter(|class| asks_it(class) && selected.class(class.id)) {
            for source in subjects.iter().filter(|subject| selected.from(&subject.name)) {
                for target in targets(class, source, subjects).filter(|target| selected.to(target.name())) {
                    cells.extend(cells_of(class, source, &target, subjects, &mut asks));
                }
            }
        }
        let uncovered =
            |cell: &Cell| matches!(&cell.way, CellMethod::Judged(it) if it.verdict == Verdict::NotCovered);
        if cells.iter().all(uncovered) {
            return Err(SelectionError::NothingToAsk);
        }
        let listens = cells.iter().any(|cell| matches!(cell.way, CellMethod::Listen));
        let openers = if listens { asks.barriers() } else { Vec::new() };
        let barriers = asks.barriers();
        let slowdown = subjects.iter().map(|subject| subject.slowdown).max().unwrap_or(Slowdown::NONE);
        let batches = pace::batches(asks.into_batches(), slowdown);
        let not_asked = selected.not_asked();
        let (subjects, host) = (subjects.to_vec(), host.clone());
        Ok(Self { run, cells, not_asked, batches, openers, barriers, subjects, host })
    }

    /// Whether a cell is judged by the structure of the host.
    pub(super) fn asks_structure(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell.way, CellMethod::Fact(Fact::Structure(_))))
    }

    /// The instance with this name; `None` where the run has none.
    pub fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.name == name)
    }
}

/// The targets of a class for a source.
fn targets(class: &Class, source: &Subject, subjects: &[Subject]) -> impl Iterator<Item = Target> {
    let others = subjects.iter().filter(|other| other.name != source.name);
    let others = others.map(|other| Target::Instance(other.name.clone()));
    let (others, host) = match class.towards {
        Towards::Instances => (Some(others), None),
        Towards::Host | Towards::UnusedAddresses => (None, Some(Target::Host)),
        Towards::InstancesAndHost => (Some(others), Some(Target::Host)),
    };
    others.into_iter().flatten().chain(host)
}

/// The viewpoints of one kind that an instance has. Where there is no known host to route through, root on a node uses the
/// routes that the node has.
pub(super) fn places(stand: Stand, of: &Subject) -> Vec<Viewpoint> {
    let node = |by| {
        let nodes = of.nodes.iter().map(move |node| Viewpoint::Node {
            instance: of.name.clone(),
            node: node.name.clone(),
            by,
        });
        nodes.collect()
    };
    match stand {
        Stand::Pod => vec![Viewpoint::Pod { instance: of.name.clone() }],
        Stand::Node => node(Route::Own),
        Stand::Routed if of.uplink.is_none() => node(Route::Own),
        Stand::Routed => node(Route::Host),
        Stand::Pivot => node(Route::Hypervisor),
        Stand::Host => vec![Viewpoint::Host],
    }
}

fn cells_of(
    class: &Class,
    source: &Subject,
    target: &Target,
    subjects: &[Subject],
    asks: &mut Asks<'_>,
) -> Vec<Cell> {
    let other = subjects.iter().find(|subject| subject.name == target.name());
    let cell = |viewpoint: Viewpoint, protocol: &str, way| Cell {
        class: class.id,
        viewpoint,
        source: source.name.clone(),
        target: target.clone(),
        protocol: protocol.to_owned(),
        way,
    };
    let judged = |judgement| cell(Viewpoint::Host, "none", CellMethod::Judged(judgement));
    let lacks = |subject: &Subject, needs: &[Part]| subject.parts.lacks(needs, &subject.name);
    if let Some(why) = [Some(source), other].into_iter().flatten().find_map(|of| lacks(of, class.needs)) {
        return vec![judged(Judgement::not_covered(why))];
    }
    if let Some(why) = lacks(source, class.source_needs) {
        return vec![judged(Judgement::not_covered(why))];
    }
    match (class.applies)(source, other) {
        Applies::Yes => {}
        Applies::No(evidence) => return vec![judged(Judgement::not_applicable(evidence))],
        Applies::Unknown(why) => return vec![judged(Judgement::inconclusive(why))],
    }
    let mut missing = Vec::new();
    let mut viewpoints = Vec::new();
    for stand in class.from {
        match lacks(source, stand.needs()) {
            Some(why) => missing.push(judged(Judgement::not_covered(why))),
            None => viewpoints.extend(places(*stand, source)),
        }
    }
    let asked = viewpoints.into_iter().flat_map(|viewpoint| match class.way {
        Method::Listen => vec![cell(viewpoint, "frames", CellMethod::Listen)],
        Method::Fact(fact) => vec![cell(viewpoint, "facts", CellMethod::Fact(fact))],
        Method::Look(sight) => {
            let there = other.map_or_else(Vec::new, |other| places(viewpoint.stand(), other));
            let there = there.iter().map(|place| asks.look(place, sight)).collect();
            let here = asks.look(&viewpoint, sight);
            vec![cell(viewpoint, "look", CellMethod::Look { sight, here, there })]
        }
        Method::Probes(_) => match asks.probes(class, &viewpoint, source, other) {
            Ok(ways) => {
                ways.into_iter().map(|(protocol, way)| cell(viewpoint.clone(), protocol, way)).collect()
            }
            Err(lack) => vec![cell(viewpoint, "none", CellMethod::Judged(Judgement::inconclusive(lack.0)))],
        },
    });
    asked.chain(missing).collect()
}
