//! The reports of a witness.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Mac, Nonce};

/// A line of a witness's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum WitnessLine {
    /// The witness listens, and sees packets from now on. This is the first line.
    Ready {
        /// Version of the format: [`VERSION`](crate::VERSION).
        version: u32,
        /// The witness's name, with which it answers.
        identity: String,
        /// Where the witness listens, such as `tcp 10.244.0.5:7001`, `packets eth0`.
        on: Vec<String>,
    },
    /// A nonce arrived. The witness reports each nonce once per protocol and link, with the addresses of the first
    /// packet: a sweep over many ports is one arrival. It reports the first 8 protocols of a nonce on a link: a sweep
    /// over EtherTypes is no more than 8 arrivals.
    Arrived(Arrival),
    /// A frame of this kind arrived, with or without a nonce. The witness reports each kind once, and once more after
    /// the first nonce of each new run; 2048 kinds for each run. Of frames with a nonce, it reports 16 kinds for each
    /// sender on a link, because their nonces are arrivals.
    Peer(Peer),
    /// Kinds of frames that the witness did not report since its last line, because it has reported 2048 in this run.
    PeersOmitted {
        /// Number of kinds. After 65536 kinds, the witness counts no more.
        peers: u64,
    },
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

/// A kind of frame that arrived at a witness that captures packets, whatever it contains. Two frames are of one kind if
/// all of these fields, except `at_us` and `to`, are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Arrival of the first frame, in microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// The link on which the frame arrived; `None` if it has gone.
    pub link: Option<String>,
    /// The source. `None` on links without Ethernet headers.
    pub mac: Option<Mac>,
    /// The EtherType behind the VLAN tag: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6. 0 for a frame with a length in place of
    /// a type. Where two tags follow each other, it is that of the second tag.
    pub ether_type: u16,
    /// The VLAN of the first tag, 0 to 4095. `None` for a frame without a tag.
    pub vlan: Option<u16>,
    /// The source of an IPv4 or IPv6 packet, or the sender of an ARP packet.
    pub from: Option<IpAddr>,
    /// The destination of the first such packet, or the target of the ARP packet.
    pub to: Option<IpAddr>,
    /// To whom the frame is addressed.
    pub cast: Cast,
}

/// To whom a frame is addressed, as its receiver sees it (packet(7), `sll_pkttype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cast {
    /// The hardware address of the link.
    Own,
    /// All systems on the link.
    Broadcast,
    /// A group.
    Multicast,
    /// The hardware address of another system: the frame was mirrored, or flooded by a switch.
    Other,
}
