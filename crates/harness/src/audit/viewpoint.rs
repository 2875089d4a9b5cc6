//! From where a question is asked, and about what.

use std::fmt;

use probe::Ask;

/// A place at which one prober runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Viewpoint {
    /// A pod on the pod network, next to the instance's witness there, without further capabilities.
    Pod {
        /// The instance.
        instance: String,
    },
    /// A pod on the host network of a node, privileged: whoever gets out of a container is this.
    Node {
        /// The instance.
        instance: String,
        /// The node.
        node: String,
        /// By which way it asks what is on none of its links.
        by: Route,
    },
    /// The workstation. It may reach every instance, so nothing is isolated from it: it asks what needs an open path
    /// (credentials), and gives the control where the host itself is the target.
    Workstation,
}

/// By which way a node asks what is on none of its links: what root on it would try. The runner adds routes to
/// everything for as long as the batches of their kind run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// As it is.
    Own,
    /// By the host's address in the instance's network.
    Workstation,
    /// By the hypervisor's address on its own link into a virtual machine.
    Hypervisor,
}

/// A kind of [`Viewpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// [`Viewpoint::Pod`].
    Pod,
    /// [`Viewpoint::Node`] as it is.
    Node,
    /// [`Viewpoint::Node`] with routes through the host.
    Routed,
    /// [`Viewpoint::Node`] with routes through the hypervisor's own link.
    Pivot,
    /// [`Viewpoint::Workstation`].
    Workstation,
}

impl Viewpoint {
    /// Of which kind it is.
    pub fn stand(&self) -> Stand {
        match self {
            Self::Pod { .. } => Stand::Pod,
            Self::Node { by: Route::Own, .. } => Stand::Node,
            Self::Node { by: Route::Workstation, .. } => Stand::Routed,
            Self::Node { by: Route::Hypervisor, .. } => Stand::Pivot,
            Self::Workstation => Stand::Workstation,
        }
    }

    /// The instance in which it is.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Pod { instance } | Self::Node { instance, .. } => Some(instance),
            Self::Workstation => None,
        }
    }

    /// Whether a prober there has the right to ask this. A pod has no raw sockets (`CAP_NET_RAW` is what a hardened
    /// pod drops first, capabilities(7)); what needs them is asked from the nodes, as root.
    pub fn can(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Tcp { .. } | Ask::HeldTcp { .. } | Ask::Udp { .. } | Ask::Ping { .. } => true,
            Ask::Dns { .. } | Ask::Https { .. } | Ask::Unix { .. } | Ask::Look { .. } => true,
            Ask::Syn { .. } | Ask::Arp { .. } | Ask::Neighbour { .. } | Ask::Group { .. } => self.is_root(),
            Ask::Raw { .. } | Ask::Overlay { .. } | Ask::Advertise { .. } => self.is_root(),
        }
    }

    fn is_root(&self) -> bool {
        !matches!(self, Self::Pod { .. })
    }
}

impl fmt::Display for Viewpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { instance } => write!(f, "a pod of {instance}"),
            Self::Node { node, by: Route::Own, .. } => write!(f, "node {node}"),
            Self::Node { node, by: Route::Workstation, .. } => write!(f, "node {node}, routed"),
            Self::Node { node, by: Route::Hypervisor, .. } => write!(f, "node {node}, by the hypervisor"),
            Self::Workstation => f.write_str(WORKSTATION),
        }
    }
}

/// Its name, wherever an instance's name may stand.
pub const WORKSTATION: &str = "workstation";

/// Who must not be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An instance, by its name.
    Instance(String),
    /// The workstation, as a bridge between instances.
    Workstation,
}

impl Target {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(name) => name,
            Self::Workstation => WORKSTATION,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
