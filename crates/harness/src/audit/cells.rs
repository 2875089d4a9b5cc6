//! Every question of a run: which viewpoint asks whom for which class, by which probes, and against which controls.
//!
//! A [`Plan`] is made before anything runs. What one viewpoint asks is one [`Batch`], controls included; what is
//! judged is a [`Cell`]. A question, its control and the target's own control come from the same function of the
//! class, so a cell never has one without the others. The next step is [`judge`](super::judge).

mod ask;
mod pace;
mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use probe::{Batch, Nonce, Probe, Sight};
use provisioner::slowdown::Slowdown;

use super::class::{Class, ClassId, Coverage, Fact, Proof, Towards, Way};
use super::subject::{Host, Subject};
#[cfg(test)]
use super::viewpoint::WORKSTATION;
use super::viewpoint::{Route, Stand, Target, Viewpoint};

use ask::Asks;
pub use select::{PlanError, Selection};

/// One question of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Of which class.
    pub class: ClassId,
    /// From where it is asked.
    pub viewpoint: Viewpoint,
    /// On behalf of which instance: whose viewpoint it is, or whose credentials are shown.
    pub source: String,
    /// Of whom.
    pub target: Target,
    /// By which protocol, or what is compared.
    pub protocol: String,
    /// How.
    pub way: CellWay,
}

/// How a cell is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellWay {
    /// By probes.
    Probes {
        /// What counts as reaching the target.
        proof: Proof,
        /// The question: from the viewpoint to the target.
        cross: Vec<Nonce>,
        /// The control: the same, to the viewpoint's own instance.
        control: Vec<Nonce>,
        /// The target's own control: the same, from within the target to itself. `None` where nobody must be there.
        own: Option<Vec<Nonce>>,
    },
    /// By looking from both sides.
    Look {
        /// At what.
        sight: Sight,
        /// From the viewpoint.
        here: Nonce,
        /// From every node of the target.
        there: Vec<Nonce>,
    },
    /// By comparing what is known.
    Fact(Fact),
    /// Not at all: why.
    NotCovered(String),
}

/// The last probe that a witness must see, sent when all batches are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// The identity of the witness.
    pub witness: String,
    /// From where it is sent.
    pub from: Viewpoint,
    /// What is sent.
    pub probe: Probe,
}

/// A whole run, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The number in all its nonces.
    pub run: u32,
    /// The instances.
    pub subjects: Vec<Subject>,
    /// The workstation.
    pub host: Host,
    /// The questions.
    pub cells: Vec<Cell>,
    /// What each viewpoint asks, all at once.
    pub batches: BTreeMap<Viewpoint, Batch>,
    /// What is sent last.
    pub barriers: Vec<Barrier>,
}

impl Plan {
    /// Plans a run over these instances.
    ///
    /// # Errors
    /// [`PlanError`] when there is nothing to ask, or a name is unknown.
    pub fn new(
        run: u32,
        subjects: Vec<Subject>,
        host: Host,
        selection: &Selection,
    ) -> Result<Self, PlanError> {
        let selected = selection.check(&subjects, &host)?;
        let mut asks = Asks::new(run, &subjects, &host);
        let mut cells = Vec::new();
        for class in Class::all().filter(|class| selected.class(class.id)) {
            for source in subjects.iter().filter(|subject| selected.from(&subject.name)) {
                for target in targets(class, source, &subjects).filter(|target| selected.to(target.name())) {
                    cells.extend(cells_of(class, source, &target, &subjects, &mut asks));
                }
            }
        }
        if cells.iter().all(|cell| matches!(cell.way, CellWay::NotCovered(_))) {
            return Err(PlanError::NothingToAsk);
        }
        let barriers = asks.barriers();
        let slowdown = subjects.iter().map(|subject| subject.slowdown).max().unwrap_or(Slowdown::NONE);
        let batches = pace::batches(asks.into_batches(), slowdown);
        Ok(Self { run, cells, batches, barriers, subjects, host })
    }

    /// An instance of the run.
    pub fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.name == name)
    }
}

/// Whom a class asks on behalf of a source.
fn targets(class: &Class, source: &Subject, subjects: &[Subject]) -> impl Iterator<Item = Target> {
    let others = subjects.iter().filter(|other| other.name != source.name);
    let others = others.map(|other| Target::Instance(other.name.clone()));
    let (others, workstation) = match class.towards {
        Towards::Instances => (Some(others), None),
        Towards::Workstation | Towards::Nobody => (None, Some(Target::Workstation)),
        Towards::Everybody => (Some(others), Some(Target::Workstation)),
    };
    others.into_iter().flatten().chain(workstation)
}

/// The places of one kind that an instance has.
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
        Stand::Routed => node(Route::Workstation),
        Stand::Pivot => node(Route::Hypervisor),
        Stand::Workstation => vec![Viewpoint::Workstation],
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
    let engines = [Some(source), other].into_iter().flatten().map(|subject| subject.engine);
    let why = engines.map(|engine| class.coverage(engine)).find_map(|coverage| match coverage {
        Coverage::Covered => None,
        Coverage::NotCovered(why) => Some(why),
    });
    if let Some(why) = why {
        let way = CellWay::NotCovered(why.to_owned());
        return vec![cell(Viewpoint::Workstation, "none", way)];
    }
    let viewpoints = class.from.iter().flat_map(|stand| places(*stand, source));
    viewpoints
        .flat_map(|viewpoint| match class.way {
            Way::Fact(fact) => vec![cell(viewpoint, "facts", CellWay::Fact(fact))],
            Way::Look(sight) => {
                let there = other.map_or_else(Vec::new, |other| places(viewpoint.stand(), other));
                let there = there.iter().map(|place| asks.look(place, sight)).collect();
                let here = asks.look(&viewpoint, sight);
                vec![cell(viewpoint, "look", CellWay::Look { sight, here, there })]
            }
            Way::Probes(_) => match asks.probes(class, &viewpoint, source, other) {
                Ok(ways) => {
                    ways.into_iter().map(|(protocol, way)| cell(viewpoint.clone(), protocol, way)).collect()
                }
                Err(lack) => vec![cell(viewpoint, "none", CellWay::NotCovered(lack.0))],
            },
        })
        .collect()
}
