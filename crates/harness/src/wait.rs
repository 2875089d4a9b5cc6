//! Polls whose timeout repeats the last status.

use std::fmt::Display;
use std::time::Duration;

use provisioner::slowdown::Stretched;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks that take no time.
const SHORTEST: Duration = Duration::from_millis(100);
/// Between two looks, however long they take.
const LONGEST: Duration = Duration::from_secs(1);

/// The pause after a look that took so long. Looking takes the processor from what is waited for, so it has a tenth of the
/// time, but is never put off for longer than a second: an API server on an emulated processor feels each look.
fn pause(took: Duration) -> Duration {
    (9 * took).clamp(SHORTEST, LONGEST)
}

/// What a look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait<T> {
    /// It holds; this came with it.
    Done(T),
    /// Not yet; this is how far it is.
    NotYet(String),
}

/// A condition that did not come true in time, or whose look failed.
#[derive(Debug, thiserror::Error)]
pub enum WaitError<E: std::error::Error + 'static> {
    /// The deadline passed.
    #[error("waited {}s for {what}; last seen: {last}", .within.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// The deadline.
        within: Stretched,
        /// The last status.
        last: String,
    },
    /// The look itself failed.
    #[error("look at {what}")]
    Look {
        /// What was looked at.
        what: String,
        /// Why.
        #[source]
        source: E,
    },
}

/// Looks again and again until the condition holds.
///
/// How long is for the cluster to say: `cluster.slowdown().stretch(…)`.
///
/// # Errors
/// [`WaitError::Timeout`] with the last status after `within`; [`WaitError::Look`] as soon as a look fails.
pub async fn until<T, E: std::error::Error + 'static>(
    what: impl Display,
    within: Stretched,
    mut look: impl AsyncFnMut() -> Result<Wait<T>, E>,
) -> Result<T, WaitError<E>> {
    let deadline = Instant::now() + within.on_clock();
    let mut last = "nothing yet".to_owned();
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
    fn looking_has_a_tenth_of_the_time_and_is_done_each_second_at_least() {
        let millis = Duration::from_millis;
        for (took, expected) in [(0, 100), (10, 100), (20, 180), (100, 900), (120, 1000), (20_000, 1000)] {
            assert_eq!(pause(millis(took)), millis(expected), "{took} ms");
        }
    }
}
