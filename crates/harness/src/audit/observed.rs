//! The results of a run: the answers of every prober, and the arrivals at every witness.
//!
//! The runner of the plan makes them, and [`judge`](super::judge) reads them. A missing entry never means that nothing
//! happened. Only an answer that says so, and the silence of a witness that ran for the whole audit, mean that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use probe::{Answer, Arrival, Nonce, Peer, ProbeResult, VERSION, WitnessLine};

use super::subject::After;
use super::viewpoint::Viewpoint;

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The answer to each probe, as its prober reported it.
    pub answers: BTreeMap<Nonce, Answer>,
    /// The command that started the prober of a viewpoint, as typed in a shell, without its standard input.
    pub commands: BTreeMap<Viewpoint, String>,
    /// Why the prober of a viewpoint did not finish.
    pub broken: BTreeMap<Viewpoint, String>,
    /// The reports of the witnesses, by their identity.
    pub watches: BTreeMap<String, Watch>,
    /// Facts that are known only after the run.
    pub after: After,
    /// The duration of each part of the run, in their order.
    pub phases: Vec<Phase>,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// `deploy`, `facts`, `probe`, `probe, routed`, `probe, through the hypervisor`, `read` or `remove`.
    pub name: &'static str,
    /// Its duration.
    pub took: Duration,
}

impl Phase {
    /// A part that began at `begun` and ends now.
    pub(super) fn since(name: &'static str, begun: Instant) -> Self {
        Self { name, took: begun.elapsed() }
    }
}

impl Observed {
    /// Adds the output of a prober. A prober that did not report its end, or reported a wrong count, is marked as
    /// broken; the answers that were read still count.
    pub fn heard(&mut self, from: &Viewpoint, said: impl IntoIterator<Item = ProbeResult>) {
        let (mut count, mut end) = (0, None);
        for line in said {
            match line {
                ProbeResult::Answer(answer) => {
                    count += 1;
                    self.answers.insert(answer.nonce.clone(), answer);
                }
                ProbeResult::End { answers } => end = Some(answers),
            }
        }
        let why = match end {
            None => "the prober did not report its end".to_owned(),
            Some(said) if said != count => {
                format!("the prober reported {said} answers, but {count} were read")
            }
            Some(_) => return,
        };
        self.broken.entry(from.clone()).or_insert(why);
    }
}

/// The reports of one witness.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    /// The witness reported that it listens, before the first probe was sent and with the expected identity.
    pub ready: bool,
    /// The witness was still running after the last probe.
    pub alive: bool,
    /// The number of packets that it saw and could not report.
    pub lost: u64,
    /// The nonces that arrived.
    pub arrivals: Vec<Arrival>,
    /// The kinds of frames that arrived, with or without a nonce.
    pub peers: Vec<Peer>,
    /// The number of further kinds, which it did not report.
    pub peers_omitted: u64,
    /// Why its reports could not be read; `None` where they could.
    pub unreadable: Option<String>,
}

impl Watch {
    /// Collects the reports of a witness, in their order. The caller knows whether the witness was still running
    /// afterwards.
    pub fn of(identity: &str, reports: impl IntoIterator<Item = WitnessLine>, alive: bool) -> Self {
        let mut watch = Self { alive, ..Self::default() };
        for report in reports {
            match report {
                WitnessLine::Ready { version, identity: said, .. }
                    if version == VERSION && said == identity =>
                {
                    watch.ready = true;
                }
                WitnessLine::Ready { version, identity: said, .. } => {
                    watch.unreadable =
                        Some(format!("witness '{said}' with format {version} answered instead"));
                }
                WitnessLine::Arrived(arrival) => watch.arrivals.push(arrival),
                WitnessLine::Peer(peer) => watch.peers.push(peer),
                WitnessLine::PeersOmitted { peers } => watch.peers_omitted += peers,
                WitnessLine::Lost { packets } => watch.lost += packets,
            }
        }
        watch
    }

    /// The kinds of frames that the witness reported in a run: those after the first nonce of the run.
    pub(super) fn frames_of(&self, run: u32) -> impl Iterator<Item = &Peer> {
        let run = Nonce::new(run, 0);
        let own = self.arrivals.iter().filter(|arrival| arrival.nonce.run() == run.run());
        let began = own.map(|arrival| arrival.at_us).min();
        self.peers.iter().filter(move |peer| began.is_some_and(|began| peer.at_us >= began))
    }

    /// Whether the witness saw this nonce.
    pub(super) fn has_seen(&self, nonce: &Nonce) -> bool {
        self.arrivals.iter().any(|arrival| arrival.nonce == *nonce)
    }

    /// Why the silence of the witness proves nothing; `None` where it proves that no probe arrived. A witness must see
    /// at least one of its `barriers`.
    pub(super) fn doubt(&self, barriers: &BTreeSet<Nonce>) -> Option<String> {
        if let Some(why) = &self.unreadable {
            return Some(format!("its reports could not be read: {why}"));
        }
        if !self.ready {
            return Some("it was not listening before the first probe".to_owned());
        }
        if !self.alive {
            return Some("it was no longer running after the last probe".to_owned());
        }
        if self.lost > 0 {
            return Some(format!("it lost {} packets", self.lost));
        }
        let seen = self.arrivals.iter().any(|arrival| barriers.contains(&arrival.nonce));
        (!seen).then(|| "it did not see the barrier, the last probe that was sent to it".to_owned())
    }
}
