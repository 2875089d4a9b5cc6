//! `prober`: runs all probes of a batch in parallel and gives exactly one answer for each.
//!
//! It has one thread and one runtime. Memory, sockets, packets per second and time are bounded, whatever the batch
//! contains. An error of a probe becomes that probe's answer and does not affect other probes. Each kind of probe has a
//! file. `attempt` keeps what a probe has learnt so far, so that there is an answer at the deadline, too.

mod rate;
mod errno;
mod attempt;
mod wire;
mod reply;
mod tcp;
mod scan;
mod udp;
mod ping;
mod link;
mod group;
mod raw;
mod dns;
mod https;
mod unix;
mod look;

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use probe::{Ask, Batch, ProbeOutcome, ProbeResult, VERSION};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::lines::{End, Ended, Lines};
use attempt::Attempt;
use rate::Rate;

/// The most probes that run at the same time. Each has one or a few sockets.
const AT_ONCE: usize = 1024;
/// The most probes in a batch.
const PROBES: usize = 200_000;
/// The longest batch, in bytes.
const BATCH: u64 = 64 << 20;
/// The longest deadline, and the longest time-out.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long the reader may take to read the last lines, after the deadline.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Why the prober failed to answer a batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProberError {
    #[error("read the batch")]
    Read(#[source] io::Error),
    #[error("parse the batch")]
    Parse(#[source] serde_json::Error),
    #[error("refuse the batch: {0}")]
    Refused(Refusal),
    #[error("start")]
    Start(#[source] io::Error),
    #[error("write the answers: the reader closed standard output, or is too slow")]
    Unread,
}

impl ProberError {
    /// Whether the cause is in the batch itself.
    pub(crate) fn is_of_the_batch(&self) -> bool {
        matches!(self, Self::Parse(_) | Self::Refused(_))
    }
}

/// Why a batch is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("its version is {0}, not {VERSION}")]
    Version(u32),
    #[error("it is longer than {BATCH} bytes")]
    Length,
    #[error("it has {0} probes, more than {PROBES}")]
    Probes(usize),
    #[error("its rate is 0")]
    Rate,
    #[error("its deadline of {0} ms is not between 1 ms and 1 h")]
    Deadline(u64),
    #[error("its answer time-out of {0} ms is not between 1 ms and 1 h")]
    AnswerTimeout(u64),
    #[error("two of its probes have the nonce {0}")]
    Twice(String),
}

/// Reads a batch from standard input and answers it.
pub(crate) fn run() -> Result<(), ProberError> {
    let mut text = Vec::new();
    io::stdin().lock().take(BATCH + 1).read_to_end(&mut text).map_err(ProberError::Read)?;
    let read = Instant::now();
    if text.len() as u64 > BATCH {
        return Err(ProberError::Refused(Refusal::Length));
    }
    let batch = parse(&text)?;
    drop(text);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ProberError::Start)?;
    let answered = runtime.block_on(LocalSet::new().run_until(answer(batch, read)));
    runtime.shutdown_background(); // threads that hang in a dead file system end with the process
    answered
}

fn parse(text: &[u8]) -> Result<Batch, ProberError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    // Check the version first: a batch of another version may not parse at all.
    let Versioned { version } = serde_json::from_slice(text).map_err(ProberError::Parse)?;
    if version != VERSION {
        return Err(ProberError::Refused(Refusal::Version(version)));
    }
    let batch: Batch = serde_json::from_slice(text).map_err(ProberError::Parse)?;
    check(&batch).map_err(ProberError::Refused)?;
    Ok(batch)
}

fn check(batch: &Batch) -> Result<(), Refusal> {
    if batch.rate == 0 {
        return Err(Refusal::Rate);
    }
    let sound = |time: u64| time > 0 && u128::from(time) <= LONGEST.as_millis();
    if !sound(batch.deadline_ms) {
        return Err(Refusal::Deadline(batch.deadline_ms));
    }
    if !sound(batch.answer_timeout_ms) {
        return Err(Refusal::AnswerTimeout(batch.answer_timeout_ms));
    }
    if batch.probes.len() > PROBES {
        return Err(Refusal::Probes(batch.probes.len()));
    }
    let mut nonces = HashSet::new();
    match batch.probes.iter().find(|probe| !nonces.insert(&probe.nonce)) {
        Some(twice) => Err(Refusal::Twice(twice.nonce.to_string())),
        None => Ok(()),
    }
}

