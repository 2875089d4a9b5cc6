//! Of whose nodes a class can be asked, by what makes them.

use provisioner::spec::{EngineKind, Provider};

/// Whether a class can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It can.
    Covered,
    /// It cannot: why, in words.
    NotCovered(&'static str),
}

/// The same for every engine whose nodes are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverages {
    /// Of containers.
    pub containers: Coverage,
    /// Of virtual machines under libvirt.
    pub libvirt: Coverage,
    /// Of virtual machines under VirtualBox.
    pub virtualbox: Coverage,
}

impl Coverages {
    /// Every engine's nodes can be asked.
    pub(super) const EVERYWHERE: Self =
        Self { containers: Coverage::Covered, libvirt: Coverage::Covered, virtualbox: Coverage::Covered };

    /// Nobody's nodes can be asked: containers and virtual machines for reasons of their own.
    pub(super) const fn nowhere(containers: &'static str, machines: &'static str) -> Self {
        let (containers, machines) = (Coverage::NotCovered(containers), Coverage::NotCovered(machines));
        Self { containers, libvirt: machines, virtualbox: machines }
    }

    /// All but containers can be asked.
    pub(super) const fn of_machines(containers: &'static str) -> Self {
        Self { containers: Coverage::NotCovered(containers), ..Self::EVERYWHERE }
    }

    /// Whether the nodes of an engine can be asked.
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
