//! A batch of probes, as a prober reads it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Mac, Nonce};

/// The work of one prober. A batch is all that a prober reads from standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Version of the format: [`VERSION`](crate::VERSION).
    pub version: u32,
    /// The deadline of the whole batch, in milliseconds after the prober has read it. At the deadline each probe
    /// without an answer gets one. A batch may end earlier.
    pub deadline_ms: u64,
    /// How long a probe waits for an answer after its last packet, in milliseconds. Without an answer, the probe
    /// repeats its packet a few times, a quarter of this apart, because a busy host may drop a packet without a trace.
    pub answer_timeout_ms: u64,
    /// The most packets sent and connections opened per second, over all probes of the batch.
    pub rate: u32,
    /// The probes. They run in parallel, as far as the rate and the number of sockets allow.
    pub probes: Vec<Probe>,
}

/// One probe of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Identifies the probe in its packets and in its answer.
    pub nonce: Nonce,
    /// What the probe sends, and to which target.
    pub ask: Ask,
}

/// What a probe sends, and to which target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Ask {
    /// A TCP connection over which the prober sends the nonce and a line feed, and reads a line. A witness answers
    /// `<identity> <nonce>`.
    Tcp {
        /// The destination.
        to: SocketAddr,
    },
    /// A TCP connection that the prober opens at once and uses only after `hold_ms`: a firewall rule added meanwhile
    /// may let established connections pass. Only data that the peer sends after that is an answer.
    HeldTcp {
        /// The destination.
        to: SocketAddr,
        /// How long the connection stays idle before it is used, in milliseconds.
        hold_ms: u64,
    },
    /// A SYN with the nonce as its data (RFC 9293, section 3.4) to each port. The receiver's TCP stack ignores the
    /// data, but a witness that captures packets sees it. A closed port answers with RST. While no port answers, the
    /// ports are asked again: twice in all, or three times if there are 16 or fewer.
    Syn {
        /// The destination.
        to: IpAddr,
        /// First and last port of each range.
        ports: Vec<(u16, u16)>,
        /// The neighbour that gets the packets, in frames of the prober's own. `None` leaves the next hop to the
        /// kernel's routes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<NextHop>,
        /// The source address, of the same family as `to`. `None` means the address from which the kernel would send.
        /// Answers to a foreign address do not return to the prober.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
    },
    /// A UDP datagram that consists of the nonce to each port, repeated like [`Ask::Syn`]. A datagram in return is an
    /// answer; ICMP port unreachable is a refusal of the port that it names.
    Datagrams {
        /// The destination.
        to: IpAddr,
        /// First and last port of each range.
        ports: Vec<(u16, u16)>,
        /// As in [`Ask::Syn`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<NextHop>,
        /// As in [`Ask::Syn`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
    },
    /// A bare IP packet with the nonce for each protocol, repeated like [`Ask::Syn`]. TCP, UDP, ICMP, ICMPv6 and SCTP
    /// get a valid header of their own; other protocols have the nonce alone as their payload.
    Protocols {
        /// The destination.
        to: IpAddr,
        /// First and last IANA number of each range: 4 IPIP, 47 GRE, 50 ESP. For IPv6, it is the next header.
        protocols: Vec<(u8, u8)>,
        /// As in [`Ask::Syn`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<NextHop>,
        /// As in [`Ask::Syn`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
    },
    /// Ethernet frames with the nonce, of each kind to each address, sent twice. No answer is waited for: witnesses
    /// decide.
    Frames {
        /// The link's name.
        link: String,
        /// The destinations: unicast, broadcast or multicast.
        to: Vec<Mac>,
        /// The source. `None` means the link's own address. A foreign address redirects the traffic of its owner,
        /// because switches learn from source addresses.
        source: Option<Mac>,
        /// First and last EtherType of each range, 0x0600 to 0xffff (IEEE 802.3, clause 3.2.6). ARP, IPv4 and IPv6
        /// have a valid packet inside; 0x8100 and 0x88a8 a tag of VLAN 0.
        types: Vec<(u16, u16)>,
        /// VLANs, 1 to 4094. Each is sent with one tag (IEEE 802.1Q), and as the inner of two tags (802.1ad).
        #[serde(default)]
        vlans: Vec<u16>,
        /// Service access points of frames that have a length in place of an EtherType (IEEE 802.2): 0x42 is that of
        /// spanning tree, 0xaa that of SNAP, which gets a SNAP header.
        #[serde(default)]
        saps: Vec<u8>,
    },
    /// A search for all neighbours on a link: an ARP request for each address of a net, an ICMPv6 echo request to all
    /// nodes, and the kernel's neighbour table. The outcome is [`ProbeOutcome::Seen`](crate::ProbeOutcome::Seen) with
    /// lines such as `192.168.60.1 02:00:c0:a8:3c:01`. The requests have no nonce, apart from the echo request.
    NextHops {
        /// The link's name.
        link: String,
        /// Any address of the net.
        net: Ipv4Addr,
        /// The net's prefix length, 20 to 32.
        prefix: u8,
    },
    /// A UDP datagram that consists of the nonce, repeated up to `size`. A witness answers `<identity> <nonce>`.
    Udp {
        /// The destination.
        to: SocketAddr,
        /// Payload in bytes. A datagram above the link's MTU is sent in fragments.
        size: usize,
    },
    /// An ICMP or ICMPv6 echo request whose data is the nonce, repeated up to `size`.
    Ping {
        /// The destination.
        to: IpAddr,
        /// Data in bytes.
        size: usize,
        /// Whether the packet must not be fragmented: by routers (the DF bit of IPv4), or by the sender (IPv6).
        dont_fragment: bool,
    },
    /// An ARP request (RFC 826) with the nonce in the padding of the frame.
    Arp {
        /// The address to resolve.
        target: Ipv4Addr,
        /// The link's name. `None` means all links that have an address.
        link: Option<String>,
    },
    /// An IPv6 neighbour solicitation (RFC 4861) with the nonce in an option.
    Neighbour {
        /// The address to resolve.
        target: Ipv6Addr,
        /// The link's name. `None` means all links that have an address.
        link: Option<String>,
    },
    /// An IPv6 router advertisement (RFC 4861) that announces neither router nor prefix, to all nodes on a link, with
    /// the nonce in an option.
    Advertise {
        /// The link's name. `None` means all links that have an address.
        link: Option<String>,
    },
    /// A UDP datagram with the nonce to a multicast or broadcast address.
    Group {
        /// The group, such as `224.0.0.251:5353`, `ff02::1` with a port, or a broadcast address.
        to: SocketAddr,
        /// The link's name. `None` means all links that have an address.
        link: Option<String>,
    },
    /// A bare IP packet of any protocol with the nonce as its payload. For SCTP, the payload is a valid INIT (RFC 9260)
    /// that contains the nonce.
    Raw {
        /// The destination.
        to: Ipv4Addr,
        /// The protocol's IANA number: 4 IPIP, 47 GRE, 50 ESP, 132 SCTP.
        protocol: u8,
    },
    /// A hand-made overlay packet with an inner UDP datagram that contains the nonce: an attempt to inject a packet
    /// into a pod network.
    Overlay {
        /// The node's address and the overlay's port: 8472 or 4789 for VXLAN (RFC 7348), 6081 for Geneve (RFC 8926).
        to: SocketAddr,
        /// The overlay's encapsulation.
        overlay: Overlay,
        /// The destination of the inner datagram.
        inner: Ipv4Addr,
    },
    /// A DNS query for the A record of a name.
    Dns {
        /// The name server.
        server: SocketAddr,
        /// The name, such as `*.acme.lab`. Each `*` in it is replaced by the nonce.
        name: String,
    },
    /// GET over HTTPS. The status code and the server's certificate are the answer. The certificate is verified only if
    /// an authority is given.
    Https {
        /// The destination.
        to: SocketAddr,
        /// The server's name, for SNI and the `Host` header.
        name: String,
        /// The path, with a leading slash, such as `/version`.
        path: String,
        /// The credentials that the prober presents.
        credentials: Credentials,
        /// The only authority against which the server's certificate is verified, as PEM. `None` accepts every
        /// certificate.
        authority: Option<String>,
    },
    /// A connection to a UNIX socket.
    Unix {
        /// The socket's path. A path that begins with `@` is an abstract name.
        path: String,
    },
    /// An inspection of the prober's surroundings, without a packet.
    Look {
        /// What to inspect.
        at: Sight,
    },
}

