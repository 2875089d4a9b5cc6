//! The tracing span, the events and the error context of a stage, in one place for all stages.

use std::future::Future;
use std::time::Instant;

use tracing::Instrument;

use super::{ProvisionError, Residue, StageError};
use crate::error::chain;
use crate::events::{Event, Events};
use crate::stage::Stage;

/// Runs the stages of one instance.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    instance: &'a str,
    events: &'a Events,
}

impl<'a> Stages<'a> {
    pub(super) fn of(instance: &'a str, events: &'a Events) -> Self {
        Self { instance, events }
    }

    /// Runs a stage. `residue` says what a failure leaves on the host.
    pub(super) async fn run<T, E: Into<StageError>>(
        &self,
        stage: Stage,
        residue: Residue,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ProvisionError> {
        let span =
            tracing::info_span!("stage", %stage, cluster = self.instance, status = tracing::field::Empty);
        let instance = self.instance.to_owned();
        self.events.publish(Event::StageStarted { instance: instance.clone(), stage, node: None });
        let started = Instant::now();
        let outcome = work.instrument(span.clone()).await;
        span.record("status", if outcome.is_ok() { "ok" } else { "failed" });
        let outcome = outcome.map_err(Into::into);
        let (took, error) =
            (started.elapsed(), outcome.as_ref().err().map(|error: &StageError| chain(error)));
        self.events.publish(Event::StageCompleted { instance, stage, node: None, took, error });
        outcome.map_err(|source| ProvisionError { cluster: self.instance.to_owned(), stage, residue, source })
    }
}
