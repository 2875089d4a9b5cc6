//! Scans of TCP and UDP ports.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use etherparse::TcpHeader;
use probe::{Nonce, ProbeOutcome};
use socket2::{Domain, SockAddr, Socket, Type};

use super::heard::Shared;
use super::inlet::{Inlet, Wanted};
use super::{Scan, Target, rounds, run};
use crate::clock;
use crate::packet::{
    Received, Refusal, filled, ip, number, ports, received, refusal, syn as segment, udp, unspecified,
};
use crate::prober::attempt::Attempt;
use crate::prober::reply::identity;

/// Sends a SYN to each port. The prober's kernel has no such connection and answers each SYN-ACK with RST.
pub(in crate::prober) async fn syn(
    attempt: &Attempt,
    target: Target,
    ranges: &[(u16, u16)],
) -> io::Result<ProbeOutcome> {
    scan(attempt, target, ranges, number::TCP, Type::STREAM).await
}

/// Sends a datagram to each port.
pub(in crate::prober) async fn datagrams(
    attempt: &Attempt,
    target: Target,
    ranges: &[(u16, u16)],
) -> io::Result<ProbeOutcome> {
    scan(attempt, target, ranges, number::UDP, Type::DGRAM).await
}

async fn scan(
    attempt: &Attempt,
    target: Target,
    ranges: &[(u16, u16)],
    protocol: u8,
    kind: Type,
) -> io::Result<ProbeOutcome> {
    let ports: BTreeSet<u16> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
    // No other process of this network namespace gets the port while the socket lives.
    let reserved = Socket::new(Domain::for_address(SocketAddr::new(target.to, 0)), kind, None)?;
    reserved.bind(&SockAddr::from(SocketAddr::new(unspecified(target.to), 0)))?;
    let port = reserved.local_addr()?.as_socket().map(|own| own.port());
    let port = port.ok_or_else(|| io::Error::other("the kernel gave no port"))?;
    let heard = Shared::new(target.to);
    let scan = Ports {
        nonce: attempt.nonce.clone(),
        protocol,
        from: SocketAddr::new(target.own()?, port),
        to: target.to,
        ports: ports.into_iter().collect(),
        sequence: clock::now_us() as u32,
        heard: heard.clone(),
    };
    attempt.learns(move || heard.lock().outcome_so_far());
    let inlet = Inlet::open(target.to, Wanted::Port(protocol, port))?;
    run(attempt, &scan, rounds(scan.ports.len()), &target.outlet()?, Some(&inlet)).await
}

/// A scan of ports.
struct Ports {
    nonce: Nonce,
    protocol: u8,
    from: SocketAddr,
    to: IpAddr,
    ports: Vec<u16>,
    sequence: u32,
    heard: Shared,
}

impl Ports {
    /// An ICMP error about one of the scan's packets.
    fn complaint(&self, packet: &Received<'_>) {
        let Some((refusal, quoted)) = refusal(packet) else { return };
        let Some((from, port)) = ports(quoted.payload) else { return };
        if (quoted.to, quoted.protocol, from) != (self.to, self.protocol, self.from.port()) {
            return;
        }
        match refusal {
            Refusal::Port => self.heard.lock().refused(packet.from, "port unreachable", port),
            Refusal::Protocol => self.heard.lock().refused(packet.from, "protocol unreachable", port),
            Refusal::Unreachable(why) => self.heard.lock().unreachable(packet.from, why),
        }
    }
}

impl Scan for Ports {
    fn packets(&self) -> usize {
        self.ports.len()
    }

    fn packet(&self, place: usize) -> Vec<u8> {
        let to = SocketAddr::new(self.to, self.ports[place]);
        let payload = match self.protocol {
            number::TCP => segment(&self.nonce, self.from, to, self.sequence),
            _ => udp(self.from, to, &filled(&self.nonce, 0)),
        };
        ip(self.from.ip(), self.to, self.protocol, &payload)
    }

    fn is_answered(&self, place: usize) -> bool {
        self.heard.lock().has(self.ports[place])
    }

    fn is_complete(&self) -> bool {
        self.heard.lock().count() >= self.ports.len()
    }

