//! What the host really has of an instance, whatever the registry says.

use std::fmt;

/// A thing of ours that is really on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// Whose it is.
    pub instance: String,
    /// What kind of thing.
    pub kind: SightingKind,
    /// Its name on the host.
    pub name: String,
}

/// What kinds of things engines leave on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SightingKind {
    /// A node's container.
    Container,
    /// A network namespace.
    Namespace,
    /// A network link on the host.
    Link,
    /// A virtual machine.
    Machine,
    /// The disk of a virtual machine.
    Volume,
    /// A hypervisor's network.
    Network,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SightingKind::Container => "container",
            SightingKind::Namespace => "network namespace",
            SightingKind::Link => "link",
            SightingKind::Machine => "virtual machine",
            SightingKind::Volume => "volume",
            SightingKind::Network => "network",
        };
        write!(f, "{kind} {}", self.name)
    }
}
