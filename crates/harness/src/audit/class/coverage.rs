//! Which engines' nodes a class covers.

use provisioner::request::{EngineKind, Provider};

/// Whether a class covers the nodes of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The class covers them.
    Covered,
    /// The class does not cover them: the reason, as a sentence.
    NotCovered(&'static str),
}

/// The coverage of a class for every engine that makes real nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverages {
    /// Containers.
    pub containers: Coverage,
    /// VMs on libvirt.
    pub libvirt: Coverage,
    /// VMs on VirtualBox.
    pub virtualbox: Coverage,
}

impl Coverages {
    /// The class covers the nodes of every engine.
    pub(super) const EVERYWHERE: Self =
        Self { containers: Coverage::Covered, libvirt: Coverage::Covered, virtualbox: Coverage::Covered };

    /// The class covers no nodes: one reason for containers, one for VMs.
    pub(super) const fn nowhere(containers: &'static str, vms: &'static str) -> Self {
        let (containers, vms) = (Coverage::NotCovered(containers), Coverage::NotCovered(vms));
        Self { containers, libvirt: vms, virtualbox: vms }
    }

    /// The class covers VMs only: the reason for containers.
    pub(super) const fn of_vms(containers: &'static str) -> Self {
        Self { containers: Coverage::NotCovered(containers), ..Self::EVERYWHERE }
    }

    /// The coverage of an engine's nodes. The simulated engine is not covered.
    pub fn on(self, engine: EngineKind) -> Coverage {
        if let EngineKind::Vagrant(provider) = engine {
            return match provider {
                Provider::Libvirt => self.libvirt,
                Provider::Virtualbox => self.virtualbox,
            };
        }
        if engine == EngineKind::Container {
            return self.containers;
        }
        Coverage::NotCovered("this engine makes no real nodes")
    }
}
