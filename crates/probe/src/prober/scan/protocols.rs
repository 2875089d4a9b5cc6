//! A scan of IP protocols.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use probe::{Nonce, ProbeOutcome};

use super::heard::Shared;
use super::inlet::{Inlet, Wanted};
use super::ports::{PortState, reply as segment_reply};
use super::{Scan, Target, rounds, run};
use crate::clock;
use crate::packet::{
    Received, Refusal, UNUSED_PORT, echo4, echo6, ip, number, ports, received, refusal, sctp_init, seal, syn,
    udp,
};
use crate::prober::attempt::Attempt;
use crate::prober::reply::sctp;

/// Sends a packet of each protocol.
pub(in crate::prober) async fn ask(
    attempt: &Attempt,
    target: Target,
    ranges: &[(u8, u8)],
) -> io::Result<ProbeOutcome> {
    let protocols: BTreeSet<u8> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
    let heard = Shared::new(target.to);
    let scan = Protocols {
        nonce: attempt.nonce.clone(),
        from: target.own()?,
        to: target.to,
        protocols: protocols.into_iter().collect(),
        sequence: clock::now_us() as u32,
        heard: heard.clone(),
    };
    attempt.learns(move || heard.lock().outcome_so_far());
    let inlet = Inlet::open(target.to, Wanted::From(target.to))?;
    run(attempt, &scan, rounds(scan.protocols.len()), &target.outlet()?, Some(&inlet)).await
}

struct Protocols {
    nonce: Nonce,
    from: IpAddr,
    to: IpAddr,
    protocols: Vec<u8>,
    sequence: u32,
    heard: Shared,
}

impl Protocols {
    fn payload(&self, protocol: u8) -> Vec<u8> {
        let text = self.nonce.as_str().as_bytes();
        let (from, to) = (SocketAddr::new(self.from, UNUSED_PORT), SocketAddr::new(self.to, UNUSED_PORT));
        match (protocol, self.to) {
            (number::TCP, _) => syn(&self.nonce, from, to, self.sequence),
            (number::UDP, _) => udp(from, to, text),
            (number::ICMP, IpAddr::V4(_)) => echo4(1, text),
            (number::ICMPV6, IpAddr::V6(_)) => {
                let mut packet = echo6(1, text);
                seal(self.from, self.to, number::ICMPV6, &mut packet, 2);
                packet
            }
            (number::SCTP, _) => sctp_init(&self.nonce, UNUSED_PORT, UNUSED_PORT),
            _ => text.to_vec(),
        }
    }

    /// Whether an error quotes a packet of this scan: those of other probes have other ports, or another nonce. An
    /// error that quotes too little to tell them apart counts.
    fn is_ours(&self, quoted: &Received<'_>) -> bool {
        if quoted.to != self.to || !self.protocols.contains(&quoted.protocol) {
            return false;
        }
        match quoted.protocol {
            number::TCP | number::UDP | number::SCTP => {
                ports(quoted.payload) == Some((UNUSED_PORT, UNUSED_PORT))
            }
            _ => {
                let nonces = Nonce::find_all(quoted.payload);
                nonces.is_empty() || nonces.contains(&self.nonce)
            }
        }
    }

    /// The answer in words, without its protocol, if the target's packet answers ours.
    fn answer(&self, packet: &Received<'_>) -> Option<(Kind, &'static str)> {
        match packet.protocol {
            number::TCP => match segment_reply(packet.payload, UNUSED_PORT, self.sequence)?.1 {
                PortState::Open => Some((Kind::Answer, "SYN-ACK")),
                PortState::Closed => Some((Kind::Refusal, "RST")),
            },
            number::SCTP => Some((Kind::Answer, sctp(packet.payload)?)),
            _ => {
                let ours = Nonce::find_all(packet.payload).contains(&self.nonce);
                let is_echo = matches!(
                    (packet.protocol, packet.payload.first()?),
                    (number::ICMP, 0) | (number::ICMPV6, 129)
                );
                let word = if is_echo { "echo reply" } else { "the nonce came back" };
                ours.then_some((Kind::Answer, word))
            }
        }
    }
}

