//! Tests with real VMs. Those on libvirt run on a separate host environment that `ci/lab` makes for each test.

mod audit;
mod clients;
mod defaults;
mod faults;
mod libvirt;
mod virtualbox;

use provisioner::request::{ClusterSpec, EngineKind, Provider};

/// A cluster whose nodes are VMs on libvirt.
fn on_libvirt(name: &str) -> ClusterSpec {
    ClusterSpec::new(name).engine(EngineKind::Vagrant(Provider::Libvirt))
}
