//! One probe under way: what it has sent, what it has learnt, and its one answer.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use probe::{Answer, Nonce, Outcome, Said};
use tokio::time::{Instant, sleep, timeout_at};

use super::rate::Rate;
use crate::clock;
use crate::lines::Lines;

/// How often a question is sent that nobody answers.
pub(super) const TRIES: u32 = 3;

/// A probe from its turn to its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) nonce: Nonce,
    patience: Duration,
    rate: Arc<Rate>,
    lines: Lines,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: u32,
    at_us: u64,
    /// When patience ends; nothing while only the deadline ends it.
    until: Option<Instant>,
    so_far: Option<Outcome>,
    answered: bool,
}

impl Attempt {
    pub(super) fn new(nonce: Nonce, patience: Duration, rate: Arc<Rate>, lines: Lines) -> Self {
        Self { nonce, patience, rate, lines, state: Mutex::default() }
    }

    /// Gives an answer in any case: when there is one, when patience ends, or at the deadline.
    pub(super) async fn run(&self, trying: impl Future<Output = Outcome>, deadline: Instant) {
        let mut trying = std::pin::pin!(trying);
        self.state().until = Some(Instant::now() + self.patience);
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

    /// Sends, and sends again while nobody is heard, so many times. Whoever hears decides what an answer is.
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

    /// Patience begins when the packets have left: a prober may wait for a core between the two.
    async fn leaves(&self, sending: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        self.first(sending).await?;
        self.state().until = Some(Instant::now() + self.patience);
        Ok(())
    }

    /// Waits until it is time to send again.
    pub(super) async fn pause(&self) {
        sleep(self.patience / 4).await;
        // A prober that had to wait for a core, or for its turn, has not been patient yet.
        self.state().until = None;
        self.turn().await;
    }

    /// Waits for something before the first packet; patience begins with that.
    pub(super) async fn first<T>(&self, something: impl Future<Output = T>) -> T {
        self.state().until = None;
        something.await
    }

    /// Says nothing for a while, and is as patient as ever afterwards.
    pub(super) async fn hold(&self, pause: Duration) {
        self.state().until = Some(Instant::now() + pause + self.patience);
        sleep(pause).await;
        self.sent();
    }

    /// Somebody is there who will answer, and gets all the time there is.
    pub(super) fn is_served(&self) {
        self.state().until = None;
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
        state.until = Some(Instant::now() + self.patience);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_from_when_the_packet_has_left() {
        let patience = Duration::from_millis(800);
        let (lines, read) = Lines::to_test(1);
        let rate = Arc::new(Rate::new(1000, Instant::now()));
        let attempt = Attempt::new(Nonce::new(1, 1), patience, rate, lines);
        let held_up = 2 * patience;
        let send = async || {
            sleep(held_up).await;
            Ok(())
        };
        let hear = async {
            sleep(held_up + patience / 8).await;
            Ok(())
        };
        let trying = async {
            let heard = attempt.insist(TRIES, send, hear).await;
            heard.map_or(Outcome::Silent, |()| Outcome::Answered {
                identity: None,
                from: None,
                what: Vec::new(),
            })
        };
        attempt.run(trying, Instant::now() + 100 * patience).await;
        let answer = String::from_utf8(read.recv().unwrap()).unwrap();
        assert!(answer.contains("answered"), "{answer}");
    }
}
