//! Things of an instance that exist on the host, whether or not the registry has an entry for them.

use std::fmt;

/// A thing on the host whose name or label says that it belongs to an instance of homelab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The name of the instance, such as `acme`.
    pub instance: String,
    /// What kind of thing it is.
    pub kind: SightingKind,
    /// Its name on the host, such as that of a container or a link.
    pub name: String,
}

/// The kinds of things that engines create on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SightingKind {
    /// A node's container.
    Container,
    /// A network namespace.
    Namespace,
    /// A network link on the host.
    Link,
    /// A virtual machine.
    Vm,
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
            SightingKind::Vm => "virtual machine",
            SightingKind::Volume => "volume",
            SightingKind::Network => "network",
        };
        write!(f, "{kind} {}", self.name)
    }
}
