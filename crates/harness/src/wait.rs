//! Polling: [`until`] checks a condition until it holds or a deadline passes, and a time-out repeats the last status.

use std::fmt::Display;
use std::time::Duration;

use provisioner::slowdown::Stretched;
use tokio::time::{Instant, sleep, timeout_at};

/// The shortest pause between two checks.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest pause between two checks.
const LONGEST: Duration = Duration::from_secs(1);

/// The pause after a check that took `took`: nine times as long, from 0.1 to 1 s. A check takes processor time from the
/// cluster that it waits for, which an API server on an emulated processor notices; so checks that take up to 0.1 s get
/// a tenth of the time at the most. Pure.
fn pause(took: Duration) -> Duration {
    (9 * took).clamp(SHORTEST, LONGEST)
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait<T> {
    /// The condition holds, with the value that [`until`] returns.
    Done(T),
    /// The condition does not hold yet, with the present status in words, for the time-out's message.
    NotYet(String),
}

/// Why [`until`] returned without the condition.
#[derive(Debug, thiserror::Error)]
pub enum WaitError<E: std::error::Error + 'static> {
    /// The deadline passed before the condition held.
    #[error("waited {}s for {what}; last seen: {last}", .within.as_secs())]
    Timeout {
        /// The condition, in words: `pod web to end`.
        what: String,
        /// The deadline.
        within: Stretched,
        /// The status of the last check that finished, or `no check has finished`.
        last: String,
    },
    /// A check failed.
    #[error("wait for {what}")]
    Look {
        /// The condition, in words.
        what: String,
        /// The check's error.
        #[source]
        source: E,
    },
}

/// Runs `look` until it returns [`Wait::Done`], with pauses between. `what` names the condition in errors.
///
/// The deadline takes the cluster's speed into account: `cluster.slowdown().stretch(…)`. A check that runs past the
/// deadline is cancelled.
///
/// # Errors
/// [`WaitError::Timeout`] with the last status after `within`; [`WaitError::Look`] as soon as a check fails.
pub async fn until<T, E: std::error::Error + 'static>(
    what: impl Display,
    within: Stretched,
    mut look: impl AsyncFnMut() -> Result<Wait<T>, E>,
) -> Result<T, WaitError<E>> {
    let deadline = Instant::now() + within.on_clock();
    let mut last = "no check has finished".to_owned();
    loop {
        let begun = Instant::now();
        match timeout_at(deadline, look()).await {
            Ok(Ok(Wait::Done(found))) => return Ok(found),
            Ok(Ok(Wait::NotYet(status))) => last = status,
            Ok(Err(source)) => return Err(WaitError::Look { what: what.to_string(), source }),
            Err(_) => {}
        }
        let pause = pause(begun.elapsed());
        if Instant::now() + pause >= deadline {
            return Err(WaitError::Timeout { what: what.to_string(), within, last });
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_takes_a_tenth_of_the_time_and_pauses_for_at_most_a_second() {
        let millis = Duration::from_millis;
        for (took, expected) in [(0, 100), (10, 100), (20, 180), (100, 900), (120, 1000), (20_000, 1000)] {
            assert_eq!(pause(millis(took)), millis(expected), "{took} ms");
        }
    }
}
