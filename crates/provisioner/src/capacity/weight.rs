//! What nodes take, measured.

use crate::plan::Role;
use crate::spec::{CniKind, NodeSize};

use super::Cost;

/// What QEMU itself takes for a machine beside the memory that it gives it, in MiB.
const OF_QEMU: u64 = 100;

/// What a node takes.
pub(super) fn of(cni: CniKind, size: Option<NodeSize>, role: Role, is_alone: bool) -> Cost {
    let cost = of_container(cni, role, is_alone);
    match size {
        None => cost,
        // Sooner or later its kernel has used all that it was given, and it watches files by itself. How busy it is at
        // rest was not measured yet: what runs is the same.
        Some(size) => Cost { memory: u64::from(size.memory_mb) + OF_QEMU, inotify: 0, ..cost },
    }
}

/// What a container takes, at rest or while its cluster comes up, whatever is more.
///
/// Measured by `ci/bench weights` on 2 cores (docs/benchmarks.md, "What a node weighs"): medians of three rounds,
/// with none but Kubernetes' own pods.
fn of_container(cni: CniKind, role: Role, is_alone: bool) -> Cost {
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
