//! How each leak is opened on purpose, so that the audit proves that it would see it.
//!
//! These are names and what they mean; `inject` does it, in a scope guard. `self_test` demands a leak of the class that
//! names it and of the right pair, and asks once more after its removal.

use provisioner::spec::{EngineKind, Provider};

/// What opens exactly one class of leak, from a source A to a target B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`words` says what each does")]
pub enum Injection {
    SharedBridge,
    SharedIpv6,
    SharedGroups,
    ProxyArp,
    ExtraLink,
    SharedDhcp,
    SameMac,
    ForwardIcmp,
    ForwardTcp,
    ForwardClosed,
    ForwardUdp,
    ForwardOneWay,
    ForwardRaw,
    ForwardEstablished,
    ForwardLarge,
    Masquerade,
    ForwardPort,
    ForwardOverlay,
    ForwardPods,
    ForwardNodePorts,
    WeakHost,
    OpenInput,
    PublishPort,
    RouteLocalnet,
    Metadata,
    ForeignNames,
    SharedMount,
    SharedSocket,
    SharedProcess,
    SameMachineId,
    NatPivot,
    SharedManagement,
    ForwardApi,
    ForeignClients,
    ForeignTokens,
    ForeignBootstrap,
    ForeignServer,
    SwappedContext,
    AnonymousKubelet,
    ForeignKey,
    SharedStore,
    LeakedSecret,
    LeftLink,
    OldData,
    RestartOther,
    SameNetwork,
    SameAuthority,
    Stray,
}

