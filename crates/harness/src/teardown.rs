//! The undo stack: what has to be taken down, whatever happens to the test.
//!
//! An undo is pushed before the thing is made. `close` runs in the test's own runtime; `Drop` is for a fixture
//! that was cancelled or is half-built, and uses the second ring.

use std::pin::pin;
use std::sync::Mutex;

use futures::future::join_all;
use provisioner::DestroyError;
use provisioner::Provisioner;
use tokio::time::{Instant, timeout_at};

use crate::budget::Budget;
use crate::evidence::say;
use crate::ring;

/// Instances that this fixture has to take down.
#[derive(Debug)]
pub(crate) struct Teardown {
    provisioner: Provisioner,
    budget: Budget,
    doomed: Mutex<Vec<String>>,
}

impl Teardown {
    pub(crate) fn new(provisioner: Provisioner, budget: Budget) -> Self {
        Self { provisioner, budget, doomed: Mutex::new(Vec::new()) }
    }

    /// From now on the instance is taken down with the fixture, made or not.
    pub(crate) fn push(&self, instance: &str) {
        self.lock().push(instance.to_owned());
    }

    /// What will be taken down.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Gives up the duty, because somebody wants to keep the clusters.
    pub(crate) fn keep(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    /// Takes everything down, side by side, and reports all failures. What is not over at the end of the budget goes on,
    /// which is said: nextest may kill the test at any moment from then on.
    pub(crate) async fn close(&self, until: Instant) -> Vec<DestroyError> {
        let doomed = self.names();
        let mut closing = pin!(join_all(doomed.iter().map(|name| self.provisioner.destroy(name))));
        let outcomes = match timeout_at(until, &mut closing).await {
            Ok(outcomes) => outcomes,
            Err(_) => {
                let names = doomed.join(", ");
                say(&format!(
                    "teardown of {names} takes long; `homelab reap` finishes it if this test is killed"
                ));
                closing.await
            }
        };
        let failures = outcomes.into_iter().filter_map(Result::err).collect::<Vec<_>>();
        self.lock().retain(|name| failures.iter().any(|failure| failure.cluster == *name));
        failures
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.doomed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Teardown {
    fn drop(&mut self) {
        let doomed = self.keep();
        if doomed.is_empty() {
            return;
        }
        let provisioner = self.provisioner.clone();
        let done = ring::finish(self.budget.total(), move || async move {
            let outcomes = join_all(doomed.iter().map(|name| provisioner.destroy(name))).await;
            let failures: Vec<String> =
                outcomes.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
            if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
        });
        if let Err(why) = done {
            say(&format!("teardown is incomplete, `homelab reap` finishes it: {why}"));
        }
    }
}
