//! A running probe: its packets sent so far, its time-out, and its one answer.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use probe::{Answer, Ask, Nonce, Probe, ProbeOutcome, ProbeResult};
use tokio::time::{Instant, sleep, timeout_at};

use super::rate::Rate;
use crate::clock;
use crate::lines::Lines;

/// How many times a packet without an answer is sent.
pub(super) const TRIES: u32 = Ask::TRIES;

/// A probe, from its start to its answer.
pub(super) struct Attempt {
    pub(super) nonce: Nonce,
    /// How many packets must have left before silence means anything.
    needed: u64,
    answer_timeout: Duration,
    rate: Arc<Rate>,
    lines: Lines,
    state: Mutex<AttemptState>,
}

#[derive(Default)]
struct AttemptState {
    sent: u32,
    at_us: u64,
    /// When the time-out ends. `None` while only the batch's deadline applies.
    until: Option<Instant>,
    so_far: Option<SoFar>,
    answered: bool,
}

/// Computes the answer to give if the time runs out. `None` means that nothing was heard.
type SoFar = Box<dyn Fn() -> Option<ProbeOutcome> + Send>;

impl Attempt {
    pub(super) fn new(probe: &Probe, answer_timeout: Duration, rate: Arc<Rate>, lines: Lines) -> Self {
        let (nonce, needed) = (probe.nonce.clone(), probe.ask.packets_at_least());
        Self { nonce, needed, answer_timeout, rate, lines, state: Mutex::default() }
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
            if until >= deadline {
                return self.deadline_is_reached();
            }
            if self.state().until.is_some_and(|later| later <= until) {
                return self.time_is_up();
            }
        }
    }

    /// Sends up to `tries` times, until `hear` ends. `send` counts its packets with [`Self::sent`], and `hear` decides
    /// what counts as an answer.
    pub(super) async fn insist<T>(
        &self,
        tries: u32,
        send: impl AsyncFn() -> io::Result<()>,
        hear: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let sending = async {
            self.starts();
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
        self.waits();
        Ok(())
    }

    /// Starts the time-out now.
    pub(super) fn waits(&self) {
        self.state().until = Some(Instant::now() + self.answer_timeout);
    }

    /// Waits until the next try.
    pub(super) async fn pause(&self) {
        sleep(self.between()).await;
        // The time-out does not run while the prober waits for a CPU, or for its turn under the rate.
        self.state().until = None;
        self.turn().await;
    }

    /// The pause between two tries.
    pub(super) fn between(&self) -> Duration {
        self.answer_timeout / 4
    }

    /// How long the answer to the last packet may take.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
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
        self.sent(1);
        self.waits();
    }

    /// Lets only the deadline end this probe, because the target is known to answer sooner or later, or because the
    /// probe ends itself.
    pub(super) fn is_served(&self) {
        self.state().until = None;
    }

    /// Waits until the rate allows one more packet or connection. The first one has waited when the probe started.
    pub(super) async fn turn(&self) {
        self.rate.turns(1).await;
    }

    /// Waits until the rate allows this many more packets.
    pub(super) async fn turns(&self, packets: usize) {
        self.rate.turns(u32::try_from(packets).unwrap_or(u32::MAX)).await;
    }

    /// The most packets that leave at once.
    pub(super) fn at_once(&self) -> usize {
        self.rate.at_once()
    }

    /// Notes the time as that of the first packet, which leaves next.
    pub(super) fn starts(&self) {
        let mut state = self.state();
        if state.sent == 0 {
            state.at_us = clock::now_us();
        }
    }

    /// Counts packets that left, or connections that were opened, just now.
    pub(super) fn sent(&self, packets: u32) {
        self.starts();
        let mut state = self.state();
        state.sent = state.sent.saturating_add(packets);
    }

    /// Whether a packet has left.
    pub(super) fn has_sent(&self) -> bool {
        self.state().sent > 0
    }

    /// Counts one packet if `sending` succeeds.
    pub(super) async fn counted(&self, sending: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        sending.await?;
        self.sent(1);
        Ok(())
    }

    /// Sets the answer to give if the time runs out.
    pub(super) fn so_far(&self, outcome: ProbeOutcome) {
        self.learns(move || Some(outcome.clone()));
    }

    /// Sets how to compute the answer to give if the time runs out.
    pub(super) fn learns(&self, so_far: impl Fn() -> Option<ProbeOutcome> + Send + 'static) {
        self.state().so_far = Some(Box::new(so_far));
    }

    /// Writes the answer. Later calls have no effect.
    pub(super) fn answer(&self, outcome: ProbeOutcome) {
        let mut state = self.state();
        if !state.answered {
            state.answered = true;
            let sent = state.sent;
            let at_us = if sent == 0 { 0 } else { state.at_us };
            // The queue has room for one line per probe. If the reader has gone, the line is lost.
            self.lines.say(&ProbeResult::Answer(Answer { nonce: self.nonce.clone(), sent, at_us, outcome }));
        }
    }

    /// Writes the answer of a probe whose answer time-out has ended while the prober could receive.
    fn time_is_up(&self) {
        self.answer(self.learnt().unwrap_or_else(|| self.silence("no more packets left")));
    }

    /// Writes the answer of a probe that the deadline cut off. An answer may have been on its way, or wait unread in a
    /// socket of a prober that was stopped for a while, so this is no silence.
    pub(super) fn deadline_is_reached(&self) {
        self.answer(self.learnt().unwrap_or_else(|| self.unfinished("the deadline was reached")));
    }

    /// What was heard so far.
    pub(super) fn learnt(&self) -> Option<ProbeOutcome> {
        self.state().so_far.as_ref().and_then(|so_far| so_far())
    }

    /// The outcome of a probe that heard nothing: silence only if enough packets left. `why` is the reason if not.
    pub(super) fn silence(&self, why: &str) -> ProbeOutcome {
        let enough = u64::from(self.state().sent) >= self.needed;
        if enough { ProbeOutcome::Silent } else { self.unfinished(why) }
    }

    /// The outcome of a probe that did not come to its end, with the number of its packets.
    pub(super) fn unfinished(&self, why: &str) -> ProbeOutcome {
        let why = match (self.state().sent, self.needed) {
            (0, _) => format!("{why} before the first packet left"),
            (sent, needed) if u64::from(sent) < needed => format!("{why}: sent {sent} of {needed} packets"),
            (sent, _) => format!("{why} while answers were waited for: sent {sent} packets"),
        };
        ProbeOutcome::NotRun { why }
    }

    fn state(&self) -> MutexGuard<'_, AttemptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::mpsc::Receiver;

    use super::*;

    fn probe() -> Probe {
        let to = IpAddr::from(Ipv4Addr::LOCALHOST);
        let ask = Ask::Syn { to, ports: vec![(1, u16::MAX)], via: None, from: None };
        Probe { nonce: Nonce::new(1, 1), ask }
    }

    fn attempt(answer_timeout: Duration) -> (Attempt, Receiver<Vec<u8>>) {
        let (lines, read) = Lines::to_test(1);
        let rate = Arc::new(Rate::new(1000, Instant::now()));
        (Attempt::new(&probe(), answer_timeout, rate, lines), read)
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_silent_only_after_all_its_packets_and_its_whole_time_out() {
        let second = Duration::from_secs(1);
        for (sent, deadline, expected) in [
            (0, second / 2, r#""not-run","why":"the deadline was reached before the first packet left""#),
            (600, second / 2, r#""not-run","why":"the deadline was reached: sent 600 of 131070 packets""#),
            (131_070, second / 2, "while answers were waited for: sent 131070 packets"),
            (600, 9 * second, "no more packets left: sent 600 of 131070 packets"),
            (131_070, 9 * second, r#""kind":"silent""#),
        ] {
            let (attempt, read) = attempt(second);
            attempt.sent(sent);
            attempt.run(pending(), Instant::now() + deadline).await;
            let answer = String::from_utf8(read.recv().unwrap()).unwrap();
            assert!(answer.contains(expected), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_answer_begins_when_the_packet_was_sent() {
        let answer_timeout = Duration::from_millis(800);
        let (attempt, read) = attempt(answer_timeout);
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
