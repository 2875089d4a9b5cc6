//! What a prober is told, what it answers, and what a witness reports: JSON, one object a line.
//!
//! These are the wire types of `homelab-probe prober` and `homelab-probe witness`. Whoever runs them (the harness)
//! depends on this library; the library depends on nothing else of homelab.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The format of everything in here.
pub const VERSION: u32 = 1;

/// What a probe carries, so that the receiver can tell it from everything else: `hl1-<run>-<number>`, the run in
/// eight hex digits and the probe's number within it in six. It is a DNS label (RFC 1123), so a name can carry it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// How every nonce begins.
    pub const PREFIX: &'static str = "hl1-";
    /// How long every nonce is, in bytes.
    pub const LENGTH: usize = Self::PREFIX.len() + 8 + 1 + 6;

    /// The nonce of a probe.
    pub fn new(run: u32, number: u32) -> Self {
        Self(format!("{}{run:08x}-{:06x}", Self::PREFIX, number & 0x00ff_ffff))
    }

    /// The nonce at the beginning of some bytes, if there is one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(Self::PREFIX.as_bytes()) {
            return None; // at once, for a witness tries it at each byte of all traffic
        }
        let text = std::str::from_utf8(bytes.get(..Self::LENGTH)?).ok()?;
        let (run, number) = text.strip_prefix(Self::PREFIX)?.split_once('-')?;
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (hex(run, 8) && hex(number, 6)).then(|| Self(text.to_owned()))
    }

    /// All nonces anywhere in some bytes, each once, in their order.
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

    /// The nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Everything that one prober is asked to do: the only thing on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// The format, [`VERSION`].
    pub version: u32,
    /// When all of it must be over, in milliseconds after the batch is read: a bound, not what it takes.
    pub deadline_ms: u64,
    /// How long after its last packet a probe waits for somebody who answers, in milliseconds. What nobody answers is
    /// sent a few times, a quarter of this apart: on a busy machine a packet may be dropped where nobody sees it.
    pub patience_ms: u64,
    /// The most packets and connections begun in a second.
    pub rate: u32,
    /// The probes. All run at once, as far as the rate allows.
    pub probes: Vec<Probe>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What it carries, and what its answer is told by.
    pub nonce: Nonce,
    /// What to try.
    pub ask: Ask,
}

/// What a prober tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Ask {
    /// A TCP connection: sends the nonce and a line feed, and reads a line. A witness answers `<identity> <nonce>`.
    Tcp {
        /// Where to.
        to: SocketAddr,
    },
    /// A TCP connection that is opened at once and used only after a while: what is open when a rule comes may stay so.
    /// Only what the peer says then is an answer.
    HeldTcp {
        /// Where to.
        to: SocketAddr,
        /// How long to wait between opening and using it.
        hold_ms: u64,
    },
    /// A SYN with the nonce as its data (RFC 9293, section 3.4) to each port, from a raw socket. The receiver's stack
    /// ignores the data, its witness sees it, and a closed port answers with RST.
    Syn {
        /// Where to.
        to: Ipv4Addr,
        /// First and last port of each range.
        ports: Vec<(u16, u16)>,
    },
    /// A UDP datagram that begins with the nonce and repeats it up to its size. A witness answers
    /// `<identity> <nonce>`.
    Udp {
        /// Where to.
        to: SocketAddr,
        /// Bytes of payload; fragments are made above the link's MTU.
        size: usize,
    },
    /// An ICMP or ICMPv6 echo request with the nonce as its data, repeated up to its size.
    Ping {
        /// Where to.
        to: IpAddr,
        /// Bytes of data.
        size: usize,
        /// Whether routers must not fragment it (IPv4).
        dont_fragment: bool,
    },
    /// An ARP request (RFC 826), the nonce behind it in the padding of the frame, out of every link that has an address,
    /// or of one.
    Arp {
        /// Whose address.
        target: Ipv4Addr,
        /// The link's name.
        link: Option<String>,
    },
    /// An IPv6 neighbour solicitation (RFC 4861), the nonce behind it.
    Neighbour {
        /// Whose address.
        target: Ipv6Addr,
        /// The link's name.
        link: Option<String>,
    },
    /// An IPv6 router advertisement (RFC 4861) that says nothing, to everybody on a link; the nonce behind it.
    Advertise {
        /// The link's name.
        link: Option<String>,
    },
    /// A UDP datagram with the nonce to a multicast or broadcast address, out of every link that has an address, or of
    /// one.
    Group {
        /// Where to: `224.0.0.251:5353`, `ff02::1`, a broadcast address.
        to: SocketAddr,
        /// The link's name.
        link: Option<String>,
    },
    /// A bare IP packet of any protocol, the nonce as its payload; an SCTP packet is a sound INIT (RFC 9260) before it.
    Raw {
        /// Where to.
        to: Ipv4Addr,
        /// The protocol's number (IANA): 4 IPIP, 47 GRE, 50 ESP, 132 SCTP.
        protocol: u8,
    },
    /// A hand-made overlay packet with an inner UDP datagram that holds the nonce: injection into a pod network.
    Overlay {
        /// The node's address and the overlay's port, 8472 or 4789 for VXLAN (RFC 7348), 6081 for Geneve (RFC 8926).
        to: SocketAddr,
        /// Which.
        overlay: Overlay,
        /// The address inside.
        inner: Ipv4Addr,
    },
    /// A question for the address of a name; `*` in it stands for the nonce.
    Dns {
        /// The server.
        server: SocketAddr,
        /// The name, `*.acme.lab`.
        name: String,
    },
    /// GET over HTTPS. The status code and the server's certificate are the answer; whether that is verified is not
    /// what is asked here, unless an authority is given.
    Https {
        /// Where to.
        to: SocketAddr,
        /// The server's name, for SNI and the Host header.
        name: String,
        /// The path, with a leading slash.
        path: String,
        /// What is shown to the server.
        credentials: Credentials,
        /// The only authority that may vouch for the server, as PEM.
        authority: Option<String>,
    },
    /// A connection to a UNIX socket; a path that begins with `@` is abstract.
    Unix {
        /// Its path.
        path: String,
    },
    /// What the prober sees around itself.
    Look {
        /// At what.
        at: Sight,
    },
}

