//! What a verdict rests on: every probe with its answer and its arrivals, and the state of every witness.

use std::net::{IpAddr, SocketAddr};

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
    /// The witnesses next to its prober: what they see may never have left the node, and proves no arrival.
    pub beside: Vec<String>,
    /// The witness that lives at the address that was asked: others see the packet pass, at the most. Nothing where
    /// everybody on a link is asked.
    pub due: Option<String>,
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
    /// Whether it arrived at somebody: at the witness that it was meant for, or at any one but those next to its prober
    /// where it was meant for all.
    pub fn is_at(&self, owner: &str) -> bool {
        let arrived = |witness: &str| match &self.due {
            Some(due) => due == witness,
            None => !self.beside.iter().any(|beside| beside == witness),
        };
        self.arrivals.iter().any(|(whose, witness, _)| whose == owner && arrived(witness))
    }

    /// Where it was sent to; nothing where that is no address.
    pub fn to(&self) -> Option<IpAddr> {
        address(self.ask.as_ref()?)
    }

    /// Whether it is sent to everybody on a link: then the own neighbours' answers are no surprise.
    pub fn is_to_a_group(&self) -> bool {
        matches!(self.ask, Some(Ask::Group { .. } | Ask::Advertise { .. }))
    }
}

/// Where a question goes; nothing where that is no address.
pub(super) fn address(ask: &Ask) -> Option<IpAddr> {
    Some(match ask {
        Ask::Syn { to, .. } | Ask::Raw { to, .. } => (*to).into(),
        Ask::Ping { to, .. } => *to,
        Ask::Arp { target, .. } => (*target).into(),
        Ask::Neighbour { target, .. } => (*target).into(),
        Ask::Advertise { .. } | Ask::Unix { .. } | Ask::Look { .. } => return None,
        other => end(other)?.ip(),
    })
}

/// The only port that a question goes to.
pub(super) fn port(ask: &Ask) -> Option<u16> {
    end(ask).map(|to| to.port())
}

fn end(ask: &Ask) -> Option<SocketAddr> {
    match ask {
        Ask::Tcp { to } | Ask::HeldTcp { to, .. } | Ask::Udp { to, .. } | Ask::Group { to, .. } => Some(*to),
        Ask::Overlay { to, .. } | Ask::Https { to, .. } | Ask::Dns { server: to, .. } => Some(*to),
        _ => None,
    }
}
