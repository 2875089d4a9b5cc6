//! One probe under way: what it has sent, what it has learnt, and its one answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use probe::{Answer, Nonce, Outcome, Said};

use super::rate::Rate;
use crate::clock;
use crate::lines::Lines;

/// A probe from its turn to its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) nonce: Nonce,
    rate: Arc<Rate>,
    lines: Lines,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: u32,
    at_us: u64,
    so_far: Option<Outcome>,
    answered: bool,
}

impl Attempt {
    pub(super) fn new(nonce: Nonce, rate: Arc<Rate>, lines: Lines) -> Self {
        Self { nonce, rate, lines, state: Mutex::default() }
    }

    /// Waits until one more packet may leave, or one more connection be begun; it is counted as sent.
    pub(super) async fn turn(&self) {
        self.rate.turn().await;
        self.sent();
    }

    /// A packet or connection leaves now; the first has had its turn when the probe began.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        if state.sent == 0 {
            state.at_us = clock::now_us();
        }
        state.sent += 1;
    }

    /// The answer, should time run out now.
    pub(super) fn so_far(&self, outcome: Outcome) {
        self.state().so_far = Some(outcome);
    }

    /// Gives the answer, once: what is learnt later changes nothing.
    pub(super) fn answer(&self, outcome: Outcome) {
        let mut state = self.state();
        if !state.answered {
            state.answered = true;
            let (sent, at_us) = (state.sent, state.at_us);
            // There is room for one line for each probe; without a reader nobody misses it.
            self.lines.say(&Said::Answer(Answer { nonce: self.nonce.clone(), sent, at_us, outcome }));
        }
    }

    /// Gives the answer that the end of time makes.
    pub(super) fn time_is_up(&self) {
        let outcome = {
            let mut state = self.state();
            let silent = match state.sent {
                0 => Outcome::NotRun { why: "the deadline came before its turn".to_owned() },
                _ => Outcome::Silent,
            };
            state.so_far.take().unwrap_or(silent)
        };
        self.answer(outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
