//! How each leak is opened on purpose, so that the audit proves that it would see it.
//!
//! These are names only. Whoever runs the audit opens each in a scope guard, demands a leak of the class that names
//! it and of the right pair, and asks once more after its removal.

/// What opens exactly one class of leak, from a source A to a target B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Injection {
    /// L1: a cable joins the bridges of A and B.
    SharedBridge,
    /// L2: a cable joins them that lets only IPv6 through.
    SharedIpv6,
    /// L3: a cable joins them that lets only multicast and broadcast UDP through.
    SharedGroups,
    /// L4: the host answers ARP in A for addresses of B (`proxy_arp`, with a route to B).
    ProxyArp,
    /// L5: a node of A gets a second link, with a port of B's bridge as its peer.
    ExtraLink,
    /// L6: a cable joins them that lets only DHCP and router advertisements through.
    SharedDhcp,
    /// L7: a link of A gets the MAC address of a link of B.
    SameMac,
    /// N1: the host forwards ICMP from A to B, and nothing else.
    ForwardIcmp,
    /// N3: the host forwards TCP to the witness's port, and the answers.
    ForwardTcp,
    /// N4: the host forwards TCP to [`CLOSED_PORT`](crate::audit::CLOSED_PORT), and the answers.
    ForwardClosed,
    /// N5: the host forwards UDP to the witness's port, and the answers.
    ForwardUdp,
    /// N6: the host forwards what goes from A to B, and drops what comes back.
    ForwardOneWay,
    /// N7: the host forwards every protocol but TCP, UDP and ICMP.
    ForwardRaw,
    /// N8: the host forwards TCP until a flow is open, then only what belongs to a flow.
    ForwardEstablished,
    /// N9: the host forwards packets of 1000 bytes and more, and fragments.
    ForwardLarge,
    /// N10: the host forwards from A to B with its own address as the source.
    Masquerade,
    /// N11: the host forwards TCP to port 9100, where nothing listens.
    ForwardPort,
    /// N12: the host forwards UDP to ports 4789, 6081 and 8472.
    ForwardOverlay,
    /// N13: the host forwards to B's pod and service CIDR, by way of B's node.
    ForwardPods,
    /// N14: the host forwards to NodePorts of B.
    ForwardNodePorts,
    /// H1: the guard's `prerouting` chain is empty, and `input` accepts: every address of the host answers.
    WeakHost,
    /// H2: the guard's `input` chain accepts.
    OpenInput,
    /// H3: a port of the host leads to B's API server.
    PublishPort,
    /// H5: `route_localnet` is on for A's link on the host.
    RouteLocalnet,
    /// H6: the host has 169.254.169.254 and accepts what A sends there.
    Metadata,
    /// H7: A's name server knows a name of B.
    ForeignNames,
    /// H8: a folder of B's node is mounted in A's.
    SharedMount,
    /// H9: a socket of B's container runtime is mounted in A's node.
    SharedSocket,
    /// H10: a process of B's node shows up in A's: a bind mount of its `/proc` entry, or a shared namespace.
    SharedProcess,
    /// H12: a node of A says the machine id of a node of B.
    SameMachineId,
    /// C1: the host forwards TCP to B's port 6443.
    ForwardApi,
    /// C2: B's API server takes A's cluster CA for its clients' too.
    ForeignClients,
    /// C3: B's API server takes A's service-account key and issuer too.
    ForeignTokens,
    /// C4: B has A's bootstrap token.
    ForeignBootstrap,
    /// C5: B's API server shows a certificate that A's CA signed.
    ForeignServer,
    /// C6: A's context leads to B.
    SwappedContext,
    /// C7: a kubelet of B lets everybody in.
    AnonymousKubelet,
    /// C9: a writable file of A's image store is a hard link to one of B's.
    SharedStore,
    /// C10: a key of B is copied into a log of A.
    LeakedSecret,
    /// T1: a link is left behind.
    LeftLink,
    /// T2: what an instance left is put where its successor looks.
    OldData,
    /// T3: when A is destroyed, a node of B starts anew.
    RestartOther,
    /// S1: B's registry entry, in memory, gets A's pod CIDR.
    SameNetwork,
    /// S2: B's front-proxy CA, in memory, is A's.
    SameAuthority,
    /// S3: an engine's object of which the registry knows nothing.
    Stray,
}