async fn answer(batch: Batch, read: Instant) -> Result<(), ProberError> {
    let end = read + Duration::from_millis(batch.deadline_ms);
    let answer_timeout = Duration::from_millis(batch.answer_timeout_ms);
    let answers = batch.probes.len();
    let (lines, mut ended) = Lines::start(answers + 1).map_err(ProberError::Start)?;
    let sockets = AT_ONCE.min(descriptors() / 2);
    let rate = Arc::new(Rate::new(batch.rate, read));

    let mut attempts = Vec::with_capacity(answers);
    let mut asks = Vec::with_capacity(answers);
    for probe in batch.probes {
        let attempt = Arc::new(Attempt::new(&probe, answer_timeout, Arc::clone(&rate), lines.clone()));
        attempts.push(Arc::clone(&attempt));
        asks.push((attempt, probe.ask));
    }
    let all = async move {
        let slots = Arc::new(Semaphore::new(sockets));
        let scans = Arc::new(Semaphore::new(Batch::SCANS_AT_ONCE));
        let mut running = JoinSet::new();
        for (attempt, ask) in asks {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            rate.turns(1).await;
            let scans = Arc::clone(&scans);
            running.spawn_local(async move {
                // A scan that waits for its turn keeps no other probe from starting.
                let turn = if ask.is_scan() { scans.acquire().await.ok() } else { None };
                attempt.run(try_out(&attempt, ask), end).await;
                drop((slot, turn));
            });
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    };
    tokio::select! {
        biased;
        _ = ended.wait() => return Err(ProberError::Unread),
        () = sleep_until(end) => {}
        () = all => {}
    }
    for attempt in attempts {
        attempt.deadline_is_reached(); // has an effect only on probes without an answer
    }
    lines.say(&ProbeResult::End { answers });
    drop(lines);
    written(&mut ended).await
}

/// Waits until the last line is written. A separate thread writes the lines until all senders are dropped; those of
/// unfinished probes were dropped with their tasks.
async fn written(ended: &mut Ended) -> Result<(), ProberError> {
    match timeout(LAST_LINES, ended.wait()).await {
        Ok(End::Written) => Ok(()),
        _ => Err(ProberError::Unread),
    }
}

/// Raises the limit of open file descriptors to the hard limit, and returns the limit that applies then.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let granted = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    granted.map_or(AT_ONCE * 2, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Asks a question. Futures with buffers are boxed, because a task reserves the room of the largest of them.
async fn try_out(attempt: &Arc<Attempt>, ask: Ask) -> ProbeOutcome {
    let tried = match ask {
        Ask::Tcp { to } => tcp::ask(attempt, to).await,
        Ask::HeldTcp { to, hold_ms } => tcp::hold(attempt, to, Duration::from_millis(hold_ms)).await,
        scan @ (Ask::Syn { .. }
        | Ask::Datagrams { .. }
        | Ask::Protocols { .. }
        | Ask::Frames { .. }
        | Ask::NextHops { .. }) => Box::pin(scan::ask(attempt, scan)).await,
        Ask::Udp { to, size } => udp::ask(attempt, to, size).await,
        Ask::Ping { to, size, dont_fragment } => Box::pin(ping::ask(attempt, to, size, dont_fragment)).await,
        Ask::Arp { target, link } => Box::pin(link::arp(attempt, target, link.as_deref())).await,
        Ask::Neighbour { target, link } => Box::pin(link::neighbour(attempt, target, link.as_deref())).await,
        Ask::Advertise { link } => Box::pin(link::router(attempt, link.as_deref())).await,
        Ask::Group { to, link } => Box::pin(group::ask(attempt, to, link.as_deref())).await,
        Ask::Raw { to, protocol } => Box::pin(raw::ask(attempt, to, protocol)).await,
        Ask::Overlay { to, overlay, inner } => udp::overlay(attempt, to, overlay, inner).await,
        Ask::Dns { server, name } => Box::pin(dns::ask(attempt, server, &name)).await,
        Ask::Https { to, name, path, credentials, authority } => {
            let request = https::Request { to, name, path, credentials, authority };
            Box::pin(https::ask(attempt, request)).await
        }
        Ask::Unix { path } => unix::ask(attempt, &path).await,
        Ask::Look { at } => {
            attempt.is_served(); // the kernel answers in any case
            look::look(attempt, at).await
        }
    };
    tried.unwrap_or_else(|error| errno::outcome(&error))
}

#[cfg(test)]
mod tests {
    use probe::{Nonce, Probe, Sight};

    use super::*;

    fn batch(numbers: &[u32]) -> Batch {
        let probe =
            |number: &u32| Probe { nonce: Nonce::new(1, *number), ask: Ask::Look { at: Sight::Links } };
        let probes = numbers.iter().map(probe).collect();
        Batch { version: VERSION, deadline_ms: 1000, answer_timeout_ms: 1000, rate: 10, probes }
    }

    #[test]
    fn a_batch_with_a_limit_of_zero_or_a_repeated_nonce_is_refused() {
        assert_eq!(check(&batch(&[1, 2])), Ok(()));
        assert_eq!(check(&Batch { rate: 0, ..batch(&[]) }), Err(Refusal::Rate));
        assert_eq!(check(&Batch { deadline_ms: 0, ..batch(&[]) }), Err(Refusal::Deadline(0)));
        assert_eq!(check(&Batch { answer_timeout_ms: 0, ..batch(&[]) }), Err(Refusal::AnswerTimeout(0)));
        assert_eq!(check(&batch(&[1, 2, 1])), Err(Refusal::Twice("hl1-00000001-000001".to_owned())));
    }

    #[test]
    fn another_version_is_refused_before_anything_else_is_read() {
        let refused = parse(br#"{"version": 3, "probes": "of another kind"}"#);
        assert!(matches!(refused, Err(ProberError::Refused(Refusal::Version(3)))), "{refused:?}");
    }
}
