//! Clients in virtual machines, for real. Those on libvirt run on a workstation made for each test (`ci/lab`).

mod audit;
mod clients;
mod defaults;
mod faults;
mod libvirt;
mod virtualbox;

use provisioner::spec::{ClusterSpec, EngineKind, Provider};

/// A cluster of virtual machines on libvirt.
fn on_libvirt(name: &str) -> ClusterSpec {
    ClusterSpec::new(name).engine(EngineKind::Vagrant(Provider::Libvirt))
}
