//! Wire types of `homelab-probe prober` and `homelab-probe witness`: a prober's batch and answers, and a witness's
//! reports, as JSON with one object a line.
//!
//! The harness, which runs both, depends on this library. The library depends on nothing else of homelab.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Version of the format of all types in this module.
pub const VERSION: u32 = 1;

/// Identifies a probe in its packets: `hl1-<run>-<number>`, with the run in eight hex digits and the probe's number
/// within the run in six. A nonce is a valid DNS label (RFC 1123), so it can be part of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// Prefix of every nonce.
    pub const PREFIX: &'static str = "hl1-";
    /// Length of every nonce, in bytes.
    pub const LENGTH: usize = Self::PREFIX.len() + 8 + 1 + 6;

    /// The nonce of the probe `number` of a run. Only the lowest 24 bits of `number` count.
    pub fn new(run: u32, number: u32) -> Self {
        Self(format!("{}{run:08x}-{:06x}", Self::PREFIX, number & 0x00ff_ffff))
    }

    /// The nonce at the start of `bytes`, or `None` if `bytes` do not start with one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(Self::PREFIX.as_bytes()) {
            return None; // cheap, because a witness tries each byte of all traffic
        }
        let text = std::str::from_utf8(bytes.get(..Self::LENGTH)?).ok()?;
        let (run, number) = text.strip_prefix(Self::PREFIX)?.split_once('-')?;
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (hex(run, 8) && hex(number, 6)).then(|| Self(text.to_owned()))
    }

    /// All nonces in `bytes`, each once, in the order of their first occurrence.
    pub fn find_all(bytes: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        for place in 0..bytes.len().saturating_sub(Self::LENGTH - 1) {
            if let Some(nonce) = Self::parse(&bytes[place..])
                && !found.contains(&nonce)
            {
                found.push(nonce);
            }
        }
        found
    }

    /// The nonce as text, such as `hl1-deadbeef-000007`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The work of one prober. A batch is all that a prober reads from standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Version of the format: [`VERSION`].
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
    /// A SYN with the nonce as its data (RFC 9293, section 3.4) to each port, from a raw socket. The receiver's TCP
    /// stack ignores the data, but a witness that captures packets sees it. A closed port answers with RST.
    Syn {
        /// The destination.
        to: Ipv4Addr,
        /// First and last port of each range.
        ports: Vec<(u16, u16)>,
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

/// The result of a probe. A prober writes one for each probe of the batch, and [`ProbeResult::End`] last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The probe that this answers.
    pub nonce: Nonce,
    /// Packets sent and connections opened, as far as the prober knows. 0 if the probe did not run.
    pub sent: u32,
    /// When the first of them left, in microseconds since 1970-01-01 UTC. 0 if none did.
    pub at_us: u64,
    /// The result.
    pub outcome: ProbeOutcome,
}

/// The result of a probe, as the prober sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ProbeOutcome {
    /// The target answered with data that only the target can send.
    Answered {
        /// The witness's name, if a witness answered.
        identity: Option<String>,
        /// The address from which the answer came, if known.
        from: Option<IpAddr>,
        /// The answer in words, such as `echo reply`, `SYN-ACK from 6443`, `HTTP 401`, `192.168.60.10`.
        what: Vec<String>,
    },
    /// The packet was refused: by RST, or by ICMP port or protocol unreachable. The refusal may come from the target,
    /// or from a router in its place.
    Refused {
        /// The sender of the refusal, if known.
        from: Option<IpAddr>,
        /// The refusal in words, such as `RST from 22`, `Connection refused`.
        what: Vec<String>,
    },
    /// The prober's kernel, or a router, reports that the target cannot be reached.
    Unreachable {
        /// The reason, such as `No route to host`.
        why: String,
    },
    /// No answer within the batch's time-out after the last packet.
    Silent,
    /// The probe could not run.
    NotRun {
        /// The reason.
        why: String,
    },
    /// The result of an inspection ([`Ask::Look`]).
    Seen {
        /// The boot ID of the kernel whose state was inspected, or `None` if it could not be read. Device, inode and
        /// namespace numbers of different kernels cannot be compared.
        #[serde(default)]
        boot: Option<String>,
        /// One finding per line, sorted.
        lines: Vec<String>,
    },
}

/// A line of a prober's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum ProbeResult {
    /// The result of one probe.
    Answer(Answer),
    /// The last line.
    End {
        /// Number of probes with an answer.
        answers: usize,
    },
}

/// A line of a witness's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum WitnessLine {
    /// The witness listens, and sees packets from now on. This is the first line.
    Ready {
        /// Version of the format: [`VERSION`].
        version: u32,
        /// The witness's name, with which it answers.
        identity: String,
        /// Where the witness listens, such as `tcp 10.244.0.5:7001`, `packets eth0`.
        on: Vec<String>,
    },
    /// A nonce arrived. The witness reports each nonce once per protocol and link, with the addresses of the first
    /// packet: a sweep over many ports is one arrival.
    Arrived(Arrival),
    /// The witness could not report some packets since its last line. They may have carried nonces.
    Lost {
        /// Number of packets, at least.
        packets: u64,
    },
}

/// A nonce that arrived at a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// The nonce of the probe.
    pub nonce: Nonce,
    /// Time of arrival, in microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// The link on which the packet arrived, if known.
    pub link: Option<String>,
    /// The protocol, such as `tcp`, `udp`, `icmp`, `arp`, `protocol 47`.
    pub protocol: String,
    /// The source, as given in the packet: an address, with a port for TCP and UDP.
    pub from: Option<String>,
    /// The destination, as given in the packet.
    pub to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_found_wherever_it_stands_and_nothing_else_is() {
        let (one, two) = (Nonce::new(0xdead_beef, 7), Nonce::new(1, 0x00ff_ffff));
        assert_eq!((one.as_str(), one.as_str().len()), ("hl1-deadbeef-000007", Nonce::LENGTH));
        let text = format!("\0hl1-{one}{two}hl1-DEADBEEF-000007 {one}hl1-deadbeef-00000");
        assert_eq!(Nonce::find_all(text.as_bytes()), [one, two]);
        assert_eq!(Nonce::find_all(b"hl1-"), []);
    }

    #[test]
    fn credentials_are_never_shown() {
        let token = Credentials::Token { token: "hunter2".to_owned() };
        assert_eq!(format!("{token:?}"), "Token(***)");
    }
}
