//! Rate limit: one token bucket for all probes of a batch.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The delay that may be caught up at once, because timers are coarser than the pauses between packets.
const SLACK: Duration = Duration::from_millis(20);

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
    fn turn(&mut self, now: Instant) -> Instant {
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let turn = self.next.max(earliest);
        self.next = turn + self.pause;
        turn
    }
}

impl Rate {
    pub(super) fn new(a_second: u32, now: Instant) -> Self {
        Self(Mutex::new(Bucket { pause: Duration::from_secs(1) / a_second.max(1), next: now }))
    }

    /// Waits until one more packet may leave.
    pub(super) async fn turn(&self) {
        let now = Instant::now();
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).turn(now);
        if turn > now {
            sleep_until(turn).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_turns_than_the_rate_and_the_slack() {
        let start = Instant::now();
        let mut bucket = Bucket { pause: Duration::from_millis(1), next: start };
        let turns: Vec<_> = (0..3000).map(|_| bucket.turn(start)).collect();
        let within = |from: u64| {
            let (from, to) =
                (start + Duration::from_millis(from), start + Duration::from_millis(from + 1000));
            turns.iter().filter(|turn| (from..to).contains(turn)).count()
        };
        assert_eq!((within(0), within(1000), within(2000)), (1000, 1000, 1000));
        let idle = start + Duration::from_secs(60);
        let at_once = (0..100).filter(|_| bucket.turn(idle) <= idle).count();
        assert_eq!(at_once, 21, "only the slack is caught up after a long pause");
    }
}