/// Which overlay a hand-made packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// RFC 7348.
    Vxlan,
    /// RFC 8926.
    Geneve,
}

/// What is shown to a server. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Credentials {
    /// Nothing.
    None,
    /// A client certificate and its key, as PEM.
    Certificate {
        /// The chain.
        certificate: String,
        /// The key.
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

/// What a prober can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// Mounts of process 1, with device and inode of their roots.
    Mounts,
    /// Links with their addresses, where the other ends of cables are, and which links are devices of the machine.
    Links,
    /// Routes.
    Routes,
    /// Processes with their pid namespaces, of every procfs that process 1 has mounted.
    Processes,
    /// Socket files that process 1 can open, with device and inode, abstract sockets, and what leads to a hypervisor.
    Sockets,
    /// Machine id, boot id and SSH host keys.
    Identity,
}

/// What became of a probe. A prober writes one for each, and [`Said::End`] when it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Of which probe.
    pub nonce: Nonce,
    /// What was sent, in packets, as far as the prober knows.
    pub sent: u32,
    /// When the first of them left, in microseconds of UTC since 1970.
    pub at_us: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a probe, as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// Somebody answered, with something that only the asked can give.
    Answered {
        /// Who, if a witness said so.
        identity: Option<String>,
        /// From where.
        from: Option<IpAddr>,
        /// What, in words: `echo reply`, `SYN-ACK from 6443`, `HTTP 401`, `192.168.60.10`.
        what: Vec<String>,
    },
    /// Somebody refused: RST, or ICMP port or protocol unreachable. It may be the asked, or a router that answers in its place.
    Refused {
        /// From where, if that is known.
        from: Option<IpAddr>,
        /// What, in words: `RST from 22`, `Connection refused`.
        what: Vec<String>,
    },
    /// The sender's own system, or a router, says that there is no way.
    Unreachable {
        /// In words: `No route to host`.
        why: String,
    },
    /// Nobody said anything for as long as the batch is patient, after the last packet.
    Silent,
    /// It could not be tried.
    NotRun {
        /// In words.
        why: String,
    },
    /// What was seen, a line each; for [`Ask::Look`].
    Seen {
        /// The boot id of the kernel that showed it, if it could be read: its numbers (devices, inodes, namespaces) mean
        /// nothing beside those of another kernel.
        #[serde(default)]
        boot: Option<String>,
        /// The lines, sorted.
        lines: Vec<String>,
    },
}

/// A line of a prober.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Said {
    /// What became of a probe.
    Answer(Answer),
    /// That was all.
    End {
        /// How many probes were answered for.
        answers: usize,
    },
}

/// A line of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Report {
    /// It listens, and sees packets from now on.
    Ready {
        /// The format, [`VERSION`].
        version: u32,
        /// Its name, as it answers with.
        identity: String,
        /// Where it listens: `tcp 10.244.0.5:7001`, `packets eth0`.
        on: Vec<String>,
    },
    /// A nonce arrived. Each is reported once for each protocol and link by which it arrived, with the ends of the first
    /// packet: a sweep of ports is one arrival.
    Arrived(Arrival),
    /// It saw more than it could report since the last line: what it does not report may have arrived.
    Lost {
        /// How many packets, at least.
        packets: u64,
    },
}

/// A nonce that arrived at a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// Which.
    pub nonce: Nonce,
    /// When, in microseconds of UTC since 1970.
    pub at_us: u64,
    /// The link that it came in by, where that is known.
    pub link: Option<String>,
    /// `tcp`, `udp`, `icmp`, `arp`, `protocol 47`.
    pub protocol: String,
    /// From where, as the packet has it.
    pub from: Option<String>,
    /// Where to, as the packet has it.
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
