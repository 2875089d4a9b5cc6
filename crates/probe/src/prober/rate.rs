//! Rate limit: one token bucket for all probes of a batch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The delay that may be caught up at once, because timers are coarser than the pauses between packets.
const SLACK: Duration = Duration::from_millis(20);

/// The most packets that leave together, whatever the rate: one system call sends them.
pub(super) const AT_ONCE: usize = 64;

/// Limits the packets and connections of all probes.
#[derive(Debug)]
pub(super) struct Rate(Mutex<Bucket>);

/// The time of the next turn (generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
struct Bucket {
    pause: Duration,
    next: Instant,
}

impl Bucket {
    /// The time at which `packets` may leave together. Their pauses follow them.
    fn turns(&mut self, packets: u32, now: Instant) -> Instant {
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let turn = self.next.max(earliest);
        self.next = turn + self.pause * packets;
        turn
    }
}

impl Rate {
    pub(super) fn new(a_second: u32, now: Instant) -> Self {
        Self(Mutex::new(Bucket { pause: Duration::from_secs(1) / a_second.max(1), next: now }))
    }

    /// Waits until this many more packets may leave.
    pub(super) async fn turns(&self, packets: u32) {
        let now = Instant::now();
        let turn = self.bucket().turns(packets, now);
        if turn > now {
            sleep_until(turn).await;
        }
    }

    /// The most packets that may leave together: those of two milliseconds, because timers are no finer than one.
    pub(super) fn at_once(&self) -> usize {
        const TOGETHER: Duration = Duration::from_millis(2);
        let packets = TOGETHER.as_nanos() / self.bucket().pause.as_nanos().max(1);
        usize::try_from(packets).map_or(AT_ONCE, |packets| packets.clamp(1, AT_ONCE))
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_turns_than_the_rate_and_the_slack() {
        let start = Instant::now();
        let mut bucket = Bucket { pause: Duration::from_millis(1), next: start };
        let turns: Vec<_> = (0..3000).map(|_| bucket.turns(1, start)).collect();
        let within = |from: u64| {
            let (from, to) =
                (start + Duration::from_millis(from), start + Duration::from_millis(from + 1000));
            turns.iter().filter(|turn| (from..to).contains(turn)).count()
        };
        assert_eq!((within(0), within(1000), within(2000)), (1000, 1000, 1000));
        let idle = start + Duration::from_secs(60);
        let at_once = (0..100).filter(|_| bucket.turns(1, idle) <= idle).count();
        assert_eq!(at_once, 21, "only the slack is caught up after a long pause");
    }

    #[test]
    fn packets_that_leave_together_have_the_pauses_of_all_of_them() {
        let start = Instant::now();
        for (a_second, at_once) in [(1, 1), (1000, 2), (10_000, 20), (200_000, AT_ONCE)] {
            let rate = Rate::new(a_second, start);
            assert_eq!(rate.at_once(), at_once, "{a_second} a second");
            let first = rate.bucket().turns(50, start);
            let second = rate.bucket().turns(1, start);
            assert_eq!(second - first, 50 * (Duration::from_secs(1) / a_second));
        }
    }
}
