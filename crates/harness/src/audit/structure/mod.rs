//! The structure of a host, compared exactly: what is there against what was planned.
//!
//! Probes ask questions, and a path that no question uses stays unseen. What the product built is known to the last
//! link, so everything on the host that touches an instance, and that the plan does not explain, is a [`Difference`].
//! [`Planned`] is made from the plans of all instances, [`Seen`](probe::structure::Seen) by `homelab-probe walk`, and
//! [`compare`] is pure. Explanations are exact and few: the plan; devices that the kernel makes in each namespace;
//! processes in a container of the instance, by their cgroup; the known objects of the pod network; the hypervisor's
//! own processes; and the audit's.

mod planned;
mod difference;
mod ground;
mod guard;
mod ports;
mod links;
mod addresses;
mod routes;
mod hooks;
mod processes;
mod channels;
mod sockets;
mod nat;
mod mounts;
mod devices;
mod cgroups;
#[cfg(test)]
mod sample;

use probe::structure::Seen;

pub use difference::{Difference, DifferenceKind, Effect, Explanation, Structure};
pub(crate) use planned::{Planned, PlannedInstance, PlannedNode};

use ground::Ground;

/// All differences of what was seen from what was planned, by kind. Pure.
pub(crate) fn compare(planned: &Planned, seen: &Seen) -> Structure {
    let ground = Ground::of(planned, seen);
    let kinds: [fn(&Ground<'_>) -> Vec<Difference>; 12] = [
        guard::compare,
        ports::compare,
        links::compare,
        addresses::compare,
        routes::compare,
        hooks::compare,
        processes::compare,
        sockets::compare,
        nat::compare,
        mounts::compare,
        devices::compare,
        cgroups::compare,
    ];
    let differences = kinds.iter().flat_map(|kind| kind(&ground)).collect();
    Structure { differences, unread: seen.unread.clone() }
}
