//! What a run brought back: what every prober answered and every witness saw.
//!
//! Made by whoever runs the plan, read by [`judge`](super::judge). What is missing in here is missing: nothing in
//! here stands for *nothing happened* but an answer that says so, and a witness that was there all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use probe::{Answer, Arrival, Nonce, Report, Said, VERSION};

use super::subject::After;
use super::viewpoint::Viewpoint;

/// What a run brought back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// What became of each probe.
    pub answers: BTreeMap<Nonce, Answer>,
    /// What the prober of a viewpoint was started by, as one would type it, without its standard input.
    pub commands: BTreeMap<Viewpoint, String>,
    /// Why the prober of a viewpoint could not be run to its end.
    pub broken: BTreeMap<Viewpoint, String>,
    /// What the witnesses saw, by their identity.
    pub watches: BTreeMap<String, Watch>,
    /// What is known only now.
    pub after: After,
    /// How long each part of the run took, in their order.
    pub phases: Vec<Phase>,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Which: `set`, `learn`, `ask`, `ask, routed`, `ask, by the hypervisor`, `hear`.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
}

impl Phase {
    /// A part that began then and ends now.
    pub(super) fn since(name: &'static str, begun: Instant) -> Self {
        Self { name, took: begun.elapsed() }
    }
}

impl Observed {
    /// Takes in what a prober said. One that did not come to its end, or that miscounts, is broken: what it said
    /// before still counts.
    pub fn heard(&mut self, from: &Viewpoint, said: impl IntoIterator<Item = Said>) {
        let (mut count, mut end) = (0, None);
        for line in said {
            match line {
                Said::Answer(answer) => {
                    count += 1;
                    self.answers.insert(answer.nonce.clone(), answer);
                }
                Said::End { answers } => end = Some(answers),
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

/// What one witness saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    /// It said that it listens before the first probe was sent, under the identity that was expected.
    pub ready: bool,
    /// It still ran after the last probe.
    pub alive: bool,
    /// How many packets it could not report.
    pub lost: u64,
    /// What arrived.
    pub arrivals: Vec<Arrival>,
    /// Why what it said could not be read.
    pub unreadable: Option<String>,
}

impl Watch {
    /// What a witness said, in its order. Whether it was alive afterwards is for the caller to say.
    pub fn of(identity: &str, reports: impl IntoIterator<Item = Report>, alive: bool) -> Self {
        let mut watch = Self { alive, ..Self::default() };
        for report in reports {
            match report {
                Report::Ready { version, identity: said, .. } if version == VERSION && said == identity => {
                    watch.ready = true;
                }
                Report::Ready { version, identity: said, .. } => {
                    watch.unreadable =
                        Some(format!("witness '{said}' with format {version} answered instead"));
                }
                Report::Arrived(arrival) => watch.arrivals.push(arrival),
                Report::Lost { packets } => watch.lost += packets,
            }
        }
        watch
    }

    /// Whether it saw this nonce.
    pub(super) fn has_seen(&self, nonce: &Nonce) -> bool {
        self.arrivals.iter().any(|arrival| arrival.nonce == *nonce)
    }

    /// Why its silence proves nothing; nothing when it does.
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
