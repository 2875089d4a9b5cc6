//! Limits the events, so that a flood does not fill the disk: reports the first of a kind, and counts the others. Pure.
//!
//! The first occurrence of a kind is reported at once. Further ones are counted, and reported together after one
//! minute, then after two more, and so on up to an hour; a kind without an occurrence in its period is forgotten. Each
//! link has a budget of kinds; further kinds are counted by link alone. So a link causes a few hundred events a day at
//! the most, independent of the traffic.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The first period of a kind. Each further period is twice as long.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest period.
const LONGEST: Duration = Duration::from_secs(3600);
/// The budget of a link: how many new kinds may be reported at once.
const BUDGET: u32 = 20;
/// The time after which the budget grows by one kind.
const REFILL: Duration = Duration::from_secs(180);

/// The counts of all links.
#[derive(Debug)]
pub(super) struct Tally<K> {
    /// By link and kind. Without a kind: the occurrences beyond the link's budget.
    counts: HashMap<(String, Option<K>), Count>,
    budgets: HashMap<String, Budget>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), budgets: HashMap::new() }
    }
}

#[derive(Debug)]
struct Count {
    times: u64,
    until: Instant,
    lasts: Duration,
}

#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
}

/// A count that is to be reported now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<K> {
    pub(super) link: String,
    /// `None` for occurrences that were counted by link alone.
    pub(super) kind: Option<K>,
    pub(super) times: u64,
}

impl<K: Clone + Eq + Hash> Tally<K> {
    /// Notes one occurrence. Returns whether it is to be reported at once.
    pub(super) fn note(&mut self, link: &str, kind: Option<K>, now: Instant) -> bool {
        if let Some(count) = self.counts.get_mut(&(link.to_owned(), kind.clone())) {
            count.times += 1;
            return false;
        }
        if self.budgets.entry(link.to_owned()).or_insert_with(|| Budget::full(now)).takes(now) {
            self.counts.insert((link.to_owned(), kind), Count::beginning(now));
            return true;
        }
        self.note_some(link, 1, now);
        false
    }

    /// Notes `times` occurrences of unknown kinds.
    pub(super) fn note_some(&mut self, link: &str, times: u64, now: Instant) {
        if times > 0 {
            let count = self.counts.entry((link.to_owned(), None)).or_insert_with(|| Count::beginning(now));
            count.times += times;
        }
    }

    /// The counts whose period is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due<K>> {
        let mut due = Vec::new();
        self.counts.retain(|(link, kind), count| {
            if count.until > now {
                return true;
            }
            let times = std::mem::take(&mut count.times);
            if times == 0 {
                return false;
            }
            due.push(Due { link: link.clone(), kind: kind.clone(), times });
            count.lasts = (count.lasts * 2).min(LONGEST);
            count.until = now + count.lasts;
            true
        });
        due
    }
}

impl Count {
    fn beginning(now: Instant) -> Self {
        Self { times: 0, until: now + SHORTEST, lasts: SHORTEST }
    }
}

impl Budget {
    fn full(now: Instant) -> Self {
        Self { left: BUDGET, since: now }
    }

    fn takes(&mut self, now: Instant) -> bool {
        while self.left < BUDGET && now.duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left == BUDGET {
            self.since = now;
        }
        let takes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_refusal_of_a_kind_is_reported_at_once_and_its_repetitions_together() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        assert!(tally.note("hl-a", Some("tcp 22"), start));
        assert!(!tally.note("hl-a", Some("tcp 22"), start));
        assert!(tally.note("hl-a", Some("tcp 80"), start) && tally.note("hl-b", Some("tcp 22"), start));
        assert!(!tally.note("hl-a", Some("tcp 22"), start + MINUTE / 2));
        assert_eq!(tally.due(start + MINUTE / 2), []);
        let due = Due { link: "hl-a".to_owned(), kind: Some("tcp 22"), times: 2 };
        assert_eq!(tally.due(start + MINUTE), [due]);
        // A kind without an occurrence in its period is new again; the other one has a period of twice the length.
        assert!(tally.note("hl-a", Some("tcp 80"), start + MINUTE));
        assert!(!tally.note("hl-a", Some("tcp 22"), start + MINUTE));
        assert_eq!(tally.due(start + 2 * MINUTE), []);
        assert_eq!(tally.due(start + 3 * MINUTE).len(), 1);
    }

    #[test]
    fn a_scan_of_all_ports_for_a_day_is_a_few_hundred_events_and_no_attempt_is_lost() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        let (mut events, mut told) = (0_u64, 0_u64);
        let seconds = 24 * 3600;
        for second in 0..seconds {
            let now = start + Duration::from_secs(second);
            if tally.note("hl-a", Some(second), now) {
                (events, told) = (events + 1, told + 1);
            }
            for due in tally.due(now) {
                (events, told) = (events + 1, told + due.times);
            }
        }
        let left: u64 = tally.due(start + Duration::from_secs(2 * seconds)).iter().map(|due| due.times).sum();
        assert_eq!(told + left, seconds);
        assert!((20..600).contains(&events), "{events} events");
    }

    #[test]
    fn a_flood_on_one_link_hides_nothing_of_another() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        let at_once = (0..1000).filter(|port| tally.note("hl-a", Some(*port), start)).count();
        assert_eq!(at_once, 20);
        assert!(tally.note("hl-b", Some(22), start));
        assert_eq!(tally.due(start + MINUTE), [Due { link: "hl-a".to_owned(), kind: None, times: 980 }]);
    }

    #[test]
    fn refusals_that_are_only_counted_are_reported_by_link() {
        let (mut tally, start) = (Tally::<u16>::default(), Instant::now());
        tally.note_some("hl-a", 0, start);
        assert_eq!(tally.due(start + MINUTE), []);
        tally.note_some("hl-a", 3, start);
        tally.note_some("hl-a", 4, start);
        assert_eq!(tally.due(start + MINUTE), [Due { link: "hl-a".to_owned(), kind: None, times: 7 }]);
    }
}
