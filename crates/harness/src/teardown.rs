//! The instances that a fixture has to destroy, however its test ends.
//!
//! A name is pushed before its instance is created. [`Teardown::close`] runs in the test's runtime. `Drop` is for a
//! fixture that was cancelled or failed half-way, and uses a thread of its own ([`ring`]).

use std::pin::pin;
use std::sync::Mutex;

use futures::future::join_all;
use provisioner::DestroyError;
use provisioner::Provisioner;
use tokio::time::{Instant, timeout_at};

use crate::budget::Budget;
use crate::evidence::say;
use crate::ring;

/// The names of the instances to destroy.
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

    /// From now on, the teardown destroys this instance, also if it is never created.
    pub(crate) fn push(&self, instance: &str) {
        self.lock().push(instance.to_owned());
    }

    /// The names of the instances to destroy.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Removes all names from the list, so that the clusters stay, and returns the names.
    pub(crate) fn keep(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    /// Destroys all instances, side by side, and returns all failures. A teardown that exceeds the budget goes on, with
    /// a line in the test's output: nextest may kill the test at any moment from then on.
    pub(crate) async fn close(&self, until: Instant) -> Vec<DestroyError> {
        let doomed = self.names();
        let mut closing = pin!(join_all(doomed.iter().map(|name| self.provisioner.destroy(name))));
        let outcomes = match timeout_at(until, &mut closing).await {
            Ok(outcomes) => outcomes,
            Err(_) => {
                let names = doomed.join(", ");
                say(&format!(
                    "teardown of {names} is late; `sudo homelab reap` finishes it if this test is killed"
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
            say(&format!("teardown is incomplete, `sudo homelab reap` finishes it: {why}"));
        }
    }
}
