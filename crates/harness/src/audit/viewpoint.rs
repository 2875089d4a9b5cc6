//! Where probers run, and the targets of their probes.

use std::fmt;

use probe::Ask;

use super::subject::Part;

/// A place where one prober runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Viewpoint {
    /// An unprivileged pod on the pod network, on the same node as the instance's witness there.
    Pod {
        /// The instance.
        instance: String,
    },
    /// A privileged pod on the host network of a node: it has the rights of an attacker who escaped from a container.
    Node {
        /// The instance.
        instance: String,
        /// The node.
        node: String,
        /// The route to addresses that are on none of the node's links.
        by: Route,
    },
    /// The host. It may reach every instance, so no instance is isolated from it. It sends the probes that need an open
    /// path (credentials), and the control where the host itself is the target.
    Host,
}

/// The route of a node to addresses that are on none of its links, as root on the node could set it. The runner adds
/// routes to all addresses while the batches of that kind run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// The node's own routes, unchanged.
    Own,
    /// Through the host's address in the instance's network.
    Host,
    /// Through the hypervisor's address on its management link into the VM.
    Hypervisor,
}

/// A kind of [`Viewpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// [`Viewpoint::Pod`].
    Pod,
    /// [`Viewpoint::Node`] with its own routes.
    Node,
    /// [`Viewpoint::Node`] with routes through the host. In a cluster whose host is unknown, with its own routes.
    Routed,
    /// [`Viewpoint::Node`] with routes through the hypervisor's management link.
    Pivot,
    /// [`Viewpoint::Host`].
    Host,
}

impl Stand {
    /// The parts of an instance that this kind of viewpoint needs.
    pub fn needs(self) -> &'static [Part] {
        match self {
            Self::Pod => &[Part::Pods],
            Self::Node | Self::Routed | Self::Pivot => &[Part::Nodes],
            Self::Host => &[],
        }
    }
}

impl Viewpoint {
    /// The kind of this viewpoint.
    pub fn stand(&self) -> Stand {
        match self {
            Self::Pod { .. } => Stand::Pod,
            Self::Node { by: Route::Own, .. } => Stand::Node,
            Self::Node { by: Route::Host, .. } => Stand::Routed,
            Self::Node { by: Route::Hypervisor, .. } => Stand::Pivot,
            Self::Host => Stand::Host,
        }
    }

    /// The instance that it belongs to; `None` for the host.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Pod { instance } | Self::Node { instance, .. } => Some(instance),
            Self::Host => None,
        }
    }

    /// Whether a prober at this viewpoint has the rights to send this. A pod has no raw sockets: `CAP_NET_RAW` is the
    /// first capability that a hardened pod drops (capabilities(7)). Probes that need raw sockets run as root on nodes.
    pub fn can(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Tcp { .. } | Ask::HeldTcp { .. } | Ask::Udp { .. } | Ask::Ping { .. } => true,
            Ask::Dns { .. } | Ask::Https { .. } | Ask::Unix { .. } | Ask::Look { .. } => true,
            Ask::Syn { .. } | Ask::Arp { .. } | Ask::Neighbour { .. } | Ask::Group { .. } => self.is_root(),
            Ask::Datagrams { .. } | Ask::Protocols { .. } => self.is_root(),
            Ask::Frames { .. } | Ask::NextHops { .. } => self.is_root(),
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
            Self::Node { node, by: Route::Host, .. } => write!(f, "node {node}, routed"),
            Self::Node { node, by: Route::Hypervisor, .. } => {
                write!(f, "node {node}, through the hypervisor")
            }
            Self::Host => f.write_str(HOST),
        }
    }
}

/// The name of the host as a source or target: in `--to host`, in reports, and as the identity of its witness.
pub const HOST: &str = "host";

/// A target of probes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An instance, by its name.
    Instance(String),
    /// The host, as a bridge between instances.
    Host,
}

impl Target {
    /// The instance's name, or [`HOST`].
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(name) => name,
            Self::Host => HOST,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
