//! What a scan heard: ports or protocols by answer and by refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe::ProbeOutcome;

/// The most ranges of numbers that are listed for each kind of answer.
const LISTED: usize = 256;

/// What a scan heard. The attempt shares it: a scan may be cut off.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Heard>>);

impl Shared {
    pub(super) fn new(to: IpAddr) -> Self {
        Self(Arc::new(Mutex::new(Heard::new(to))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ports or protocols with what was heard of them.
#[derive(Debug)]
pub(super) struct Heard {
    to: IpAddr,
    identity: Option<String>,
    /// The numbers for each answer of the target, such as `SYN-ACK from`.
    answers: BTreeMap<String, BTreeSet<u16>>,
    /// The numbers for each refusal, by its sender and its words, such as `RST from`.
    refusals: BTreeMap<(IpAddr, String), BTreeSet<u16>>,
    unreachable: Option<String>,
    known: BTreeSet<u16>,
}

impl Heard {
    fn new(to: IpAddr) -> Self {
        Self {
            to,
            identity: None,
            answers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            unreachable: None,
            known: BTreeSet::new(),
        }
    }

    /// The target answered.
    pub(super) fn answered(&mut self, what: &str, number: u16, identity: Option<String>) {
        self.identity = self.identity.take().or(identity);
        insert(&mut self.answers, what.to_owned(), number);
        self.known.insert(number);
    }

    /// The target, or a router in its place, refused.
    pub(super) fn refused(&mut self, from: IpAddr, what: &str, number: u16) {
        insert(&mut self.refusals, (from, what.to_owned()), number);
        self.known.insert(number);
    }

    /// A router did not deliver a packet. The first reason is kept.
    pub(super) fn unreachable(&mut self, from: IpAddr, why: &str) {
        self.unreachable.get_or_insert_with(|| format!("{why}, says {from}"));
    }

    pub(super) fn has(&self, number: u16) -> bool {
        self.known.contains(&number)
    }

    /// How many numbers were answered or refused.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Whether the target itself was heard: the result of the scan, however much of it follows.
    pub(super) fn is_settled(&self) -> bool {
        !self.answers.is_empty() || self.refusals.keys().any(|(from, _)| *from == self.to)
    }

    /// The outcome of a whole scan. `None` means that nothing was heard.
    pub(super) fn outcome(&self) -> Option<ProbeOutcome> {
        let mut what: Vec<String> =
            self.answers.iter().map(|(word, of)| format!("{word} {}", compact(of))).collect();
        let says = |from: &IpAddr| if *from == self.to { String::new() } else { format!(", says {from}") };
        let refusals = self.refusals.iter();
        what.extend(refusals.map(|((from, word), of)| format!("{word} {}{}", compact(of), says(from))));
        if !self.answers.is_empty() {
            return Some(ProbeOutcome::Answered {
                identity: self.identity.clone(),
                from: Some(self.to),
                what,
            });
        }
        let mut reporters = self.refusals.keys().map(|(from, _)| *from);
        let from = reporters.clone().find(|from| *from == self.to).or_else(|| reporters.next());
        match (from, &self.unreachable) {
            (Some(_), _) => Some(ProbeOutcome::Refused { from, what }),
            (None, Some(why)) => Some(ProbeOutcome::Unreachable { why: why.clone() }),
            (None, None) => None,
        }
    }

    /// The outcome of a scan that was cut off: refusals of others say nothing of the packets that did not leave.
    pub(super) fn outcome_so_far(&self) -> Option<ProbeOutcome> {
        if self.is_settled() { self.outcome() } else { None }
    }
}

fn insert<K: Ord>(numbers: &mut BTreeMap<K, BTreeSet<u16>>, key: K, number: u16) {
    numbers.entry(key).or_default().insert(number);
}

/// Numbers as ranges, such as `22 80-82`. Of many ranges, the first are listed.
fn compact(numbers: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if u32::from(*last) + 1 == u32::from(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let mut words: Vec<String> = ranges.iter().take(LISTED).map(text).collect();
    let more: usize = ranges.iter().skip(LISTED).map(|(first, last)| usize::from(last - first) + 1).sum();
    words.extend((more > 0).then(|| format!("and {more} more")));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ROUTER: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn numbers_are_listed_as_ranges() {
        assert_eq!(compact(&BTreeSet::from([22, 80, 81, 82, 65535])), "22 80-82 65535");
        assert_eq!(compact(&BTreeSet::new()), "");
        let odd = (0..1000).map(|number| 2 * number + 1).collect();
        assert!(compact(&odd).ends_with(" 511 and 744 more"), "{}", compact(&odd));
    }

    proptest::proptest! {
        #[test]
        fn ranges_hold_the_same_numbers(numbers: BTreeSet<u16>) {
            let text = compact(&numbers);
            let read = text.split_whitespace().flat_map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                first.parse::<u16>().unwrap()..=last.parse().unwrap()
            });
            proptest::prop_assert_eq!(read.collect::<BTreeSet<_>>(), numbers);
        }
    }

    #[test]
    fn one_answer_makes_an_answer_and_refusals_alone_a_refusal_of_the_target_first() {
        let mut heard = Heard::new(TARGET);
        assert_eq!((heard.outcome(), heard.is_settled()), (None, false));
        heard.unreachable(ROUTER, "No route to host");
        let why = "No route to host, says ::1".to_owned();
        assert_eq!(heard.outcome(), Some(ProbeOutcome::Unreachable { why }));
        heard.refused(ROUTER, "port unreachable", 9);
        let router = "port unreachable 9, says ::1".to_owned();
        let expected = ProbeOutcome::Refused { from: Some(ROUTER), what: vec![router.clone()] };
        assert_eq!((heard.outcome(), heard.outcome_so_far()), (Some(expected), None));
        heard.refused(TARGET, "RST from", 23);
        heard.refused(TARGET, "RST from", 24);
        let refusals = vec!["RST from 23-24".to_owned(), router];
        let expected = ProbeOutcome::Refused { from: Some(TARGET), what: refusals.clone() };
        assert_eq!((heard.outcome(), heard.outcome_so_far()), (Some(expected.clone()), Some(expected)));
        heard.answered("SYN-ACK from", 22, None);
        let what = [vec!["SYN-ACK from 22".to_owned()], refusals].concat();
        let expected = ProbeOutcome::Answered { identity: None, from: Some(TARGET), what };
        assert_eq!((heard.outcome(), heard.count()), (Some(expected), 4));
        assert!(heard.has(22) && !heard.has(25));
    }
}
