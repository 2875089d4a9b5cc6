//! `prober`: tries everything it is told at once, and gives exactly one answer for each probe.
//!
//! One thread and one runtime: memory, sockets, packets in a second and time are bounded whatever the batch holds. A
//! probe's error is its answer and nobody else's concern. Each kind of probe has a file; `attempt` keeps what it has
//! learnt, so that the deadline finds an answer for it too.

mod rate;
mod errno;
mod attempt;
mod wire;
mod reply;
mod tcp;
mod syn;
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

use probe::{Ask, Batch, Outcome, Probe, Said, VERSION};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::lines::{End, Ended, Lines};
use attempt::Attempt;
use rate::Rate;

/// The most probes that are under way at a time, with a socket or a few each.
const AT_ONCE: usize = 1024;
/// The most probes in a batch.
const PROBES: usize = 200_000;
/// The most bytes of a batch.
const BATCH: u64 = 64 << 20;
/// The longest deadline.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long after the deadline the reader may take for the last lines.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Why a batch was not answered for.
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
    #[error("write the answers: nobody read them to the end")]
    Unread,
}

impl ProberError {
    /// Whether the batch is to blame.
    pub(crate) fn is_of_the_batch(&self) -> bool {
        matches!(self, Self::Parse(_) | Self::Refused(_))
    }
}

/// What is wrong with a batch.
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
    #[error("its deadline of {0} ms is none, or more than an hour")]
    Deadline(u64),
    #[error("its patience of {0} ms is none, or more than an hour")]
    Patience(u64),
    #[error("nonce {0} is there twice")]
    Twice(String),
}

/// Reads a batch and answers it.
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
    runtime.shutdown_background(); // what hangs in a dead file system ends with the process
    answered
}

fn parse(text: &[u8]) -> Result<Batch, ProberError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The version first: a batch of another one may not parse at all.
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
    if !sound(batch.patience_ms) {
        return Err(Refusal::Patience(batch.patience_ms));
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
    let patience = Duration::from_millis(batch.patience_ms);
    let answers = batch.probes.len();
    let (lines, mut ended) = Lines::start(answers + 1).map_err(ProberError::Start)?;
    let sockets = AT_ONCE.min(descriptors() / 2);
    let rate = Arc::new(Rate::new(batch.rate, read));

    let mut attempts = Vec::with_capacity(answers);
    let mut asks = Vec::with_capacity(answers);
    for Probe { nonce, ask } in batch.probes {
        let attempt = Arc::new(Attempt::new(nonce, patience, Arc::clone(&rate), lines.clone()));
        attempts.push(Arc::clone(&attempt));
        asks.push((attempt, ask));
    }
    let all = async move {
        let slots = Arc::new(Semaphore::new(sockets));
        let mut running = JoinSet::new();
        for (attempt, ask) in asks {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            rate.turn().await;
            running.spawn_local(async move {
                attempt.run(try_out(&attempt, ask), end).await;
                drop(slot);
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
        attempt.time_is_up(); // for those that have not answered
    }
    lines.say(&Said::End { answers });
    drop(lines);
    written(&mut ended).await
}

/// Lines are written by a thread of their own; tasks that hang on to them are gone with the attempts.
async fn written(ended: &mut Ended) -> Result<(), ProberError> {
    match timeout(LAST_LINES, ended.wait()).await {
        Ok(End::Written) => Ok(()),
        _ => Err(ProberError::Unread),
    }
}

/// As many descriptors as this process may have open: as many as it may give itself.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let granted = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    granted.map_or(AT_ONCE * 2, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

async fn try_out(attempt: &Arc<Attempt>, ask: Ask) -> Outcome {
    let tried = match ask {
        Ask::Tcp { to } => tcp::ask(attempt, to).await,
        Ask::HeldTcp { to, hold_ms } => tcp::hold(attempt, to, Duration::from_millis(hold_ms)).await,
        Ask::Syn { to, ports } => syn::ask(attempt, to, &ports).await,
        Ask::Udp { to, size } => udp::ask(attempt, to, size).await,
        Ask::Ping { to, size, dont_fragment } => ping::ask(attempt, to, size, dont_fragment).await,
        Ask::Arp { target, link } => link::arp(attempt, target, link.as_deref()).await,
        Ask::Neighbour { target, link } => link::neighbour(attempt, target, link.as_deref()).await,
        Ask::Advertise { link } => link::router(attempt, link.as_deref()).await,
        Ask::Group { to, link } => group::ask(attempt, to, link.as_deref()).await,
        Ask::Raw { to, protocol } => raw::ask(attempt, to, protocol).await,
        Ask::Overlay { to, overlay, inner } => udp::overlay(attempt, to, overlay, inner).await,
        Ask::Dns { server, name } => dns::ask(attempt, server, &name).await,
        Ask::Https { to, name, path, credentials, authority } => {
            let request = https::Request { to, name, path, credentials, authority };
            Box::pin(https::ask(attempt, request)).await
        }
        Ask::Unix { path } => unix::ask(attempt, &path).await,
        Ask::Look { at } => {
            attempt.is_served(); // by our own system
            look::look(attempt, at).await
        }
    };
    tried.unwrap_or_else(|error| errno::outcome(&error))
}

#[cfg(test)]
mod tests {
    use probe::{Nonce, Sight};

    use super::*;

    fn batch(numbers: &[u32]) -> Batch {
        let probe =
            |number: &u32| Probe { nonce: Nonce::new(1, *number), ask: Ask::Look { at: Sight::Links } };
        let probes = numbers.iter().map(probe).collect();
        Batch { version: VERSION, deadline_ms: 1000, patience_ms: 1000, rate: 10, probes }
    }

    #[test]
    fn a_batch_that_could_not_be_answered_for_is_refused() {
        assert_eq!(check(&batch(&[1, 2])), Ok(()));
        assert_eq!(check(&Batch { rate: 0, ..batch(&[]) }), Err(Refusal::Rate));
        assert_eq!(check(&Batch { deadline_ms: 0, ..batch(&[]) }), Err(Refusal::Deadline(0)));
        assert_eq!(check(&Batch { patience_ms: 0, ..batch(&[]) }), Err(Refusal::Patience(0)));
        assert_eq!(check(&batch(&[1, 2, 1])), Err(Refusal::Twice("hl1-00000001-000001".to_owned())));
    }

    #[test]
    fn another_version_is_told_before_anything_else_is_read() {
        let refused = parse(br#"{"version": 2, "probes": "of another kind"}"#);
        assert!(matches!(refused, Err(ProberError::Refused(Refusal::Version(2)))), "{refused:?}");
    }
}
