//! [`DrawnLeak`]: the data of one drawn leak, and its description.

use std::fmt;

use super::spot::Spot;

/// A leak that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct DrawnLeak {
    /// The name of the cluster that reaches the other one.
    pub(in crate::audit) from: String,
    /// The name of the cluster that is reached.
    pub(in crate::audit) to: String,
    pub(super) leak: Leak,
}

/// The kinds of leak, each with an injection and a proof of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::audit) enum LeakKind {
    /// The host forwards one TCP port.
    ForwardTcp,
    /// The host forwards one UDP port.
    ForwardUdp,
    /// The host forwards one IP protocol.
    ForwardProtocol,
    /// A cable that passes one EtherType.
    EtherTypeCable,
    /// A cable that passes unicast IPv4 of one port.
    PortCable,
    /// A network namespace with a link in both networks.
    Router,
    /// A second interface of a node.
    NodeInterface,
    /// A second interface of a pod.
    PodInterface,
    /// A macvlan interface of a node.
    Macvlan,
    /// Copies of the packets of one port.
    Mirror,
    /// A relay between the network namespaces of two nodes.
    NodeRelay,
    /// A relay from the network namespace of a pod.
    PodRelay,
    /// A relay from a UNIX socket.
    SocketRelay,
    /// A listener of the host.
    Listener,
    /// A file with a secret.
    File,
    /// A mounted folder in a node.
    NodeMount,
    /// A mounted folder in a pod.
    PodMount,
    /// A block device.
    Device,
    /// A credential in an object of the API.
    Object,
    /// A trusted authority.
    Trust,
    /// A process in namespaces of both.
    Process,
    /// A pipe between two processes.
    Pipe,
}

impl LeakKind {
    /// All kinds.
    pub(in crate::audit) const ALL: [Self; 22] = [
        Self::ForwardTcp,
        Self::ForwardUdp,
        Self::ForwardProtocol,
        Self::EtherTypeCable,
        Self::PortCable,
        Self::Router,
        Self::NodeInterface,
        Self::PodInterface,
        Self::Macvlan,
        Self::Mirror,
        Self::NodeRelay,
        Self::PodRelay,
        Self::SocketRelay,
        Self::Listener,
        Self::File,
        Self::NodeMount,
        Self::PodMount,
        Self::Device,
        Self::Object,
        Self::Trust,
        Self::Process,
        Self::Pipe,
    ];
}

/// TCP or UDP with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) protocol: Transport,
    pub(super) port: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// A file with a secret that each control plane has, below `/etc/kubernetes`.
pub(super) const SECRETS: [&str; 13] = [
    "admin.conf",
    "super-admin.conf",
    "controller-manager.conf",
    "scheduler.conf",
    "pki/ca.key",
    "pki/front-proxy-ca.key",
    "pki/etcd/ca.key",
    "pki/sa.key",
    "pki/apiserver.key",
    "pki/apiserver-etcd-client.key",
    "pki/apiserver-kubelet-client.key",
    "pki/front-proxy-client.key",
    "pki/etcd/server.key",
];

/// A file or folder on a node that does not exist yet: `/opt/cache-1f/lib-90/data-77`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// A folder that every node has: `/opt`.
    pub(super) base: &'static str,
    /// The folders below it, at least one, and the name.
    pub(super) parts: Vec<String>,
}

impl Place {
    /// The topmost folder that has to be made.
    pub(super) fn top(&self) -> String {
        format!("{}/{}", self.base, self.parts.first().map_or("", String::as_str))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.parts.join("/"))
    }
}

/// How a file of the target gets into a node of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileForm {
    /// As a copy.
    Copy,
    /// As a second name of the same inode.
    HardLink,
    /// As a bind mount.
    BindMount,
    /// As a part of a bigger file in base64, after this many other bytes, in lines of this width (0: one line).
    Base64 { before: u16, width: u8 },
}

/// The kind of an object in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Secret,
    ConfigMap,
}

/// The near end of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NearEnd {
    /// A TCP port of the loopback link in a network namespace of the source.
    Port { at: Spot, port: u16 },
    /// A UNIX socket in `/run` of the source's first node.
    Path,
}

/// An authority of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    Cluster,
    FrontProxy,
    Etcd,
}

/// A file of authorities that API servers trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrustFile {
    /// `--client-ca-file`.
    Clients,
    /// `--requestheader-client-ca-file`.
    FrontProxies,
}

