//! Polls whose timeout repeats the last status.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

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
        within: Duration,
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
/// # Errors
/// [`WaitError::Timeout`] with the last status after `within`; [`WaitError::Look`] as soon as a look fails.
pub async fn until<T, E: std::error::Error + 'static>(
    what: impl Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Wait<T>, E>,
) -> Result<T, WaitError<E>> {
    let deadline = Instant::now() + within;
    let mut last = "nothing yet".to_owned();
    loop {
        match timeout_at(deadline, look()).await {
            Ok(Ok(Wait::Done(found))) => return Ok(found),
            Ok(Ok(Wait::NotYet(status))) => last = status,
            Ok(Err(source)) => return Err(WaitError::Look { what: what.to_string(), source }),
            Err(_) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(WaitError::Timeout { what: what.to_string(), within, last });
        }
        sleep(PAUSE).await;
    }
}
