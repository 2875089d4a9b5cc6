//! A stack of undo steps for the audit and the self-test: each step is pushed before its action, and the last one runs
//! first.
//!
//! A step that fails does not stop the others.

use std::fmt;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::evidence::say;
use crate::ring;

/// The deadline of all steps together when they run in `Drop`.
const DEADLINE: Duration = Duration::from_secs(60);

/// Undo steps that have not run yet.
///
/// `Drop` runs the remaining steps on a thread with a runtime of its own ([`ring`]). So a step must not depend on the
/// runtime in which it was pushed, and must succeed where its action never happened.
#[derive(Default)]
pub(crate) struct Undos {
    steps: Vec<Undo>,
}

struct Undo {
    what: String,
    way: Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), UndoError>> + Send>,
}

/// Why an undo step failed.
pub(crate) type UndoError = Box<dyn std::error::Error + Send + Sync>;

/// The undo steps that failed, each with its error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Left(Vec<String>);

impl fmt::Debug for Undos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|step| &step.what)).finish()
    }
}

impl Undos {
    /// Pushes a step. `what` names its effect, `remove the link cable`. A step that was cancelled is run again from its
    /// beginning.
    pub(crate) fn push<F, E>(&mut self, what: impl Into<String>, way: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), E>> + 'static,
        E: Into<UndoError>,
    {
        let way = move || -> LocalBoxFuture<'static, Result<(), UndoError>> {
            let done = way();
            Box::pin(async move { done.await.map_err(Into::into) })
        };
        self.steps.push(Undo { what: what.into(), way: Box::new(way) });
    }

    /// Runs all steps, the last one first.
    ///
    /// # Errors
    /// [`Left`] with the steps that failed; all others have run.
    pub(crate) async fn close(mut self) -> Result<(), Left> {
        run(&mut self.steps).await
    }
}

async fn run(steps: &mut Vec<Undo>) -> Result<(), Left> {
    let mut left = Vec::new();
    while let Some(undo) = steps.last() {
        if let Err(error) = (undo.way)().await {
            left.push(format!("{}: {}", undo.what, provisioner::error::chain(error.as_ref())));
        }
        steps.pop(); // after the step: where this future is dropped, `Drop` runs the step again
    }
    if left.is_empty() { Ok(()) } else { Err(Left(left)) }
}

impl Drop for Undos {
    fn drop(&mut self) {
        let mut steps = std::mem::take(&mut self.steps);
        if steps.is_empty() {
            return;
        }
        let done =
            ring::finish(
                DEADLINE,
                move || async move { run(&mut steps).await.map_err(|left| left.to_string()) },
            );
        if let Err(why) = done {
            say(&format!("not everything could be undone: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn noting(undos: &mut Undos, done: &Arc<Mutex<Vec<u8>>>, number: u8, fails: bool) {
        let done = Arc::clone(done);
        undos.push(format!("undo {number}"), move || {
            done.lock().expect("no thread panics").push(number);
            async move { if fails { Err(std::io::Error::other("stuck")) } else { Ok(()) } }
        });
    }

    #[tokio::test]
    async fn the_last_change_is_undone_first_and_a_failed_undo_does_not_stop_the_others() {
        let (mut undos, done) = (Undos::default(), Arc::default());
        for (number, fails) in [(1, false), (2, true), (3, false)] {
            noting(&mut undos, &done, number, fails);
        }
        let left = undos.close().await.expect_err("the second is stuck");
        assert_eq!(left.to_string(), "undo 2: stuck");
        assert_eq!(*done.lock().expect("no thread panics"), [3, 2, 1]);
    }

    #[tokio::test]
    async fn dropped_undos_are_still_run() {
        let done = Arc::default();
        let mut undos = Undos::default();
        noting(&mut undos, &done, 1, false);
        drop(undos);
        assert_eq!(*done.lock().expect("no thread panics"), [1]);
    }
}
