//! The demand of a node, as measured.

use crate::plan::Role;
use crate::request::{CniKind, NodeSize};

use super::Demand;

/// The memory of a VM's QEMU process, without the memory that it gives the VM, in MiB.
const OF_QEMU: u64 = 100;

/// The demand of one node: a VM of this size, or a container with `None`. `is_alone`: its cluster has no other node.
pub(super) fn of(cni: CniKind, size: Option<NodeSize>, role: Role, is_alone: bool) -> Demand {
    let cost = of_container(cni, role, is_alone);
    match size {
        None => cost,
        // A VM's kernel sooner or later uses all memory that it was given, and its inotify instances are not the
        // host's. The processor time of an idle VM has not been measured yet; a container's is taken, as the same
        // programs run.
        Some(size) => Demand { memory: u64::from(size.memory_mib) + OF_QEMU, inotify: 0, ..cost },
    }
}

/// The demand of a container: when idle, or while its cluster comes up if that is more.
///
/// Measured by `ci/bench weights` on 2 cores (docs/benchmarks.md, "Resources per node"): medians of three rounds, with
/// Kubernetes' own pods only.
fn of_container(cni: CniKind, role: Role, is_alone: bool) -> Demand {
    let (memory, processors, inotify) = match (cni, role) {
        (CniKind::Routed, Role::ControlPlane) if is_alone => (390, 96, 23),
        (CniKind::Routed, Role::ControlPlane) => (410, 102, 23),
        (CniKind::Routed, Role::Worker) => (56, 13, 9),
        (CniKind::Cilium, Role::ControlPlane) if is_alone => (684, 133, 23),
        (CniKind::Cilium, Role::ControlPlane) => (727, 147, 23),
        (CniKind::Cilium, Role::Worker) => (177, 36, 9),
    };
    Demand { memory, processors, inotify }
}
