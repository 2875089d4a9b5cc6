//! A running probe: its packets sent so far, its time-out, and its one answer.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use probe::{Answer, Nonce, ProbeOutcome, ProbeResult};
use tokio::time::{Instant, sleep, timeout_at};

use super::rate::Rate;
use crate::clock;
use crate::lines::Lines;

/// How many times a packet without an answer is sent.
pub(super) const TRIES: u32 = 3;

/// A probe, from its start to its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) nonce: Nonce,
    answer_timeout: Duration,
    rate: Arc<Rate>,
    lines: Lines,
    state: Mutex<AttemptState>,
}

#[derive(Debug, Default)]
struct AttemptState {
    sent: u32,
    at_us: u64,
    /// When the time-out ends. `None` while only the batch's deadline applies.
    until: Option<Instant>,
    so_far: Option<ProbeOutcome>,
    answered: bool,
}

impl Attempt {
    pub(super) fn new(nonce: Nonce, answer_timeout: Duration, rate: Arc<Rate>, lines: Lines) -> Self {
        Self { nonce, answer_timeout, rate, lines, state: Mutex::default() }
    }

    /// Runs the probe until it has an answer, its time-out ends or the deadline is reached. Writes an answer in each
    /// case.
    pub(super) async fn run(&self, trying: impl Future<Output = ProbeOutcome>, deadline: Instant) {
        let mut trying = std::pin::pin!(trying);
        self.state().until = Some(Instant::now() + self.answer_timeout);
        loop {
            let until = self.state().until.map_or(deadline, |until| until.min(deadline));
            if let Ok(outcome) = timeout_at(until, &mut trying).await {
                return self.answer(outcome);
            }
            let prolonged = self.state().until.is_none_or(|later| later > until);
            if !prolonged || until >= deadline {
                return self.time_is_up();
            }
        }
    }

    /// Sends up to `tries` times, until `hear` ends. `hear` decides what counts as an answer.
    pub(super) async fn insist<T>(
        &self,
        tries: u32,
        send: impl AsyncFn() -> io::Result<()>,
        hear: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let sending = async {
            self.sent();
            self.leaves(send()).await?;
            for _ in 1..tries {
                self.pause().await;
                self.leaves(send()).await?;
            }
            pending().await
        };
        tokio::select! {
            biased;
            heard = hear => heard,
            failed = sending => failed,
        }
    }

    /// Starts the time-out when the packets are sent, because a prober may wait for a CPU before that.
    async fn leaves(&self, sending: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        self.first(sending).await?;
        self.state().until = Some(Instant::now() + self.answer_timeout);
        Ok(())
    }

    /// Waits until the next try.
    pub(super) async fn pause(&self) {
        sleep(self.answer_timeout / 4).await;
        // The time-out does not run while the prober waits for a CPU, or for its turn under the rate.
        self.state().until = None;
        self.turn().await;
    }

    /// Waits for `something` without a time-out: the time-out starts with the next packet.
    pub(super) async fn first<T>(&self, something: impl Future<Output = T>) -> T {
        self.state().until = None;
        something.await
    }

    /// Sends nothing for `pause`. The time-out starts again afterwards.
    pub(super) async fn hold(&self, pause: Duration) {
        self.state().until = Some(Instant::now() + pause + self.answer_timeout);
        sleep(pause).await;
        self.sent();
    }

    /// Lets only the deadline end this probe, because the target is known to answer sooner or later.
    pub(super) fn is_served(&self) {
        self.state().until = None;
    }

    /// Waits until the rate allows one more packet or connection, and counts it as sent.
    pub(super) async fn turn(&self) {
        self.rate.turn().await;
        self.sent();
    }

    /// Counts a packet or connection as sent now. The first one has waited for the rate when the probe started.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        if state.sent == 0 {
            state.at_us = clock::now_us();
        }
        state.sent += 1;
        state.until = Some(Instant::now() + self.answer_timeout);
    }

    /// Sets the answer to give if the time runs out.
    pub(super) fn so_far(&self, outcome: ProbeOutcome) {
        self.state().so_far = Some(outcome);
    }

    /// Writes the answer. Later calls have no effect.
    pub(super) fn answer(&self, outcome: ProbeOutcome) {
        let mut state = self.state();
        if !state.answered {
            state.answered = true;
            let (sent, at_us) = (state.sent, state.at_us);
            // The queue has room for one line per probe. If the reader has gone, the line is lost.
            self.lines.say(&ProbeResult::Answer(Answer { nonce: self.nonce.clone(), sent, at_us, outcome }));
        }
    }

    /// Writes the answer of a probe whose time has run out.
    pub(super) fn time_is_up(&self) {
        let outcome = {
            let mut state = self.state();
            let silent = match state.sent {
                0 => ProbeOutcome::NotRun {
                    why: "the deadline was reached before the probe could start".to_owned(),
                },
                _ => ProbeOutcome::Silent,
            };
            state.so_far.take().unwrap_or(silent)
        };
        self.answer(outcome);
    }

    fn state(&self) -> MutexGuard<'_, AttemptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_from_when_the_packet_has_left() {
        let answer_timeout = Duration::from_millis(800);
        let (lines, read) = Lines::to_test(1);
        let rate = Arc::new(Rate::new(1000, Instant::now()));
        let attempt = Attempt::new(Nonce::new(1, 1), answer_timeout, rate, lines);
        let held_up = 2 * answer_timeout;
        let send = async || {
            sleep(held_up).await;
            Ok(())
        };
        let hear = async {
            sleep(held_up + answer_timeout / 8).await;
            Ok(())
        };
        let trying = async {
            let heard = attempt.insist(TRIES, send, hear).await;
            heard.map_or(ProbeOutcome::Silent, |()| ProbeOutcome::Answered {
                identity: None,
                from: None,
                what: Vec::new(),
            })
        };
        attempt.run(trying, Instant::now() + 100 * answer_timeout).await;
        let answer = String::from_utf8(read.recv().unwrap()).unwrap();
        assert!(answer.contains("answered"), "{answer}");
    }
}
