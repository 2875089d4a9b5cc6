//! Reports arrivals once each, and counts those that could not be reported.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe::{Arrival, Nonce, WitnessLine};

use crate::clock;
use crate::lines::Lines;
use crate::links;
use crate::packet::Seen;

/// The most arrivals that are remembered. Only hashes are kept: 10 MB.
const REMEMBERED: usize = 200_000;

/// The most protocols that are reported of a nonce on a link: a scan of all EtherTypes is one question.
const PROTOCOLS: u8 = 8;

/// Reports each arrival once, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Reporter(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    lines: Lines,
    hasher: RandomState,
    /// Hashes of reported arrivals: nonce, protocol, link. The probability that two of 200 000 collide is 1 in 10^9.
    known: HashSet<u64>,
    /// The number of reported protocols for each nonce and link, by their hashes.
    protocols: HashMap<u64, u8>,
    lost: u64,
}

impl Reporter {
    pub(super) fn new(lines: Lines) -> Self {
        Self(Arc::new(Mutex::new(Memory {
            lines,
            hasher: RandomState::new(),
            known: HashSet::new(),
            protocols: HashMap::new(),
            lost: 0,
        })))
    }

    /// Reports that a nonce arrived on the link with this index.
    pub(super) fn arrived(&self, nonce: Nonce, seen: &Seen, link: Option<u32>) {
        let mut memory = self.memory();
        let key = memory.hasher.hash_one((&nonce, &seen.protocol, &link));
        if memory.known.contains(&key) {
            return;
        }
        let of_nonce = memory.hasher.hash_one((&nonce, &link));
        if memory.protocols.get(&of_nonce).is_some_and(|count| *count >= PROTOCOLS) {
            return;
        }
        if memory.known.len() >= REMEMBERED {
            memory.lost += 1;
            return;
        }
        let arrival = Arrival {
            nonce,
            at_us: clock::now_us(),
            link: link.and_then(links::name),
            protocol: seen.protocol.clone(),
            from: seen.from.clone(),
            to: seen.to.clone(),
        };
        if memory.tell_lost() && memory.lines.say(&WitnessLine::Arrived(arrival)) {
            memory.known.insert(key);
            *memory.protocols.entry(of_nonce).or_default() += 1;
        } else {
            memory.lost += 1;
        }
    }

    /// Counts packets that were not read.
    pub(super) fn lost(&self, packets: u64) {
        self.memory().lost += packets;
    }

    /// Reports the number of lost packets, if it is not 0.
    pub(super) fn tell_lost(&self) {
        self.memory().tell_lost();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn tell_lost(&mut self) -> bool {
        if self.lost > 0 && self.lines.say(&WitnessLine::Lost { packets: self.lost }) {
            self.lost = 0;
        }
        self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    fn seen(protocol: &str, from: &str) -> Seen {
        Seen { protocol: protocol.to_owned(), from: Some(from.to_owned()), to: None }
    }

    fn next(lines: &Receiver<Vec<u8>>) -> Option<WitnessLine> {
        lines.try_recv().ok().map(|line| serde_json::from_slice(&line).unwrap())
    }

    #[test]
    fn an_arrival_is_reported_once_for_each_protocol_and_lost_reports_are_counted() {
        let (lines, read) = Lines::to_test(2);
        let reporter = Reporter::new(lines);
        let nonce = Nonce::new(1, 1);
        let arrive =
            |protocol: &str, from: &str| reporter.arrived(nonce.clone(), &seen(protocol, from), None);
        for (protocol, from) in [
            ("udp", "10.0.0.1"),
            ("udp", "10.0.0.2"),
            ("tcp", "10.0.0.3"),
            ("icmp", "10.0.0.4"),
            ("arp", "-"),
        ] {
            arrive(protocol, from);
        }
        for expected in ["10.0.0.1", "10.0.0.3"] {
            let Some(WitnessLine::Arrived(arrival)) = next(&read) else { panic!("{expected} is missing") };
            assert_eq!((arrival.nonce, arrival.from.as_deref()), (nonce.clone(), Some(expected)));
        }
        assert_eq!(next(&read), None);
        reporter.tell_lost();
        assert_eq!(next(&read), Some(WitnessLine::Lost { packets: 2 }));
        arrive("icmp", "10.0.0.4"); // once more, and now the queue has room
        assert!(matches!(next(&read), Some(WitnessLine::Arrived(_))));
        reporter.tell_lost();
        assert_eq!(next(&read), None, "a reported loss is not reported again");
    }

    #[test]
    fn a_nonce_in_all_protocols_is_reported_a_few_times_on_each_link() {
        let (lines, read) = Lines::to_test(100);
        let reporter = Reporter::new(lines);
        for number in 0..300 {
            for link in [None, Some(1)] {
                reporter.arrived(Nonce::new(1, 1), &seen(&format!("protocol {number}"), "10.0.0.1"), link);
            }
        }
        reporter.tell_lost();
        assert_eq!(read.try_iter().count(), 2 * usize::from(PROTOCOLS));
    }

    #[test]
    fn a_full_memory_drops_new_arrivals_and_reports_the_loss() {
        let (lines, read) = Lines::to_test(1);
        let reporter = Reporter::new(lines);
        reporter.memory().known.extend(0..REMEMBERED as u64);
        reporter.arrived(Nonce::new(1, 1), &seen("udp", "10.0.0.1"), None);
        reporter.tell_lost();
        assert_eq!(next(&read), Some(WitnessLine::Lost { packets: 1 }));
    }
}
