//! A half-open scan of TCP ports, from one raw socket.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use etherparse::TcpHeader;
use probe::{Nonce, ProbeOutcome};
use socket2::{Domain, SockAddr, Socket, Type};

use super::attempt::{Attempt, TRIES};
use super::wire::Wire;
use crate::clock;
use crate::packet::{Ends, syn, without_ip_header};

const TCP: i32 = 6;
/// The most ports for which SYNs are repeated while one of them is silent. Repeating a longer scan takes as long as the
/// scan.
const FEW: usize = 16;

/// Sends a SYN to each port. The prober's kernel has no such connection and answers each SYN-ACK with RST.
pub(super) async fn ask(attempt: &Attempt, to: Ipv4Addr, ranges: &[(u16, u16)]) -> io::Result<ProbeOutcome> {
    let wire = Wire::towards(SocketAddr::from((to, 0)), Type::RAW, Some(TCP))?;
    let (from, _reserved) = reserved(to)?;
    let ports: BTreeSet<u16> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
    let sequence = clock::now_us() as u32;

    let send = async || {
        for (place, &port) in ports.iter().enumerate() {
            if place > 0 {
                attempt.turn().await;
            }
            let ends = Ends { from, to: SocketAddrV4::new(to, port) };
            wire.send(&syn(&attempt.nonce, ends, sequence)).await?;
        }
        Ok(())
    };
    let hear = async {
        let mut heard = Heard::default();
        let mut buffer = [0; 2048];
        while heard.open.len() + heard.closed.len() < ports.len() {
            match wire.receive(&mut buffer).await {
                Ok((length, _)) => {
                    let packet = without_ip_header(&buffer[..length]);
                    let Some((port, state)) = packet.and_then(|(_, it)| reply(it, from.port(), sequence))
                    else {
                        continue;
                    };
                    match state {
                        PortState::Open => heard.open.insert(port),
                        PortState::Closed => heard.closed.insert(port),
                    };
                    attempt.so_far(heard.outcome(to));
                }
                // An ICMP error about one port. The scan of the others goes on.
                Err(error) if heard.is_empty() => attempt.so_far(wire.outcome(&error)),
                Err(error) => drop(wire.outcome(&error)),
            }
        }
        Ok(heard.outcome(to))
    };
    let tries = if ports.len() <= FEW { TRIES } else { 1 };
    attempt.insist(tries, send, hear).await
}

/// Our source address towards the target, and a port that no other process of this network namespace gets while the
/// socket lives.
fn reserved(to: Ipv4Addr) -> io::Result<(SocketAddrV4, Socket)> {
    let way = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    way.connect((to, 9))?; // sends nothing (udp(7))
    let SocketAddr::V4(own) = way.local_addr()? else { return Err(io::Error::other("no IPv4 address")) };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddrV4::new(*own.ip(), 0)))?;
    let bound = socket.local_addr()?.as_socket_ipv4();
    Ok((bound.ok_or_else(|| io::Error::other("no IPv4 address"))?, socket))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortState {
    Open,
    Closed,
}

/// The port and its state, if a segment answers one of our SYNs: it is addressed to our port and acknowledges our SYN,
/// with or without its data (RFC 9293, section 3.10.7).
fn reply(segment: &[u8], own: u16, sequence: u32) -> Option<(u16, PortState)> {
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

#[derive(Debug, Default)]
struct Heard {
    open: BTreeSet<u16>,
    closed: BTreeSet<u16>,
}

impl Heard {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    fn outcome(&self, from: Ipv4Addr) -> ProbeOutcome {
        let mut what = Vec::new();
        if !self.open.is_empty() {
            what.push(format!("SYN-ACK from {}", compact(&self.open)));
        }
        if !self.closed.is_empty() {
            what.push(format!("RST from {}", compact(&self.closed)));
        }
        match (self.is_empty(), self.open.is_empty()) {
            (true, _) => ProbeOutcome::Silent,
            (_, true) => ProbeOutcome::Refused { from: Some(from.into()), what },
            (_, false) => ProbeOutcome::Answered { identity: None, from: Some(from.into()), what },
        }
    }
}

/// Ports as ranges, such as `22 80-82`.
fn compact(ports: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some((_, last)) if u32::from(*last) + 1 == u32::from(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let text = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_listed_as_ranges() {
        assert_eq!(compact(&BTreeSet::from([22, 80, 81, 82, 65535])), "22 80-82 65535");
        assert_eq!(compact(&BTreeSet::new()), "");
    }

    proptest::proptest! {
        #[test]
        fn ranges_hold_the_same_ports(ports: BTreeSet<u16>) {
            let text = compact(&ports);
            let read = text.split_whitespace().flat_map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                first.parse::<u16>().unwrap()..=last.parse().unwrap()
            });
            proptest::prop_assert_eq!(read.collect::<BTreeSet<_>>(), ports);
        }
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

    #[test]
    fn one_open_port_makes_an_answer_and_closed_ones_alone_a_refusal() {
        let from = Ipv4Addr::LOCALHOST;
        let heard = Heard { open: BTreeSet::from([22]), closed: BTreeSet::from([23, 24]) };
        let what = vec!["SYN-ACK from 22".to_owned(), "RST from 23-24".to_owned()];
        let expected = ProbeOutcome::Answered { identity: None, from: Some(from.into()), what: what.clone() };
        assert_eq!(heard.outcome(from), expected);
        let heard = Heard { open: BTreeSet::new(), ..heard };
        let expected = ProbeOutcome::Refused { from: Some(from.into()), what: what[1..].to_vec() };
        assert_eq!(heard.outcome(from), expected);
        assert_eq!(Heard::default().outcome(from), ProbeOutcome::Silent);
    }
}