enum Kind {
    Answer,
    Refusal,
}

impl Scan for Protocols {
    fn packets(&self) -> usize {
        self.protocols.len()
    }

    fn packet(&self, place: usize) -> Vec<u8> {
        let protocol = self.protocols[place];
        ip(self.from, self.to, protocol, &self.payload(protocol))
    }

    fn is_answered(&self, place: usize) -> bool {
        self.heard.lock().has(self.protocols[place].into())
    }

    fn is_complete(&self) -> bool {
        self.heard.lock().count() >= self.protocols.len()
    }

    fn hear(&self, packet: &[u8]) {
        let Some(packet) = received(packet) else { return };
        match refusal(&packet) {
            Some((_, quoted)) if !self.is_ours(&quoted) => {}
            Some((Refusal::Unreachable(why), _)) => self.heard.lock().unreachable(packet.from, why),
            Some((Refusal::Protocol, quoted)) => {
                self.heard.lock().refused(packet.from, "protocol unreachable", quoted.protocol.into());
            }
            Some((Refusal::Port, quoted)) => {
                self.heard.lock().refused(
                    packet.from,
                    "port unreachable by protocol",
                    quoted.protocol.into(),
                );
            }
            None if packet.from == self.to && self.protocols.contains(&packet.protocol) => {
                let Some((kind, word)) = self.answer(&packet) else { return };
                let (what, number) = (format!("{word} by protocol"), packet.protocol.into());
                match kind {
                    Kind::Answer => self.heard.lock().answered(&what, number, None),
                    Kind::Refusal => self.heard.lock().refused(packet.from, &what, number),
                }
            }
            None => {}
        }
    }

    fn is_settled(&self) -> bool {
        self.heard.lock().is_settled()
    }

    fn outcome(&self) -> Option<ProbeOutcome> {
        self.heard.lock().outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::INITIATE_TAG;

    fn scan(to: &str, from: &str) -> Protocols {
        let to: IpAddr = to.parse().unwrap();
        Protocols {
            nonce: Nonce::new(1, 1),
            from: from.parse().unwrap(),
            to,
            protocols: (0..=255).collect(),
            sequence: 7,
            heard: Shared::new(to),
        }
    }

    #[test]
    fn each_protocol_has_a_packet_with_the_nonce() {
        for scan in [scan("192.168.48.2", "192.168.48.1"), scan("fd00::2", "fd00::1")] {
            for protocol in 0..=255 {
                let packet = scan.packet(protocol.into());
                let packet = received(&packet).unwrap();
                assert_eq!((packet.protocol, packet.to), (protocol, scan.to));
                assert_eq!(Nonce::find_all(packet.payload), std::slice::from_ref(&scan.nonce), "{protocol}");
            }
        }
    }

    #[test]
    fn an_answer_counts_for_its_own_protocol() {
        let scan = scan("192.168.48.2", "192.168.48.1");
        let hear = |protocol, payload: &[u8]| scan.hear(&ip(scan.to, scan.from, protocol, payload));
        hear(47, b"something else");
        hear(number::ICMP, &scan.payload(number::ICMP)); // a request is no reply, but no system sends it back
        assert!(!scan.is_answered(47));
        let mut reply = scan.payload(number::ICMP);
        reply[0] = 0;
        hear(number::ICMP, &reply);
        let mut abort = scan.payload(number::SCTP);
        abort[4..8].copy_from_slice(&INITIATE_TAG.to_be_bytes());
        abort[12] = 6;
        hear(number::SCTP, &abort);
        let gre = scan.packet(47);
        hear(number::ICMP, &[&[3, 2, 0, 0, 0, 0, 0, 0], &gre[..]].concat());
        let Some(ProbeOutcome::Answered { what, .. }) = scan.outcome() else {
            panic!("{:?}", scan.outcome())
        };
        for expected in ["SCTP ABORT by protocol 132", "echo reply by protocol 1", "protocol unreachable 47"]
        {
            assert!(what.iter().any(|word| word == expected), "{expected} is not in {what:?}");
        }
    }
}
