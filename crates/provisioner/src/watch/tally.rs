//! What becomes an event at once, what is counted and told later: so that a flood fills no disk. Pure.
//!
//! The first of a kind is told at once. The others of that kind are counted and told together when a minute is over,
//! then two, and so on up to an hour; a kind that stays silent for its time is forgotten. Each link has a budget of
//! kinds that are told by themselves; what exceeds it is counted by link alone. So a link makes a few hundred events a
//! day at the most, whatever is sent.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long the first count of a kind goes on.
const SHORTEST: Duration = Duration::from_secs(60);
/// How long a count goes on at the most.
const LONGEST: Duration = Duration::from_secs(3600);
/// How many kinds a link may begin at once.
const BUDGET: u32 = 20;
/// After how long it may begin one more.
const REFILL: Duration = Duration::from_secs(180);

/// What happened on all links.
#[derive(Debug)]
pub(super) struct Tally<K> {
    /// Without a kind: what exceeds the link's budget.
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

/// What is to be told now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<K> {
    pub(super) link: String,
    /// None for what was counted by link alone.
    pub(super) kind: Option<K>,
    pub(super) times: u64,
}

impl<K: Clone + Eq + Hash> Tally<K> {
    /// Notes that something happened; says whether it is to be told at once.
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

    /// Notes that something of an unknown kind happened so many times.
    pub(super) fn note_some(&mut self, link: &str, times: u64, now: Instant) {
        if times > 0 {
            let count = self.counts.entry((link.to_owned(), None)).or_insert_with(|| Count::beginning(now));
            count.times += times;
        }
    }

    /// What has been counted for long enough.
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
    fn the_first_of_a_kind_is_told_at_once_and_its_repetitions_together() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        assert!(tally.note("hl-a", Some("tcp 22"), start));
        assert!(!tally.note("hl-a", Some("tcp 22"), start));
        assert!(tally.note("hl-a", Some("tcp 80"), start) && tally.note("hl-b", Some("tcp 22"), start));
        assert!(!tally.note("hl-a", Some("tcp 22"), start + MINUTE / 2));
        assert_eq!(tally.due(start + MINUTE / 2), []);
        let due = Due { link: "hl-a".to_owned(), kind: Some("tcp 22"), times: 2 };
        assert_eq!(tally.due(start + MINUTE), [due]);
        // What was silent for its time is new again; what was not is counted for twice as long.
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
    fn what_is_only_counted_is_told_by_link() {
        let (mut tally, start) = (Tally::<u16>::default(), Instant::now());
        tally.note_some("hl-a", 0, start);
        assert_eq!(tally.due(start + MINUTE), []);
        tally.note_some("hl-a", 3, start);
        tally.note_some("hl-a", 4, start);
        assert_eq!(tally.due(start + MINUTE), [Due { link: "hl-a".to_owned(), kind: None, times: 7 }]);
    }
}
