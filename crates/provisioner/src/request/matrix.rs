//! The combinations of Kubernetes version, pod network and topology that are tested and can be requested.
//!
//! A nightly test brings up each [`TESTED`] combination, and the README shows them all. A request for any other
//! combination is refused, because it is not tested.

use std::fmt;

use super::{CniKind, KUBERNETES_VERSIONS, Topology};

/// One tested combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination {
    /// The Kubernetes version, with its `v`.
    pub kubernetes: &'static str,
    /// The pod network.
    pub cni: CniKind,
    /// One node, one control plane with workers, or three control planes with workers.
    pub topology: Topology,
}

/// All tested combinations, the newest Kubernetes first.
pub const TESTED: &[Combination] = &[
    tested(NEWEST, CniKind::Routed, Topology::Single),
    tested(NEWEST, CniKind::Routed, Topology::Multi),
    tested(NEWEST, CniKind::Routed, Topology::Ha),
    tested(NEWEST, CniKind::Cilium, Topology::Single),
    tested(NEWEST, CniKind::Cilium, Topology::Multi),
    tested(NEWEST, CniKind::Cilium, Topology::Ha),
    tested(BEFORE, CniKind::Routed, Topology::Single),
    tested(BEFORE, CniKind::Routed, Topology::Multi),
    tested(BEFORE, CniKind::Cilium, Topology::Single),
    tested(BEFORE, CniKind::Cilium, Topology::Multi),
];

const NEWEST: &str = KUBERNETES_VERSIONS[0];
const BEFORE: &str = KUBERNETES_VERSIONS[1];

const fn tested(kubernetes: &'static str, cni: CniKind, topology: Topology) -> Combination {
    Combination { kubernetes, cni, topology }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} on {}", self.kubernetes, self.cni, self.topology)
    }
}

/// The reason for which a combination is refused; `None` for a tested one.
pub(super) fn refused(kubernetes: &str, cni: CniKind, topology: Topology) -> Option<String> {
    let is_asked = |row: &Combination| (row.kubernetes, row.cni, row.topology) == (kubernetes, cni, topology);
    if TESTED.iter().any(is_asked) {
        return None;
    }
    let tested: Vec<String> =
        lines().map(|(kubernetes, cni, on)| format!("{kubernetes} with {cni} on {on}")).collect();
    Some(format!("is not tested; tested: {}", tested.join("; ")))
}

/// The tested combinations as a Markdown table.
pub fn markdown() -> String {
    let rows = lines().map(|(kubernetes, cni, on)| format!("| {kubernetes} | {cni} | {on} |\n"));
    format!("| Kubernetes | pod network | topologies |\n|---|---|---|\n{}", rows.collect::<String>())
}

/// The tested combinations, with the topologies of each version and pod network on one line.
fn lines() -> impl Iterator<Item = (&'static str, CniKind, String)> {
    let same = |a: &Combination, b: &Combination| (a.kubernetes, a.cni) == (b.kubernetes, b.cni);
    TESTED.chunk_by(same).map(|rows| {
        let topologies: Vec<&str> = rows.iter().map(|row| row.topology.as_str()).collect();
        (rows[0].kubernetes, rows[0].cni, topologies.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_that_is_not_in_the_table_is_refused_with_the_table() {
        assert_eq!(refused(NEWEST, CniKind::Routed, Topology::Single), None);
        insta::assert_snapshot!(refused("v1.0.0", CniKind::Routed, Topology::Single).expect("a refusal"));
    }

    #[test]
    fn every_supported_version_is_tested_and_no_combination_twice() {
        assert!(
            KUBERNETES_VERSIONS.iter().all(|version| TESTED.iter().any(|row| row.kubernetes == *version))
        );
        for (place, row) in TESTED.iter().enumerate() {
            assert!(KUBERNETES_VERSIONS.contains(&row.kubernetes), "{row}");
            assert!(!TESTED[..place].contains(row), "{row}");
        }
    }
}
