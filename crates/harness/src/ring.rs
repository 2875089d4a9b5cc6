//! The second ring of a teardown: runs clean-up from `Drop`, when a future was dropped half-way.
//!
//! It uses a thread and a runtime of its own, because the runtime that dropped the future may be shutting down.

use std::time::Duration;

/// Blocks until `work` has ended or the deadline has passed.
///
/// # Errors
/// Why the work is not done, in words.
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
    ring.join().unwrap_or_else(|_| Err("the clean-up panicked".to_owned()))
}
