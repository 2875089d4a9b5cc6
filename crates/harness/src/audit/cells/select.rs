//! Which cells of all possible ones are wanted. Their controls come along, whatever is selected.

use std::collections::BTreeSet;

use crate::audit::class::{Class, ClassId};
use crate::audit::subject::{Host, Subject};
use crate::audit::viewpoint::WORKSTATION;

/// What is asked; an empty list selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Ids of classes, `N3`.
    pub classes: Vec<String>,
    /// Instances that ask.
    pub from: Vec<String>,
    /// Whom they ask: instances, or `workstation`.
    pub to: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no instance.
    #[error("there is no instance to audit")]
    NoInstance,
    /// An instance cannot be asked at all.
    #[error("instance '{instance}' has no node")]
    NoNode {
        /// Which.
        instance: String,
    },
    /// A name stands for two things: nobody could tell who answered.
    #[error("'{name}' is the name of two instances or of two witnesses")]
    Twice {
        /// The name.
        name: String,
    },
    /// No instance has this name.
    #[error("no instance '{name}' in this audit; there are {}", .known.join(", "))]
    UnknownInstance {
        /// As given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No class has this id.
    #[error("no class '{name}'; there are {}", .known.join(", "))]
    UnknownClass {
        /// As given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Not one question is left: an audit that asks nothing proves nothing.
    #[error("nothing is left to ask: the selection has no question that can be asked")]
    NothingToAsk,
}

/// A selection whose names are known.
pub(super) struct Selected {
    classes: BTreeSet<ClassId>,
    from: BTreeSet<String>,
    to: BTreeSet<String>,
}

impl Selection {
    pub(super) fn check(&self, subjects: &[Subject], host: &Host) -> Result<Selected, PlanError> {
        if subjects.is_empty() {
            return Err(PlanError::NoInstance);
        }
        if let Some(subject) = subjects.iter().find(|subject| subject.nodes.is_empty()) {
            return Err(PlanError::NoNode { instance: subject.name.clone() });
        }
        let names = subjects.iter().map(|subject| subject.name.as_str()).chain([WORKSTATION]);
        unique(names)?;
        let witnesses = subjects.iter().flat_map(Subject::witnesses);
        unique(witnesses.chain([host.witness.as_str()]))?;
        let instances: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
        let mut targets = instances.clone();
        targets.push(WORKSTATION.to_owned());
        let classes = self.classes.iter().map(|name| {
            let known = || Class::all().map(|class| class.id.to_string()).collect();
            name.parse().map_err(|_| PlanError::UnknownClass { name: name.clone(), known: known() })
        });
        let classes = classes.collect::<Result<_, _>>()?;
        Ok(Selected { classes, from: known(&self.from, &instances)?, to: known(&self.to, &targets)? })
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(PlanError::Twice { name: name.to_owned() });
        }
    }
    Ok(())
}

fn known(names: &[String], known: &[String]) -> Result<BTreeSet<String>, PlanError> {
    let unknown = names.iter().find(|name| !known.contains(name));
    match unknown {
        Some(name) => Err(PlanError::UnknownInstance { name: name.clone(), known: known.to_vec() }),
        None => Ok(names.iter().cloned().collect()),
    }
}

impl Selected {
    pub(super) fn class(&self, id: ClassId) -> bool {
        self.classes.is_empty() || self.classes.contains(&id)
    }

    pub(super) fn from(&self, name: &str) -> bool {
        self.from.is_empty() || self.from.contains(name)
    }

    pub(super) fn to(&self, name: &str) -> bool {
        self.to.is_empty() || self.to.contains(name)
    }
}
