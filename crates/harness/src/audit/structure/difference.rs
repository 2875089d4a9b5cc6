//! One difference of a host from what was planned.

use std::collections::BTreeSet;
use std::fmt;

/// What a difference is about. Each kind has a file of its own, and a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    /// The rules, routes and settings of the host guard.
    Guard,
    /// The ports of the instances' bridges.
    Ports,
    /// Links, by their other ends.
    Links,
    /// Addresses and hardware addresses.
    Addresses,
    /// Routes, policy rules, neighbours, and settings that answer for others.
    Routes,
    /// Programs and filters on links, namespaces and cgroups.
    Hooks,
    /// Processes, and the namespaces that they share.
    Processes,
    /// Sockets that lead into an instance.
    Sockets,
    /// Rules that change, copy or redirect packets.
    Nat,
    /// Mounts, layers of overlays, and files with several names.
    Mounts,
    /// Device nodes and access to devices.
    Devices,
    /// Cgroups.
    Cgroups,
}

/// The differences of a host from what was planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Structure {
    /// All differences, also those with an explanation.
    pub differences: Vec<Difference>,
    /// What could not be read, with the reason, a sentence each. Nothing is known of it.
    pub unread: Vec<String>,
}

impl Structure {
    /// The differences without an explanation.
    fn findings(&self) -> BTreeSet<&Difference> {
        self.differences.iter().filter(|difference| difference.explained.is_none()).collect()
    }

    /// Whether everything was read, and each difference has an explanation.
    pub(in crate::audit) fn is_clean(&self) -> bool {
        self.unread.is_empty() && self.findings().is_empty()
    }

    /// Whether another walk has found the same, apart from what has an explanation.
    pub(in crate::audit) fn agrees(&self, other: &Self) -> bool {
        self.findings() == other.findings() && self.unread == other.unread
    }
}

/// What a difference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It opens a path to another instance, or to an address or a device that others reach.
    OpensPath,
    /// Nothing is known of a path, but the plan does not have it.
    Unplanned,
}

/// What explains something that is not in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Explanation {
    /// The pod network of the instance, by the cgroup of the process that holds it.
    PodNetwork,
    /// The hypervisor that runs the instance's VMs.
    Hypervisor,
    /// The audit itself: this process and its descendants.
    Audit,
}

/// Something on the host that is not as it was planned, and that touches an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// What it is about.
    pub kind: DifferenceKind,
    /// The names of the instances that it touches.
    pub instances: BTreeSet<String>,
    /// Whether it opens a path.
    pub effect: Effect,
    /// What was planned, such as `a veth pair to the switch of acme`; empty where nothing was.
    pub planned: String,
    /// What was found.
    pub found: String,
    /// What explains it; `None` for a finding.
    pub explained: Option<Explanation>,
}

impl Difference {
    /// A finding about these instances, for which nothing was planned.
    pub(super) fn of<'a>(
        kind: DifferenceKind,
        instances: impl IntoIterator<Item = &'a str>,
        effect: Effect,
        found: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            instances: instances.into_iter().map(str::to_owned).collect(),
            effect,
            planned: String::new(),
            found: found.into(),
            explained: None,
        }
    }

    /// The same, with what was planned.
    pub(super) fn instead_of(self, planned: impl Into<String>) -> Self {
        Self { planned: planned.into(), ..self }
    }

    /// The same, with an explanation.
    pub(super) fn explained(self, explained: Option<Explanation>) -> Self {
        Self { explained, ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.instances.iter().map(String::as_str).collect();
        write!(f, "{}: {}", names.join(", "), self.found)?;
        if !self.planned.is_empty() {
            write!(f, "; planned: {}", self.planned)?;
        }
        if self.effect == Effect::OpensPath {
            f.write_str(" (opens a path)")?;
        }
        match self.explained {
            None => Ok(()),
            Some(Explanation::PodNetwork) => f.write_str(" (explained by the pod network)"),
            Some(Explanation::Hypervisor) => f.write_str(" (explained by the hypervisor)"),
            Some(Explanation::Audit) => f.write_str(" (explained by the audit)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_agree_if_they_have_the_same_findings_whatever_is_explained() {
        let of = |found: &str| Difference::of(DifferenceKind::Hooks, ["acme"], Effect::OpensPath, found);
        let walk = |differences: Vec<Difference>, unread: &[&str]| Structure {
            differences,
            unread: unread.iter().map(|line| (*line).to_owned()).collect(),
        };
        let explained = of("program 1").explained(Some(Explanation::PodNetwork));
        let (clean, leaky) =
            (walk(vec![explained.clone()], &[]), walk(vec![of("program 2"), explained], &[]));
        assert!(clean.is_clean() && !leaky.is_clean() && !walk(vec![], &["a table"]).is_clean());
        assert!(leaky.agrees(&walk(vec![of("program 2")], &[])));
        assert!(!leaky.agrees(&walk(vec![of("program 3")], &[])) && !leaky.agrees(&clean));
        assert!(!leaky.agrees(&walk(vec![of("program 2")], &["a table"])));
    }
}
