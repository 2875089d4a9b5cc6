//! The results of probes, as a prober writes them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Nonce;

/// The result of a probe. A prober writes one for each probe of the batch, and [`ProbeResult::End`] last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The probe that this answers.
    pub nonce: Nonce,
    /// Packets that the kernel took, and connections opened. 0 if the probe did not run. Compare
    /// [`Ask::packets_at_least`](crate::Ask::packets_at_least).
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
    /// All packets left, and none was answered within the batch's time-out after the last one.
    Silent,
    /// The probe could not run, or not to its end: the deadline or an error came before all packets had left and the
    /// time-out was over. It proves nothing.
    NotRun {
        /// The reason, such as `the deadline was reached: sent 600 of 65535 packets`.
        why: String,
    },
    /// The result of an inspection ([`Ask::Look`](crate::Ask::Look), or of a search for neighbours ([`Ask::NextHops`](crate::Ask::NextHops)).
    Seen {
        /// The boot ID of the kernel whose state was inspected, or `None` if it could not be read. Device, inode and
        /// namespace numbers of different kernels cannot be compared. `None` for a search for neighbours.
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