/// A neighbour that gets packets in frames addressed to it. Neither the kernel's routes nor its ARP take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextHop {
    /// The name of the Ethernet link on which the frames leave.
    pub link: String,
    /// The neighbour's hardware address.
    pub mac: Mac,
}

/// The encapsulation of a hand-made overlay packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
}

/// Credentials that a prober presents to a server. `Debug` prints no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Credentials {
    /// No credentials.
    None,
    /// A client certificate and its key, as PEM.
    Certificate {
        /// The certificate chain.
        certificate: String,
        /// The private key.
        key: String,
    },
    /// A client certificate of a front proxy, and the user for whom it speaks, in the headers `X-Remote-User` and
    /// `X-Remote-Group` (Kubernetes, "Authenticating Proxy").
    FrontProxy {
        /// The certificate chain.
        certificate: String,
        /// The private key.
        key: String,
        /// The user's name.
        user: String,
        /// The user's group.
        group: String,
    },
    /// A bearer token.
    Token {
        /// The token.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Certificate { .. } => "Certificate(***)",
            Self::FrontProxy { .. } => "FrontProxy(***)",
            Self::Token { .. } => "Token(***)",
        })
    }
}

/// What a prober can inspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// Mounts of process 1, with the device and inode of each mount's root.
    Mounts,
    /// Links with their addresses, the location of each veth pair's other end, and the links that are hardware or
    /// virtio devices.
    Links,
    /// IPv4 and IPv6 routes.
    Routes,
    /// Processes with their PID namespaces, from every procfs that process 1 has mounted.
    Processes,
    /// Socket files that process 1 can open, with device and inode; abstract sockets; and devices that connect a VM to
    /// its hypervisor.
    Sockets,
    /// Machine ID, boot ID and SSH host keys.
    Identity,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let token = Credentials::Token { token: "hunter2".to_owned() };
        assert_eq!(format!("{token:?}"), "Token(***)");
    }
}