    fn hear(&self, packet: &[u8]) {
        let Some(packet) = received(packet) else { return };
        if packet.protocol != self.protocol {
            return self.complaint(&packet);
        }
        if packet.from != self.to {
            return;
        }
        if self.protocol == number::TCP {
            match reply(packet.payload, self.from.port(), self.sequence) {
                Some((port, PortState::Open)) => self.heard.lock().answered("SYN-ACK from", port, None),
                Some((port, PortState::Closed)) => self.heard.lock().refused(packet.from, "RST from", port),
                None => {}
            }
            return;
        }
        const HEADER: usize = 8;
        if let (Some((port, own)), Some(data)) = (ports(packet.payload), packet.payload.get(HEADER..))
            && own == self.from.port()
        {
            match identity(&self.nonce, data) {
                Some(who) => self.heard.lock().answered("witness at", port, Some(who)),
                None => self.heard.lock().answered("datagram from", port, None),
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.heard.lock().is_settled()
    }

    fn outcome(&self) -> Option<ProbeOutcome> {
        self.heard.lock().outcome()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortState {
    Open,
    Closed,
}

/// The port and its state, if a segment answers one of our SYNs: it is addressed to our port and acknowledges our SYN,
/// with or without its data (RFC 9293, section 3.10.7).
pub(super) fn reply(segment: &[u8], own: u16, sequence: u32) -> Option<(u16, PortState)> {
    let (header, _) = TcpHeader::from_slice(segment).ok()?;
    let acknowledged = header.acknowledgment_number.wrapping_sub(sequence);
    let fits = header.ack && [1, 1 + Nonce::LENGTH as u32].contains(&acknowledged);
    if header.destination_port != own || !fits {
        return None;
    }
    match (header.syn, header.rst) {
        (true, false) => Some((header.source_port, PortState::Open)),
        (_, true) => Some((header.source_port, PortState::Closed)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::number::{ICMP, TCP, UDP};

    fn scan(protocol: u8, ports: &[u16]) -> Ports {
        let to = IpAddr::from([192, 168, 48, 2]);
        Ports {
            nonce: Nonce::new(1, 1),
            protocol,
            from: "192.168.48.1:4000".parse().unwrap(),
            to,
            ports: ports.to_vec(),
            sequence: 7,
            heard: Shared::new(to),
        }
    }

    #[test]
    fn an_answer_or_an_error_about_a_port_belongs_to_this_port() {
        let scan = scan(UDP, &[52, 53, 54]);
        let router = IpAddr::from([192, 168, 48, 254]);
        let sent = scan.packet(0);
        scan.hear(&ip(router, scan.from.ip(), ICMP, &[&[3, 3, 0, 0, 0, 0, 0, 0], &sent[..28]].concat()));
        assert!((scan.is_answered(0), scan.is_answered(1), scan.is_settled()) == (true, false, false));
        let answer =
            |from: SocketAddr, data: &[u8]| ip(from.ip(), scan.from.ip(), UDP, &udp(from, scan.from, data));
        scan.hear(&answer(SocketAddr::new(router, 53), b"of another"));
        assert!(!scan.is_answered(1));
        scan.hear(&answer(SocketAddr::new(scan.to, 53), b"acme hl1-00000001-000001\n"));
        scan.hear(&answer(SocketAddr::new(scan.to, 54), b"hello"));
        assert!(scan.is_answered(1) && scan.is_complete() && scan.is_settled());
        let what = ["datagram from 54", "witness at 53", "port unreachable 52, says 192.168.48.254"];
        let expected = ProbeOutcome::Answered {
            identity: Some("acme".to_owned()),
            from: Some(scan.to),
            what: what.map(str::to_owned).to_vec(),
        };
        assert_eq!(scan.outcome(), Some(expected));
    }

    #[test]
    fn an_error_about_the_packet_of_another_scan_is_ignored() {
        let (ours, theirs) =
            (scan(TCP, &[22]), Ports { from: "192.168.48.1:4001".parse().unwrap(), ..scan(TCP, &[22]) });
        let error = [&[3, 3, 0, 0, 0, 0, 0, 0], &theirs.packet(0)[..28]].concat();
        ours.hear(&ip(ours.to, ours.from.ip(), ICMP, &error));
        assert_eq!(ours.outcome(), None);
        theirs.hear(&ip(ours.to, ours.from.ip(), ICMP, &error));
        assert!(theirs.is_settled());
    }

    #[test]
    fn only_segments_that_acknowledge_the_syn_that_was_sent_are_replies() {
        let segment = |syn: bool, rst: bool, acknowledged: u32| {
            let mut header = TcpHeader::new(22, 4000, 99, 100);
            (header.syn, header.rst, header.ack) = (syn, rst, true);
            header.acknowledgment_number = acknowledged;
            header.to_bytes().to_vec()
        };
        let sequence = u32::MAX;
        assert_eq!(reply(&segment(true, false, 0), 4000, sequence), Some((22, PortState::Open)));
        assert_eq!(reply(&segment(false, true, 19), 4000, sequence), Some((22, PortState::Closed)));
        assert_eq!(reply(&segment(true, false, 0), 4001, sequence), None, "another port");
        assert_eq!(reply(&segment(true, false, 7), 4000, sequence), None, "another connection");
        assert_eq!(reply(&segment(false, false, 0), 4000, sequence), None, "neither SYN nor RST");
        assert_eq!(reply(b"", 4000, sequence), None);
    }
}
