//! What must hold of every file and every answer that is not ours, whatever is in it.
//!
//! Each target takes bytes and panics where a promise is broken; that it ends without a panic is the first of them.
//! `fuzz/` feeds them with what libFuzzer thinks of, and the tests beside this with the corpus that is kept of that, so
//! that what was found once is found again at once. Files lie in a folder in memory where there is one.

// No tests of its own, also where all targets are built: the file that `packet` takes from the probe has some of the probe's.
#![cfg(not(test))]
#![expect(clippy::unwrap_used, reason = "a target says by a panic what does not hold")]

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

/// A target: it takes whatever there is.
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
