//! Selects cells by class, source and target. The controls of selected cells are always included.

use std::collections::BTreeSet;

use provisioner::request::EngineKind;

use crate::audit::class::{Class, ClassId, Coverage, Towards};
use crate::audit::subject::{HostSubject, Subject};
use crate::audit::viewpoint::HOST;

/// A selection of cells. An empty list selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Ids of classes: `N3`. Case does not matter.
    pub classes: Vec<String>,
    /// Sources: names of instances.
    pub from: Vec<String>,
    /// Targets: names of instances, or `host` for the host.
    pub to: Vec<String>,
}

/// Why a run cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The audit has no instance.
    #[error("no instance to audit")]
    NoInstance,
    /// An instance has no node that could be probed.
    #[error("instance '{instance}' has no node")]
    NoNode {
        /// Its name.
        instance: String,
    },
    /// A name is not unique, so an answer could not be attributed.
    #[error("'{name}' is the name of two instances or of two witnesses")]
    Twice {
        /// The name.
        name: String,
    },
    /// No instance has this name.
    #[error("no instance '{name}' in this audit; there are {}", .known.join(", "))]
    UnknownInstance {
        /// The name, as given.
        name: String,
        /// The names that this audit knows.
        known: Vec<String>,
    },
    /// No class has this id.
    #[error("no class '{name}'; there are {}", .known.join(", "))]
    UnknownClass {
        /// The id, as given.
        name: String,
        /// All ids.
        known: Vec<String>,
    },
    /// No cell can be tested: an audit without cells proves nothing.
    #[error("nothing to audit: the selected classes, sources and targets have no cell that can be tested")]
    NothingToAsk,
}

/// A selection whose names were checked.
pub(super) struct Selected {
    classes: BTreeSet<ClassId>,
    from: BTreeSet<String>,
    to: BTreeSet<String>,
}

impl Selection {
    /// Checks that this selects at least one cell that can be tested, by the names and engines of the instances alone.
    ///
    /// # Errors
    /// [`SelectionError`] when a name is unknown or no cell can be tested.
    pub fn asks(&self, instances: &[(String, EngineKind)]) -> Result<(), SelectionError> {
        let names: Vec<String> = instances.iter().map(|(name, _)| name.clone()).collect();
        let selected = self.known_among(&names)?;
        let towards = |class: &Class, source: &str| match class.towards {
            Towards::Instances => names.iter().any(|other| other != source && selected.to(other)),
            Towards::Host | Towards::UnusedAddresses => selected.to(HOST),
            Towards::InstancesAndHost => {
                selected.to(HOST) || names.iter().any(|other| other != source && selected.to(other))
            }
        };
        let asks = |class: &Class| {
            instances.iter().any(|(source, engine)| {
                selected.from(source)
                    && class.coverage(*engine) == Coverage::Covered
                    && towards(class, source)
            })
        };
        if Class::all().any(|class| selected.class(class.id) && asks(class)) {
            Ok(())
        } else {
            Err(SelectionError::NothingToAsk)
        }
    }

    /// Whether the selection includes a class.
    pub(in crate::audit) fn has(&self, class: ClassId) -> bool {
        let is_it = |name: &String| name.parse() == Ok(class);
        self.classes.is_empty() || self.classes.iter().any(is_it)
    }

    pub(super) fn check(&self, subjects: &[Subject], host: &HostSubject) -> Result<Selected, SelectionError> {
        if subjects.is_empty() {
            return Err(SelectionError::NoInstance);
        }
        if let Some(subject) = subjects.iter().find(|subject| subject.nodes.is_empty()) {
            return Err(SelectionError::NoNode { instance: subject.name.clone() });
        }
        let names = subjects.iter().map(|subject| subject.name.as_str()).chain([HOST]);
        unique(names)?;
        let witnesses = subjects.iter().flat_map(Subject::witnesses);
        unique(witnesses.chain([host.witness.as_str()]))?;
        let instances: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
        self.known_among(&instances)
    }

    /// The selection, after a check of its names.
    fn known_among(&self, instances: &[String]) -> Result<Selected, SelectionError> {
        let mut targets = instances.to_vec();
        targets.push(HOST.to_owned());
        let classes = self.classes.iter().map(|name| {
            let known = || Class::all().map(|class| class.id.to_string()).collect();
            name.parse().map_err(|_| SelectionError::UnknownClass { name: name.clone(), known: known() })
        });
        let classes = classes.collect::<Result<_, _>>()?;
        Ok(Selected { classes, from: known(&self.from, instances)?, to: known(&self.to, &targets)? })
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), SelectionError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(SelectionError::Twice { name: name.to_owned() });
        }
    }
    Ok(())
}

fn known(names: &[String], known: &[String]) -> Result<BTreeSet<String>, SelectionError> {
    let unknown = names.iter().find(|name| !known.contains(name));
    match unknown {
        Some(name) => Err(SelectionError::UnknownInstance { name: name.clone(), known: known.to_vec() }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(names: &[&str], classes: &[&str], to: &[&str]) -> Result<(), SelectionError> {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let instances: Vec<_> =
            names.iter().map(|name| ((*name).to_owned(), EngineKind::Container)).collect();
        Selection { classes: all(classes), from: Vec::new(), to: all(to) }.asks(&instances)
    }

    #[test]
    fn one_instance_can_be_audited_against_the_host_only() {
        assert_eq!(asks(&["acme"], &[], &[]), Ok(()));
        assert_eq!(asks(&["acme"], &["N1", "H5"], &["host"]), Ok(()));
        assert_eq!(asks(&["acme"], &["N1", "N3"], &[]), Err(SelectionError::NothingToAsk));
        assert_eq!(asks(&["acme", "globex"], &["N1", "N3"], &[]), Ok(()));
        assert_eq!(asks(&["acme", "globex"], &["N1"], &["host"]), Err(SelectionError::NothingToAsk));
        assert_eq!(asks(&["acme", "globex"], &["C8"], &[]), Err(SelectionError::NothingToAsk), "not covered");
        assert_eq!(asks(&[], &[], &[]), Err(SelectionError::NothingToAsk));
        assert!(matches!(asks(&["acme"], &[], &["globex"]), Err(SelectionError::UnknownInstance { .. })));
    }
}
