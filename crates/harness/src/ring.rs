//! The second ring of a teardown: finishes what must be done when a future was dropped half-way.
//!
//! A thread and a runtime of its own: whatever dropped the future may be a runtime that is shutting down.

use std::time::Duration;

/// Runs a piece of work to its end, or to its deadline.
///
/// # Errors
/// Why it is not done, in words.
pub(crate) fn finish<F>(within: Duration, work: impl FnOnce() -> F + Send + 'static) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let ring = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let done = runtime.block_on(async { tokio::time::timeout(within, work()).await });
        done.unwrap_or_else(|_| Err(format!("not done after {}s", within.as_secs())))
    });
    ring.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
}
