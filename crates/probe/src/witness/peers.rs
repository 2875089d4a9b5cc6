//! Reports each kind of frame once in each run, so that a reader who knows what belongs on a link finds what does not.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use probe::{Cast, Mac, Nonce, Peer, WitnessLine};

use crate::clock;
use crate::lines::Lines;
use crate::links;
use crate::packet::PeerEnds;

/// The most kinds that are reported in a run.
const REPORTED: usize = 2048;
/// The most kinds that are remembered, reported or not. Only hashes are kept: 1 MiB.
const REMEMBERED: usize = 65_536;

/// The most kinds of frames with nonces that are reported for each sender on a link. A scan of all EtherTypes would
/// otherwise leave no room for others; its nonces are reported as arrivals.
const WITH_NONCE: u8 = 16;

/// The most runs that are told apart. One witness serves the runs of one audit or of one self-test.
const RUNS: usize = 1024;

/// The kinds of frames that arrived.
#[derive(Debug)]
pub(super) struct Peers {
    lines: Lines,
    hasher: RandomState,
    /// The runs whose nonces arrived.
    runs: HashSet<String>,
    known: HashSet<u64>,
    /// The number of kinds with nonces for each link and sender.
    with_nonce: HashMap<(u32, Option<Mac>), u8>,
    reported: usize,
    omitted: u64,
}

impl Peers {
    pub(super) fn new(lines: Lines) -> Self {
        Self {
            lines,
            hasher: RandomState::new(),
            runs: HashSet::new(),
            known: HashSet::new(),
            with_nonce: HashMap::new(),
            reported: 0,
            omitted: 0,
        }
    }

    /// A nonce arrived. With the first one of a run, all kinds are reported again.
    pub(super) fn nonce_arrived(&mut self, nonce: &Nonce) {
        if !self.runs.contains(nonce.run()) && self.runs.len() < RUNS {
            self.runs.insert(nonce.run().to_owned());
            self.known.clear();
            self.with_nonce.clear();
            self.reported = 0;
        }
    }

    /// A frame arrived on the link with this index, with these ends and this destination.
    pub(super) fn arrived(
        &mut self,
        link: u32,
        cast: Cast,
        (ends, to): (PeerEnds, Option<IpAddr>),
        has_nonce: bool,
    ) {
        let key = self.hasher.hash_one((link, cast, ends));
        if self.known.contains(&key) || self.known.len() >= REMEMBERED {
            return;
        }
        if has_nonce {
            let count = self.with_nonce.entry((link, ends.mac)).or_default();
            if *count >= WITH_NONCE {
                return;
            }
            *count += 1;
        }
        if self.reported >= REPORTED {
            self.omitted += 1;
            self.known.insert(key);
            return;
        }
        let PeerEnds { mac, ether_type, vlan, from } = ends;
        let link = links::name(link);
        let peer = Peer { at_us: clock::now_us(), link, mac, ether_type, vlan, from, to, cast };
        if self.lines.say(&WitnessLine::Peer(peer)) {
            self.known.insert(key);
            self.reported += 1;
        } else {
            self.omitted += 1; // the next frame of this kind tries again
        }
    }

    /// Reports the number of kinds that were not reported, if it is not 0.
    pub(super) fn tell_omitted(&mut self) {
        if self.omitted > 0 && self.lines.say(&WitnessLine::PeersOmitted { peers: self.omitted }) {
            self.omitted = 0;
        }
    }
}

/// To whom a frame is addressed, from its packet type (linux/if_packet.h).
pub(super) fn cast(packet_type: u8) -> Cast {
    match packet_type {
        0 => Cast::Own,
        1 => Cast::Broadcast,
        2 => Cast::Multicast,
        _ => Cast::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NO_LINK: u32 = u32::MAX;

    fn ends(number: u32) -> (PeerEnds, Option<IpAddr>) {
        let from = Some(Ipv4Addr::from_bits(number).into());
        (PeerEnds { mac: Some(Mac([2; 6])), ether_type: 0x0800, vlan: None, from }, None)
    }

    #[test]
    fn each_kind_is_reported_once_and_what_is_too_much_is_counted() {
        let (lines, read) = Lines::to_test(REPORTED + 1);
        let mut peers = Peers::new(lines);
        for number in 0..REPORTED as u32 + 10 {
            peers.arrived(NO_LINK, Cast::Own, ends(number), false);
            peers.arrived(NO_LINK, Cast::Own, ends(number), false);
        }
        peers.tell_omitted();
        peers.tell_omitted();
        let said: Vec<WitnessLine> = std::iter::from_fn(|| read.try_recv().ok())
            .map(|line| serde_json::from_slice(&line).unwrap())
            .collect();
        assert_eq!((said.len(), said.last()), (REPORTED + 1, Some(&WitnessLine::PeersOmitted { peers: 10 })));
        let first = Peer {
            at_us: match &said[0] {
                WitnessLine::Peer(peer) => peer.at_us,
                other => panic!("{other:?}"),
            },
            link: None,
            mac: Some(Mac([2; 6])),
            ether_type: 0x0800,
            vlan: None,
            from: Some(Ipv4Addr::UNSPECIFIED.into()),
            to: None,
            cast: Cast::Own,
        };
        assert_eq!(said[0], WitnessLine::Peer(first));
    }

    #[test]
    fn all_kinds_are_reported_again_in_each_run() {
        let (lines, read) = Lines::to_test(100);
        let mut peers = Peers::new(lines);
        for (run, reported) in [(1, 1), (1, 0), (2, 1), (1, 0), (2, 0), (3, 1)] {
            peers.nonce_arrived(&Nonce::new(run, 7));
            peers.arrived(NO_LINK, Cast::Own, ends(1), false);
            assert_eq!(read.try_iter().count(), reported, "run {run}");
        }
    }

    #[test]
    fn a_scan_of_all_kinds_leaves_room_for_frames_without_a_nonce() {
        let (lines, read) = Lines::to_test(100);
        let mut peers = Peers::new(lines);
        for number in 0..1000 {
            peers.arrived(NO_LINK, Cast::Own, ends(number), true);
        }
        peers.arrived(NO_LINK, Cast::Own, ends(1000), false);
        peers.tell_omitted();
        assert_eq!(read.try_iter().count(), usize::from(WITH_NONCE) + 1);
    }

    #[test]
    fn a_kind_for_which_the_queue_has_no_room_is_reported_later() {
        let (lines, read) = Lines::to_test(1);
        let mut peers = Peers::new(lines);
        peers.arrived(NO_LINK, Cast::Own, ends(1), false);
        peers.arrived(NO_LINK, Cast::Other, ends(1), false);
        assert!(read.try_recv().is_ok() && read.try_recv().is_err());
        peers.arrived(NO_LINK, Cast::Other, ends(1), false);
        assert!(String::from_utf8(read.recv().unwrap()).unwrap().contains(r#""cast":"other""#));
    }
}
