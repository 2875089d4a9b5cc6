//! The injections: each makes one leak on purpose, so that the self-test proves that the audit detects it.
//!
//! This module has the names and texts. `inject` applies and reverts injections, in a scope guard. `self_test` demands
//! a leak of the right class for the right pair, and audits once more after the injection was reverted.

use provisioner::request::{EngineKind, Provider};

/// An injection makes a leak of exactly one class, from a source A to a target B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`words` describes each")]
pub enum Injection {
    SharedBridge,
    SharedIpv6,
    SharedGroups,
    ProxyArp,
    ExtraLink,
    SharedDhcp,
    SameMac,
    SharedEtherType,
    ForwardIcmp,
    ForwardIpv6,
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
    ForwardUdpPort,
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
    ForeignAuthority,
    Stray,
    OpenGuard,
    DeadCable,
    HiddenLink,
    HiddenAddress,
    ProxyNeighbour,
    MirroredLink,
    PlantedProcess,
    Relay,
    HiddenNat,
    HiddenMount,
    HiddenCgroup,
    CopiedFrames,
    SecondRouter,
    LoopDevice,
}

impl Injection {
    /// A description of the leak between containers: `the host forwards ICMP from A to B, and nothing else`.
    pub fn words(self) -> &'static str {
        match self {
            Self::SharedBridge => "a cable joins the bridges of A and B",
            Self::SharedIpv6 => "a cable that passes only IPv6 joins the bridges of A and B",
            Self::SharedGroups => {
                "a cable that passes only multicast and broadcast UDP joins the bridges of A and B"
            }
            Self::ProxyArp => "the host answers ARP in A for addresses of B (proxy_arp, with a route to B)",
            Self::ExtraLink => "a node of A gets a second link, whose peer is a port of B's bridge",
            Self::SharedDhcp => {
                "a cable that passes only DHCP and router advertisements joins the bridges of A and B"
            }
            Self::SameMac => "a link of A gets the MAC address of a link of B",
            Self::SharedEtherType => {
                "a cable that passes only frames of the EtherType 0x88b5 joins the bridges of A and B"
            }
            Self::ForwardIcmp => "the host forwards ICMP from A to B, and nothing else",
            Self::ForwardIpv6 => "the host forwards IPv6 from A to B",
            Self::ForwardTcp => "the host forwards TCP to the witness's port, and the answers",
            Self::ForwardClosed => "the host forwards TCP to a port without a listener, and the answers",
            Self::ForwardUdp => "the host forwards UDP to the witness's port, and the answers",
            Self::ForwardOneWay => "the host forwards packets from A to B, and drops packets from B to A",
            Self::ForwardRaw => "the host forwards every IP protocol except TCP, UDP and ICMP",
            Self::ForwardEstablished => {
                "the host forwards TCP until a flow is open, then only packets of open flows"
            }
            Self::ForwardLarge => "the host forwards packets of 1000 bytes and more, and fragments",
            Self::Masquerade => "the host forwards from A to B with its own address as the source",
            Self::ForwardPort => "the host forwards TCP to port 9100, which has no listener",
            Self::ForwardOverlay => "the host forwards UDP to ports 4789, 6081 and 8472",
            Self::ForwardPods => "the host forwards to B's pod and service CIDRs, through B's node",
            Self::ForwardNodePorts => "the host forwards to NodePorts of B",
            Self::ForwardUdpPort => "the host forwards UDP to port 53, which has no listener",
            Self::WeakHost => {
                "the guard's prerouting chain is empty and its input chain accepts packets of A: every address of the \
                 host answers"
            }
            Self::OpenInput => "the guard's input chain accepts packets of A",
            Self::PublishPort => "a port of the host leads to B's API server",
            Self::RouteLocalnet => "route_localnet is on for A's link on the host",
            Self::Metadata => "the host has the address 169.254.169.254 and accepts packets of A to it",
            Self::ForeignNames => "A's name server resolves a name of B",
            Self::SharedMount => "a folder of B's node is mounted in A's node",
            Self::SharedSocket => "a socket of B's container runtime is mounted in A's node",
            Self::SharedProcess => {
                "a process of B's node is visible in A's node: by a bind mount of its /proc entry, or a shared \
                 namespace"
            }
            Self::SameMachineId => "a node of A has the machine id of a node of B",
            Self::NatPivot => "the host forwards from A's management network to B",
            Self::SharedManagement => "a cable joins the management networks of A and B",
            Self::ForwardApi => "the host forwards TCP to B's port 6443",
            Self::ForeignClients => "B's API server also trusts A's cluster CA for client certificates",
            Self::ForeignTokens => "the token file of B's API server contains A's service-account token",
            Self::ForeignBootstrap => "A's bootstrap token is also a bootstrap token of B",
            Self::ForeignServer => "B's API server presents a certificate that A's CA signed",
            Self::SwappedContext => "A's kubeconfig context leads to B",
            Self::AnonymousKubelet => "a kubelet of B accepts anonymous requests",
            Self::ForeignKey => "a node of B accepts an SSH key of A",
            Self::SharedStore => "a writable file of A's image store is a hard link to a file of B's",
            Self::LeakedSecret => "B's admin.conf is in a folder of A's node, outside of /var",
            Self::LeftLink => "a network link is left on the host",
            Self::OldData => "data of a destroyed instance is put into its successor",
            Self::RestartOther => "a node of B restarts its kubelet when another instance is destroyed",
            Self::SameNetwork => "in memory, B's registry entry gets A's pod CIDR",
            Self::ForeignAuthority => "A's front-proxy CA is the second block of B's front-proxy CA file",
            Self::Stray => "the host has a link of an instance that the registry does not know",
            Self::OpenGuard => "the guard accepts UDP to port 9 from A to B",
            Self::DeadCable => "a cable that passes no frame joins the bridges of A and B",
            Self::HiddenLink => "a cable that is switched off joins a node of A and a node of B",
            Self::HiddenAddress => "a node of A has an address of B",
            Self::ProxyNeighbour => "the host answers ARP in A for one address of B (proxy neighbour)",
            Self::MirroredLink => "a filter of traffic control copies frames from A's link to B's link",
            Self::PlantedProcess => {
                "a process in the network of a node of A holds the network of a node of B"
            }
            Self::Relay => "a process listens in A's network and has an address of B in its command line",
            Self::HiddenNat => "an nftables table sends UDP to port 9 from A's link to B",
            Self::HiddenMount => "files of B's node are mounted in A's node",
            Self::HiddenCgroup => "the cgroup of B's node is mounted in A's node",
            Self::CopiedFrames => "each TCP packet of A's nodes is copied into B's bridge",
            Self::SecondRouter => {
                "a network namespace with a link in the networks of A and B forwards everything between them"
            }
            Self::LoopDevice => "A's node can use a loop device over a file of B's node",
        }
    }

    /// The description for an engine's nodes. Containers share objects of one kernel; VMs share objects of their
    /// hypervisor, so some injections differ.
    pub fn words_on(self, engine: EngineKind) -> &'static str {
        if !engine.is_virtual() {
            return self.words();
        }
        match self {
            Self::ExtraLink => "a running VM of A gets a network adapter on B's bridge",
            Self::SharedMount => "a VM of A and a VM of B mount the same folder of one server",
            Self::SharedSocket => {
                "a VM of A and a VM of B each get a hypervisor port, and a line joins both ports"
            }
            Self::SharedProcess => "a VM of A reports the boot id of a VM of B, as if both ran on one kernel",
            Self::SharedStore => "a VM of A and a VM of B get the same writable disk",
            other => other.words(),
        }
    }

    /// Why the injection cannot be applied between an engine's nodes; `None` where it can.
    pub fn lacks(self, engine: EngineKind) -> Option<&'static str> {
        use Injection::{
            CopiedFrames, DeadCable, ExtraLink, ForeignKey, HiddenAddress, HiddenCgroup, HiddenLink,
            HiddenMount, LoopDevice, NatPivot, PlantedProcess, SecondRouter, SharedBridge, SharedDhcp,
            SharedEtherType, SharedGroups, SharedIpv6, SharedManagement, SharedSocket, SharedStore,
        };
        match (engine, self) {
            (EngineKind::Container, NatPivot | SharedManagement | ForeignKey) => {
                Some("container nodes have neither a hypervisor nor an SSH server")
            }
            (
                EngineKind::Vagrant(Provider::Virtualbox),
                SharedBridge | SharedIpv6 | SharedGroups | SharedDhcp | SharedEtherType | NatPivot
                | SharedManagement | CopiedFrames | SecondRouter,
            ) => Some("VirtualBox networks are not bridges, so a cable cannot join them"),
            (EngineKind::Vagrant(Provider::Virtualbox), ExtraLink | SharedSocket | SharedStore) => {
                Some("VirtualBox adds adapters, ports and disks only to VMs that are off")
            }
            (
                EngineKind::Vagrant(_),
                DeadCable | HiddenLink | HiddenAddress | PlantedProcess | HiddenMount | HiddenCgroup
                | LoopDevice,
            ) => {
                Some("the kernel of a VM is its own, so the host has none of its links, files and processes")
            }
            _ => None,
        }
    }

    /// Whether the injection needs the destruction of an instance.
    pub fn takes_destruction(self) -> bool {
        matches!(self, Self::OldData | Self::RestartOther)
    }

    /// Whether a secret of A stays in B after the injection was reverted: etcd keeps removed objects in its log.
    pub fn leaves_traces(self) -> bool {
        self == Self::ForeignBootstrap
    }

    /// Whether the injection also makes a leak from B to A. That holds for objects that both share, and for leaks of
    /// the host that affect every instance.
    pub fn is_mutual(self) -> bool {
        use Injection::{
            DeadCable, ForeignKey, HiddenAddress, HiddenCgroup, HiddenLink, HiddenMount, HiddenNat, LeftLink,
            LoopDevice, MirroredLink, OpenGuard, PlantedProcess, ProxyNeighbour, Relay, RouteLocalnet,
            SameMac, SameMachineId, SameNetwork, SecondRouter, SharedBridge, SharedDhcp, SharedEtherType,
            SharedGroups, SharedIpv6, SharedManagement, SharedMount, SharedProcess, SharedSocket,
            SharedStore, Stray,
        };
        matches!(
            self,
            SharedBridge
                | SharedIpv6
                | SharedGroups
                | SharedDhcp
                | SharedEtherType
                | SharedManagement
                | ForeignKey
                | SameMac
                | SharedMount
                | SharedSocket
                | SharedProcess
                | SharedStore
                | SameMachineId
                | SameNetwork
                | RouteLocalnet
                | LeftLink
                | Stray
                | OpenGuard
                | DeadCable
                | HiddenLink
                | HiddenAddress
                | ProxyNeighbour
                | MirroredLink
                | PlantedProcess
                | Relay
                | HiddenNat
                | HiddenMount
                | HiddenCgroup
                | SecondRouter
                | LoopDevice
        )
    }
}
