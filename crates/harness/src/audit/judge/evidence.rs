//! What a verdict rests on: every probe with its answer and its arrivals, and the state of every witness.

use std::net::IpAddr;

use probe::{Answer, Arrival, Ask, Nonce};

use crate::audit::class::Proof;
use crate::audit::viewpoint::Viewpoint;

/// Everything that was seen of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What counts as reaching the target.
    pub proof: Proof,
    /// Who asked.
    pub source: Party,
    /// Who was asked.
    pub target: Party,
    /// The question.
    pub cross: Vec<Sent>,
    /// The control: asked of the source's own instance.
    pub control: Vec<Sent>,
    /// The target's own control; `None` where nobody must be there.
    pub own: Option<Vec<Sent>>,
    /// The target's witnesses.
    pub witnesses: Vec<WitnessState>,
}

/// One side of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// What answers from one of these is it.
    pub addresses: Vec<IpAddr>,
    /// What answers under one of these names is it.
    pub witnesses: Vec<String>,
}

/// A probe, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What it carries.
    pub nonce: Nonce,
    /// From where.
    pub from: Option<Viewpoint>,
    /// What was asked.
    pub ask: Option<Ask>,
    /// The command of its prober.
    pub command: Option<String>,
    /// What its prober says; nothing when it said nothing.
    pub answer: Option<Answer>,
    /// Why its prober did not come to its end.
    pub broken: Option<String>,
    /// The witness next to its prober: what it sees may never have left the node, and proves no arrival.
    pub beside: Option<String>,
    /// Where it arrived: whose witness, which witness, what it saw.
    pub arrivals: Vec<(String, String, Arrival)>,
}

/// Whether a witness's silence means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessState {
    /// Which.
    pub witness: String,
    /// Why it does not; nothing when it does.
    pub doubt: Option<String>,
}

impl Sent {
    /// Whether it arrived at a witness of somebody, other than the one next to its prober.
    pub fn is_at(&self, owner: &str) -> bool {
        let beside = self.beside.as_deref();
        self.arrivals.iter().any(|(whose, witness, _)| whose == owner && beside != Some(witness))
    }

    /// Where it was sent to.
    pub fn to(&self) -> Option<IpAddr> {
        Some(match self.ask.as_ref()? {
            Ask::Tcp { to } | Ask::HeldTcp { to, .. } | Ask::Udp { to, .. } | Ask::Group { to, .. } => {
                to.ip()
            }
            Ask::Overlay { to, .. } | Ask::Https { to, .. } | Ask::Dns { server: to, .. } => to.ip(),
            Ask::Syn { to, .. } | Ask::Raw { to, .. } => (*to).into(),
            Ask::Ping { to, .. } => *to,
            Ask::Arp { target, .. } => (*target).into(),
            Ask::Neighbour { target, .. } => (*target).into(),
            Ask::Advertise { .. } | Ask::Unix { .. } | Ask::Look { .. } => return None,
        })
    }

    /// Whether it is sent to everybody on a link: then the own neighbours' answers are no surprise.
    pub fn is_to_a_group(&self) -> bool {
        matches!(self.ask, Some(Ask::Group { .. } | Ask::Advertise { .. }))
    }
}
