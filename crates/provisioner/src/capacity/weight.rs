//! What nodes take, measured.

use crate::plan::Role;
use crate::spec::CniKind;

use super::Cost;

/// What a node takes, at rest or while its cluster comes up, whatever is more.
///
/// Measured by `ci/bench weights` on 2 cores (docs/benchmarks.md, "What a node weighs"): medians of three rounds,
/// with none but Kubernetes' own pods.
pub(super) fn of(cni: CniKind, role: Role, is_alone: bool) -> Cost {
    let (memory, processors, inotify) = match (cni, role) {
        (CniKind::Routed, Role::ControlPlane) if is_alone => (390, 96, 23),
        (CniKind::Routed, Role::ControlPlane) => (410, 102, 23),
        (CniKind::Routed, Role::Worker) => (56, 13, 9),
        (CniKind::Cilium, Role::ControlPlane) if is_alone => (684, 133, 23),
        (CniKind::Cilium, Role::ControlPlane) => (727, 147, 23),
        (CniKind::Cilium, Role::Worker) => (177, 36, 9),
    };
    Cost { memory, processors, inotify }
}
