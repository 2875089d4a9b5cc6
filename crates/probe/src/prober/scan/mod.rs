//! Scans: many packets, in rounds, from one socket.
//!
//! A scan is sent again while it is silent, because a lost packet at the only open port must not hide it. It is silent
//! only if all packets of all rounds have left and the time-out is over, and nothing was heard until then. `outlet`
//! sends the packets, `inlet` receives what answers them, and `heard` remembers that. The kinds of scans have a file
//! each.

mod heard;
mod inlet;
mod outlet;
mod ports;
mod protocols;
mod frames;
mod hops;

use std::io;
use std::time::Duration;

use probe::{Ask, ProbeOutcome};
use tokio::time::{Instant, sleep};

use super::attempt::Attempt;
use inlet::Inlet;
use outlet::Outlet;

use frames::Frames;
use outlet::Target;

/// The pause after the first packet, in which the kernel resolves the address of the next hop. It keeps only a few
/// hundred packets until then (arp(7), `unres_qlen_bytes`).
const RESOLVING: Duration = Duration::from_millis(5);

/// Runs the scan that a question asks for.
pub(super) async fn ask(attempt: &Attempt, ask: Ask) -> io::Result<ProbeOutcome> {
    match ask {
        Ask::Syn { to, ports, via, from } => ports::syn(attempt, Target { to, via, from }, &ports).await,
        Ask::Datagrams { to, ports, via, from } => {
            ports::datagrams(attempt, Target { to, via, from }, &ports).await
        }
        Ask::Protocols { to, protocols, via, from } => {
            protocols::ask(attempt, Target { to, via, from }, &protocols).await
        }
        Ask::Frames { link, to, source, types, vlans, saps } => {
            frames::ask(attempt, Frames { link, to, source, types, vlans, saps }).await
        }
        Ask::NextHops { link, net, prefix } => hops::ask(attempt, &link, net, prefix).await,
        other => Err(io::Error::other(format!("{other:?} is no scan"))),
    }
}

/// What a scan sends and hears.
trait Scan {
    /// Number of packets in a round.
    fn packets(&self) -> usize;

    /// The packet at this place, from the header that the outlet expects.
    fn packet(&self, place: usize) -> Vec<u8>;

    /// Whether the packet at this place was answered, so that it needs no repetition.
    fn is_answered(&self, _place: usize) -> bool {
        false
    }

    /// Whether all packets were answered, so that there is nothing to wait for.
    fn is_complete(&self) -> bool {
        false
    }

    /// Takes a received packet.
    fn hear(&self, _packet: &[u8]) {}

    /// Whether the result is known, so that no further round is needed.
    fn is_settled(&self) -> bool {
        false
    }

    /// The outcome after the last round. `None` means that nothing was heard.
    fn outcome(&self) -> Option<ProbeOutcome> {
        None
    }
}

/// Sends a scan in rounds and listens. Without an inlet, the scan ends when all packets have left.
async fn run(
    attempt: &Attempt,
    scan: &impl Scan,
    rounds: u32,
    outlet: &Outlet,
    inlet: Option<&Inlet>,
) -> io::Result<ProbeOutcome> {
    attempt.is_served(); // the scan measures its own time-out
    for round in 0..rounds {
        if round > 0 {
            listen(scan, inlet, attempt.between()).await?;
        }
        let is_silent = |place: &usize| round == 0 || !scan.is_answered(*place);
        let places: Vec<usize> = (0..scan.packets()).filter(is_silent).collect();
        if places.is_empty() || (round > 0 && scan.is_settled()) {
            break;
        }
        if let Err(error) = send(attempt, scan, &places, outlet, inlet).await {
            return failed(attempt, scan, inlet, error).await;
        }
    }
    listen(scan, inlet, attempt.answer_timeout()).await?;
    Ok(match (scan.outcome(), inlet.map_or(0, Inlet::dropped)) {
        (Some(outcome), _) => outcome,
        (None, 0) => attempt.silence("not all packets left"),
        (None, dropped) => {
            ProbeOutcome::NotRun { why: format!("{dropped} packets that arrived were not read") }
        }
    })
}

/// The outcome of a scan that could not send. Without a route no packet leaves, which is an outcome of its own.
async fn failed(
    attempt: &Attempt,
    scan: &impl Scan,
    inlet: Option<&Inlet>,
    error: io::Error,
) -> io::Result<ProbeOutcome> {
    if !attempt.has_sent() {
        return Err(error);
    }
    listen(scan, inlet, attempt.answer_timeout()).await?;
    Ok(match scan.outcome() {
        Some(heard) if scan.is_settled() => heard,
        _ => attempt.unfinished(&error.to_string()),
    })
}

async fn send(
    attempt: &Attempt,
    scan: &impl Scan,
    places: &[usize],
    outlet: &Outlet,
    inlet: Option<&Inlet>,
) -> io::Result<()> {
    let (first, others) = places.split_at(usize::from(!attempt.has_sent()).min(places.len()));
    let together = first.chunks(1).chain(others.chunks(attempt.at_once()));
    for places in together {
        attempt.turns(places.len()).await;
        attempt.starts();
        let packets: Vec<Vec<u8>> = places.iter().map(|place| scan.packet(*place)).collect();
        let is_first = !attempt.has_sent();
        outlet.send(&packets, |sent| attempt.sent(sent)).await?;
        if is_first && outlet.is_resolving() {
            sleep(RESOLVING).await;
        }
        if let Some(inlet) = inlet {
            inlet.drain(|packet| scan.hear(packet))?;
        }
        tokio::task::yield_now().await; // the deadline, and other probes
    }
    Ok(())
}

/// Listens for this long, or until all packets are answered.
async fn listen(scan: &impl Scan, inlet: Option<&Inlet>, time: Duration) -> io::Result<()> {
    let Some(inlet) = inlet else { return Ok(()) };
    let end = Instant::now() + time;
    loop {
        let is_over = Instant::now() >= end;
        let is_empty = inlet.drain(|packet| scan.hear(packet))?;
        // The socket was read after the end: what arrived before it was heard, even if the prober was stopped.
        if scan.is_complete() || (is_over && is_empty) {
            return Ok(());
        }
        if is_empty {
            inlet.wait(end).await?;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// The rounds of a scan with this many packets.
fn rounds(packets: usize) -> u32 {
    Ask::rounds(packets as u64)
}
