//! Selects cells by class, source and target. The controls of selected cells are always included.

use std::collections::BTreeSet;

use super::NotAsked;
use crate::audit::class::{Class, ClassId, Towards};
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
    /// Whether every port, protocol and EtherType is asked in all directions, whatever time that takes. Otherwise an audit
    /// of many instances asks them in drawn directions, and a sample in the others.
    pub exhaustive: bool,
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
    /// No audit asks this class.
    #[error("class {class} is not asked: {why}")]
    OnRequest {
        /// Its id.
        class: ClassId,
        /// The reason.
        why: &'static str,
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
    /// Checks that this selects at least one cell, by the names of the instances alone.
    ///
    /// # Errors
    /// [`SelectionError`] when a name is unknown, when it names a class that no audit asks, or when it has no cell.
    pub fn asks(&self, names: &[String]) -> Result<(), SelectionError> {
        let selected = self.known_among(names)?;
        let named = |class: &&Class| !self.classes.is_empty() && selected.class(class.id);
        let refused = Class::all().filter(named).find_map(|class| Some((class.id, class.on_request?)));
        if let Some((class, why)) = refused {
            return Err(SelectionError::OnRequest { class, why });
        }
        let towards = |class: &Class, source: &str| match class.towards {
            Towards::Instances => names.iter().any(|other| other != source && selected.to(other)),
            Towards::Host | Towards::UnusedAddresses => selected.to(HOST),
            Towards::InstancesAndHost => {
                selected.to(HOST) || names.iter().any(|other| other != source && selected.to(other))
            }
        };
        let asks = |class: &Class| names.iter().any(|source| selected.from(source) && towards(class, source));
        if Class::all().any(|class| selected.class(class.id) && asks(class)) {
            Ok(())
        } else {
            Err(SelectionError::NothingToAsk)
        }
    }

    /// The same selection without classes that no audit asks. Where it has no other class, all classes.
    pub(in crate::audit) fn of_an_audit(&self) -> Self {
        let audited = |name: &&String| {
            let class = name.parse::<ClassId>().ok().map(Class::of);
            class.is_none_or(|class| class.on_request.is_none())
        };
        let classes = self.classes.iter().filter(audited).cloned().collect();
        Self { classes, ..self.clone() }
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

/// The ids that are marked, `C8, L1 to L7`; `None` where none is. Marked ids that follow each other in a group are one
/// range.
fn listed(classes: impl Iterator<Item = (ClassId, bool)>) -> Option<String> {
    let mut ranges: Vec<(ClassId, ClassId)> = Vec::new();
    let mut before = None;
    for (id, marked) in classes {
        match ranges
            .last_mut()
            .filter(|range| marked && before == Some(range.1) && range.0.group() == id.group())
        {
            Some(range) => range.1 = id,
            None if marked => ranges.push((id, id)),
            None => {}
        }
        before = Some(id);
    }
    let words = ranges.iter().map(|&(first, last)| match last as usize - first as usize {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    });
    Some(words.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
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
    /// The classes, sources and targets that this leaves out, and the classes that no audit asks.
    pub(super) fn not_asked(&self) -> Vec<NotAsked> {
        let ids = |of: &dyn Fn(&Class) -> bool| listed(Class::all().map(|class| (class.id, of(class))));
        let said = |what: Option<String>, why: &str| Some(NotAsked { what: what?, why: why.to_owned() });
        let reasons: BTreeSet<&str> = Class::all().filter_map(|class| class.on_request).collect();
        let on_request =
            reasons.into_iter().filter_map(|why| said(ids(&|class| class.on_request == Some(why)), why));
        let deselected = |class: &Class| class.on_request.is_none() && !self.class(class.id);
        let only = |kind: &str, names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            (!names.is_empty()).then(|| format!("{kind} other than {}", names.join(", ")))
        };
        let left_out = [
            said(ids(&deselected), "the audit was limited to other classes"),
            said(only("sources", &self.from), "the audit was limited to these sources"),
            said(only("targets", &self.to), "the audit was limited to these targets"),
        ];
        on_request.chain(left_out.into_iter().flatten()).collect()
    }

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
        Selection { classes: all(classes), to: all(to), ..Selection::default() }.asks(&all(names))
    }

    #[test]
    fn ids_that_follow_each_other_are_one_range() {
        let only =
            |wanted: &[ClassId]| listed(Class::all().map(|class| (class.id, wanted.contains(&class.id))));
        use ClassId::{C1, H1, H2, H3, L6, L7, N1, N2};
        assert_eq!(only(&[]), None);
        assert_eq!(only(&[L6, L7, N1, N2, C1]).as_deref(), Some("L6, L7, N1, N2, C1"));
        assert_eq!(only(&[H1, H3]).as_deref(), Some("H1, H3"));
        assert_eq!(only(&[H1, H2, H3]).as_deref(), Some("H1 to H3"));
    }

    #[test]
    fn one_instance_can_be_audited_against_the_host_only() {
        assert_eq!(asks(&["acme"], &[], &[]), Ok(()));
        assert_eq!(asks(&["acme"], &["N1", "H5"], &["host"]), Ok(()));
        assert_eq!(asks(&["acme"], &["N1", "N3"], &[]), Err(SelectionError::NothingToAsk));
        assert_eq!(asks(&["acme", "globex"], &["N1", "N3"], &[]), Ok(()));
        assert_eq!(asks(&["acme", "globex"], &["N1"], &["host"]), Err(SelectionError::NothingToAsk));
        assert_eq!(
            asks(&["acme", "globex"], &["C8"], &[]),
            Ok(()),
            "what nodes have is found out in the run"
        );
        assert!(matches!(asks(&["acme", "globex"], &["T2"], &[]), Err(SelectionError::OnRequest { .. })));
        assert_eq!(asks(&[], &[], &[]), Err(SelectionError::NothingToAsk));
        assert!(matches!(asks(&["acme"], &[], &["globex"]), Err(SelectionError::UnknownInstance { .. })));
    }
}