impl Injection {
    /// What it does, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::SharedBridge => "a cable joins the bridges of A and B",
            Self::SharedIpv6 => "a cable joins them that lets only IPv6 through",
            Self::SharedGroups => "a cable joins them that lets only multicast and broadcast UDP through",
            Self::ProxyArp => "the host answers ARP in A for addresses of B (proxy_arp, with a route to B)",
            Self::ExtraLink => "a node of A gets a second link, with a port of B's bridge as its peer",
            Self::SharedDhcp => "a cable joins them that lets only DHCP and router advertisements through",
            Self::SameMac => "a link of A gets the MAC address of a link of B",
            Self::ForwardIcmp => "the host forwards ICMP from A to B, and nothing else",
            Self::ForwardTcp => "the host forwards TCP to the witness's port, and the answers",
            Self::ForwardClosed => {
                "the host forwards TCP to a port on which nothing listens, and the answers"
            }
            Self::ForwardUdp => "the host forwards UDP to the witness's port, and the answers",
            Self::ForwardOneWay => "the host forwards what goes from A to B, and drops what comes back",
            Self::ForwardRaw => "the host forwards every protocol but TCP, UDP and ICMP",
            Self::ForwardEstablished => {
                "the host forwards TCP until a flow is open, then only what belongs to a flow"
            }
            Self::ForwardLarge => "the host forwards packets of 1000 bytes and more, and fragments",
            Self::Masquerade => "the host forwards from A to B with its own address as the source",
            Self::ForwardPort => "the host forwards TCP to port 9100, where nothing listens",
            Self::ForwardOverlay => "the host forwards UDP to ports 4789, 6081 and 8472",
            Self::ForwardPods => "the host forwards to B's pod and service CIDR, by way of B's node",
            Self::ForwardNodePorts => "the host forwards to NodePorts of B",
            Self::WeakHost => {
                "the guard's prerouting chain is empty, and input accepts: every address of the host answers"
            }
            Self::OpenInput => "the guard's input chain accepts",
            Self::PublishPort => "a port of the host leads to B's API server",
            Self::RouteLocalnet => "route_localnet is on for A's link on the host",
            Self::Metadata => "the host has 169.254.169.254 and accepts what A sends there",
            Self::ForeignNames => "A's name server knows a name of B",
            Self::SharedMount => "a folder of B's node is mounted in A's",
            Self::SharedSocket => "a socket of B's container runtime is mounted in A's node",
            Self::SharedProcess => {
                "a process of B's node shows up in A's: a bind mount of its /proc entry, or a shared namespace"
            }
            Self::SameMachineId => "a node of A says the machine id of a node of B",
            Self::NatPivot => "the host forwards from A's management network to B",
            Self::SharedManagement => "a cable joins the management networks of A and B",
            Self::ForwardApi => "the host forwards TCP to B's port 6443",
            Self::ForeignClients => "B's API server takes A's cluster CA for its clients' too",
            Self::ForeignTokens => "B's API server has A's service-account token in its list of tokens",
            Self::ForeignBootstrap => "B has A's bootstrap token",
            Self::ForeignServer => "B's API server shows a certificate that A's CA signed",
            Self::SwappedContext => "A's context leads to B",
            Self::AnonymousKubelet => "a kubelet of B lets everybody in",
            Self::ForeignKey => "a node of B lets A's SSH key in",
            Self::SharedStore => "a writable file of A's image store is a hard link to one of B's",
            Self::LeakedSecret => "a key of B is copied into a log of A",
            Self::LeftLink => "a link is left behind",
            Self::OldData => "what an instance left is put where its successor looks",
            Self::RestartOther => "when an instance is destroyed, a node of B starts its kubelet anew",
            Self::SameNetwork => "B's registry entry, in memory, gets A's pod CIDR",
            Self::SameAuthority => "B's front-proxy CA, in memory, is A's",
            Self::Stray => "an engine's object of which the registry knows nothing",
        }
    }

    /// The same of an engine's nodes: what containers share in one kernel, machines share by their hypervisor.
    pub fn words_on(self, engine: EngineKind) -> &'static str {
        if !engine.is_virtual() {
            return self.words();
        }
        match self {
            Self::ExtraLink => "a machine of A gets a network adapter on B's bridge while it runs",
            Self::SharedMount => "a machine of A and one of B mount the same folder of one server",
            Self::SharedSocket => {
                "a machine of A and one of B get a port of the hypervisor's, with a line from one to the other"
            }
            Self::SharedProcess => {
                "a machine of A says that it runs on the kernel of one of B, by its boot id"
            }
            Self::SharedStore => "a machine of A and one of B get the same writable disk",
            other => other.words(),
        }
    }

    /// Why it cannot be opened between an engine's nodes; nothing where it can.
    pub fn lacks(self, engine: EngineKind) -> Option<&'static str> {
        use Injection::{
            ExtraLink, ForeignKey, NatPivot, SharedBridge, SharedDhcp, SharedGroups, SharedIpv6,
            SharedManagement, SharedSocket, SharedStore,
        };
        match (engine, self) {
            (EngineKind::Container, NatPivot | SharedManagement | ForeignKey) => {
                Some("container nodes have neither hypervisors nor SSH servers")
            }
            (
                EngineKind::Vagrant(Provider::Virtualbox),
                SharedBridge | SharedIpv6 | SharedGroups | SharedDhcp | NatPivot | SharedManagement,
            ) => Some(
                "the networks of VirtualBox are its own, and no bridges into which a cable could be plugged",
            ),
            (EngineKind::Vagrant(Provider::Virtualbox), ExtraLink | SharedSocket | SharedStore) => {
                Some("VirtualBox gives adapters, ports and disks to machines that are off only")
            }
            _ => None,
        }
    }

    /// Whether it takes the destruction of A to open it.
    pub fn takes_destruction(self) -> bool {
        matches!(self, Self::OldData | Self::RestartOther)
    }

    /// Whether B reaches A as well: what both share, and what is the workstation's for everybody.
    pub fn is_mutual(self) -> bool {
        use Injection::{
            ForeignKey, LeftLink, RouteLocalnet, SameAuthority, SameMac, SameMachineId, SameNetwork,
            SharedBridge, SharedDhcp, SharedGroups, SharedIpv6, SharedManagement, SharedMount, SharedProcess,
            SharedSocket, SharedStore, Stray,
        };
        matches!(
            self,
            SharedBridge
                | SharedIpv6
                | SharedGroups
                | SharedDhcp
                | SharedManagement
                | ForeignKey
                | SameMac
                | SharedMount
                | SharedSocket
                | SharedProcess
                | SharedStore
                | SameMachineId
                | SameNetwork
                | SameAuthority
                | RouteLocalnet
                | LeftLink
                | Stray
        )
    }
}
