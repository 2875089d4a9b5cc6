//! Fuzz targets: properties that must hold for any contents of files and answers that are not ours.
//!
//! Each target takes bytes and panics if a property does not hold. `fuzz/` runs the targets with inputs from
//! libFuzzer. The tests beside this file run them with the kept corpus, so that a bug that was found once is found
//! again at once. Files are in `/dev/shm` if the host has it.

// No tests, even when all targets are built for tests: the file that `packet` includes from the probe has the probe's
// tests.
#![cfg(not(test))]
#![expect(clippy::unwrap_used, reason = "a target reports a broken property by a panic")]

mod answers;
mod hosts;
mod kubeconfig;
mod ledger;
mod packet;
mod place;
mod settings;
mod spec;
mod wire;

pub use answers::{netlink, nft, podman, vagrant, virsh, virtualbox};
pub use hosts::{dnsmasq, hosts};
pub use kubeconfig::kubeconfig;
pub use ledger::ledger;
pub use packet::packet;
pub use settings::settings;
pub use spec::spec;
pub use wire::wire;

/// A fuzz target, for any bytes.
pub type Target = fn(&[u8]);

/// All targets by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("spec", spec),
    ("settings", settings),
    ("ledger", ledger),
    ("kubeconfig", kubeconfig),
    ("hosts", hosts),
    ("dnsmasq", dnsmasq),
    ("wire", wire),
    ("packet", packet),
    ("podman", podman),
    ("nft", nft),
    ("netlink", netlink),
    ("virsh", virsh),
    ("vagrant", vagrant),
    ("virtualbox", virtualbox),
];