/// What a leak consists of. Nodes are given by their place in the cluster, from 0; a cluster with fewer nodes takes its
/// last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leak {
    Forward { traffic: Traffic, near: Option<u16>, to: u8 },
    ForwardProtocol { number: u8, to: u8 },
    EtherTypeCable { number: u16, unicast: bool },
    PortCable { traffic: Traffic },
    Router { name: String, traffic: Option<Traffic>, place: u8 },
    Interface { at: Spot, name: String, place: u8 },
    Macvlan { node: u8, name: String, place: u8 },
    Mirror { traffic: Traffic },
    Relay { name: String, near: NearEnd, far: u16, to: Spot },
    Listener { name: String, near: u16, far: u16 },
    File { secret: &'static str, form: FileForm, at: Place },
    Mount { what: &'static str, in_pod: Option<Spot>, at: Place },
    Device { at: Place, name: String },
    Object { kind: ObjectKind, encoded: bool, name: String },
    Trust { ours: Authority, theirs: TrustFile },
    Process { name: String, namespace: &'static str, in_cgroup: bool },
    Pipe { name: String, from: u8, to: u8 },
}

impl DrawnLeak {
    /// Whether the path goes through an address or a port of the host, so that the source also reaches the host.
    pub(in crate::audit) fn reaches_host(&self) -> bool {
        matches!(self.leak, Leak::Listener { .. } | Leak::Forward { near: Some(_), .. })
    }

    /// Whether the path also leads from the target to the source.
    pub(in crate::audit) fn is_mutual(&self) -> bool {
        !matches!(
            self.leak,
            Leak::Forward { .. }
                | Leak::ForwardProtocol { .. }
                | Leak::Mirror { .. }
                | Leak::File { form: FileForm::Copy | FileForm::Base64 { .. }, .. }
                | Leak::Object { .. }
                | Leak::Trust { .. }
        )
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        };
        write!(f, "{protocol} {}", self.port)
    }
}

impl fmt::Display for DrawnLeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, leak } = self;
        let node = |place: &u8| format!("node {}", place + 1);
        match leak {
            Leak::Forward { traffic, near: None, to: place } => {
                write!(f, "the host forwards {traffic} from {from} to {} of {to}", node(place))
            }
            Leak::Forward { traffic, near: Some(near), to: place } => {
                let target = node(place);
                write!(f, "port {near} of {from}'s gateway leads to {traffic} of {target} of {to}")
            }
            Leak::ForwardProtocol { number, to: place } => {
                write!(f, "the host forwards IP protocol {number} from {from} to {} of {to}", node(place))
            }
            Leak::EtherTypeCable { number, unicast } => {
                let kind = if *unicast { "unicast frames" } else { "frames" };
                write!(
                    f,
                    "{kind} of EtherType {number:#06x} from {from} to {to} over a cable between their bridges"
                )
            }
            Leak::PortCable { traffic } => {
                write!(f, "unicast IPv4 of {traffic} from {from} to {to} over a cable between their bridges")
            }
            Leak::Router { name, traffic, place } => {
                let what = traffic.map_or("everything".to_owned(), |traffic| traffic.to_string());
                let last = u16::from(*place) + 1;
                write!(
                    f,
                    "{what} from {from} to {to} through a router, the network namespace {name} with address {last} \
                     from the end of both networks"
                )
            }
            Leak::Interface { at, name, place } => {
                let last = u16::from(*place) + 1;
                write!(
                    f,
                    "{at} of {from} has the interface {name} in {to}'s bridge, with address {last} from the end of its \
                     network"
                )
            }
            Leak::Macvlan { node: at, name, place } => {
                let (at, last) = (node(at), u16::from(*place) + 1);
                write!(
                    f,
                    "{at} of {from} has the macvlan interface {name} of {to}'s bridge, with address {last} from the end \
                     of its network"
                )
            }
            Leak::Mirror { traffic } => {
                write!(f, "copies of the packets to {traffic} of {from}'s nodes in {to}'s bridge")
            }
            Leak::Relay { near: NearEnd::Port { at, port }, far, to: there, .. } => write!(
                f,
                "TCP {port} of {at} of {from} leads to TCP {far} of {there} of {to} through two processes of the host"
            ),
            Leak::Relay { name, near: NearEnd::Path, far, to: there } => write!(
                f,
                "the UNIX socket /run/{name} of node 1 of {from} leads to TCP {far} of {there} of {to} through a \
                 process of the host"
            ),
            Leak::Listener { near, far, .. } => {
                write!(
                    f,
                    "a process of the host at TCP {near} of {from}'s gateway leads to TCP {far} of {to}"
                )
            }
            Leak::File { secret, form, at } => {
                let form = match form {
                    FileForm::Copy => "a copy".to_owned(),
                    FileForm::HardLink => "a hard link".to_owned(),
                    FileForm::BindMount => "a bind mount".to_owned(),
                    FileForm::Base64 { before, width: 0 } => {
                        format!("base64 in one line after {before} bytes")
                    }
                    FileForm::Base64 { before, width } => {
                        format!("base64 in lines of {width} characters after {before} bytes")
                    }
                };
                write!(f, "{to}'s {secret} is at {at} on node 1 of {from}, as {form}")
            }
            Leak::Mount { what, in_pod, at } => {
                let place = in_pod.map_or("node 1".to_owned(), |pod| pod.to_string());
                write!(f, "{what} of node 1 of {to} is mounted at {at} in {place} of {from}")
            }
            Leak::Device { at, .. } => {
                write!(f, "node 1 of {from} has the block device {at} over a file of node 1 of {to}")
            }
            Leak::Object { kind, encoded, name } => {
                let form = if *encoded { ", in base64," } else { "" };
                write!(f, "an administrator's kubeconfig of {to} is{form} in the {kind:?} {name} of {from}")
            }
            Leak::Trust { ours, theirs } => {
                let ours = match ours {
                    Authority::Cluster => "cluster CA",
                    Authority::FrontProxy => "front-proxy CA",
                    Authority::Etcd => "etcd CA",
                };
                let theirs = match theirs {
                    TrustFile::Clients => "clients",
                    TrustFile::FrontProxies => "front proxies",
                };
                write!(f, "{to}'s API server also trusts {from}'s {ours} for {theirs}")
            }
            Leak::Process { namespace, in_cgroup, .. } => {
                let cgroup = if *in_cgroup { " and cgroup" } else { "" };
                write!(
                    f,
                    "a process in the namespaces{cgroup} of node 1 of {from} has the {namespace} namespace of node 1 \
                     of {to}"
                )
            }
            Leak::Pipe { from: here, to: there, .. } => write!(
                f,
                "a pipe leads from a process in the namespaces of {} of {from} to one of {} of {to}",
                node(here),
                node(there)
            ),
        }
    }
}
