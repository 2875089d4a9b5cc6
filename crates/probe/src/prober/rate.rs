//! How fast, and how long: one bucket of tokens for all probes of a batch, and the patience that each may have.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What may be caught up at once: timers are coarser than the pauses between packets.
const SLACK: Duration = Duration::from_millis(20);

/// Gives turns to all probes.
#[derive(Debug)]
pub(super) struct Rate(Mutex<Bucket>);

/// When the next turn is, in terms of time alone (the generic cell rate algorithm, ITU-T I.371).
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

/// How long a probe may wait for its answer if each of `probes` is to have its turn within `deadline`, at `rate` and
/// with as many `sockets` at a time. All of it that is left, as long as there are sockets for all.
pub(super) fn patience(deadline: Duration, probes: usize, rate: u32, sockets: usize) -> Duration {
    let probes = u32::try_from(probes.max(1)).unwrap_or(u32::MAX);
    let waves = probes.div_ceil(u32::try_from(sockets.max(1)).unwrap_or(u32::MAX));
    if waves == 1 {
        return deadline;
    }
    let sending = Duration::from_secs(1).saturating_mul(probes) / rate.max(1);
    deadline.saturating_sub(sending).min(deadline / waves).max(deadline / 20)
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
        assert_eq!(at_once, 21, "a long silence is not made up for");
    }

    #[test]
    fn patience_is_the_deadline_while_there_are_sockets_for_all_and_shared_beyond() {
        let deadline = Duration::from_secs(8);
        assert_eq!(patience(deadline, 512, 1000, 512), deadline);
        assert_eq!(patience(deadline, 2048, 4096, 512), deadline / 4);
        assert_eq!(patience(deadline, 4000, 1000, 1024), deadline / 4);
        assert_eq!(patience(deadline, 7500, 1000, 4096), Duration::from_millis(500));
        assert_eq!(patience(deadline, 1_000_000, 1, 512), deadline / 20);
    }

    proptest::proptest! {
        #[test]
        fn all_waves_fit_into_the_deadline(probes in 1_usize..5000, sockets in 1_usize..2000) {
            let deadline = Duration::from_secs(20);
            let each = patience(deadline, probes, u32::MAX, sockets);
            let waves = probes.div_ceil(sockets) as u32;
            proptest::prop_assert!(waves > 20 || each * waves <= deadline);
        }
    }
}
