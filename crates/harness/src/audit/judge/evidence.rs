//! The evidence of a verdict: every probe with its answer and its arrivals, and the state of every witness.

use std::net::{IpAddr, SocketAddr};

use probe::{Answer, Arrival, Ask, Nonce};

use crate::audit::class::Proof;
use crate::audit::declared::DeclaredPath;
use crate::audit::viewpoint::Viewpoint;

/// The evidence of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The evidence that the target was reached.
    pub proof: Proof,
    /// The source.
    pub source: Party,
    /// The target.
    pub target: Party,
    /// The probes from the source to the target.
    pub cross: Vec<Sent>,
    /// The control at the source: the same probes within the source's instance.
    pub control: Vec<Sent>,
    /// The control at the target: the same probes within the target. `None` where no system must answer at the target.
    pub own: Option<Vec<Sent>>,
    /// The target's witnesses.
    pub witnesses: Vec<WitnessState>,
    /// The paths from the source to the target that are open on purpose.
    pub declared: Vec<DeclaredPath>,
}

/// The source or the target of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// Its addresses: an answer from one of them is its answer.
    pub addresses: Vec<IpAddr>,
    /// The identities of its witnesses: an answer with one of them is its answer.
    pub witnesses: Vec<String>,
}

/// A probe with its answer and its arrivals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its nonce.
    pub nonce: Nonce,
    /// The viewpoint that sent it; `None` where the plan has no such probe.
    pub from: Option<Viewpoint>,
    /// The probe itself; `None` where the plan has no such probe.
    pub ask: Option<Ask>,
    /// The command of its prober.
    pub command: Option<String>,
    /// The answer that its prober reported; `None` where it reported none.
    pub answer: Option<Answer>,
    /// Why its prober did not finish; `None` where it did.
    pub broken: Option<String>,
    /// The witnesses on the prober's node. A packet that they see may never have left the node, so they prove no
    /// arrival.
    pub beside: Vec<String>,
    /// The witness at the destination address. An arrival at another witness shows the packet in transit only. `None`
    /// for a multicast or broadcast, and for an address without a witness.
    pub due: Option<String>,
    /// Its arrivals: the instance of the witness, the identity of the witness, and the arrival.
    pub arrivals: Vec<(String, String, Arrival)>,
}

/// Whether the silence of a witness proves that no probe arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessState {
    /// The identity of the witness.
    pub witness: String,
    /// Why the silence proves nothing; `None` where it is proof.
    pub doubt: Option<String>,
}

impl Sent {
    /// Whether the probe arrived at this owner: at the witness at its destination, or, where [`Self::due`] is `None`,
    /// at any witness of the owner that is not on the prober's node.
    pub fn is_at(&self, owner: &str) -> bool {
        let arrived = |witness: &str| match &self.due {
            Some(due) => due == witness,
            None => !self.beside.iter().any(|beside| beside == witness),
        };
        self.arrivals.iter().any(|(whose, witness, _)| whose == owner && arrived(witness))
    }

    /// The destination address; `None` for probes without one.
    pub fn to(&self) -> Option<IpAddr> {
        address(self.ask.as_ref()?)
    }

    /// Whether the probe went to all systems on a link, so that neighbours in the source's own instance may answer.
    pub fn is_to_a_group(&self) -> bool {
        matches!(self.ask, Some(Ask::Group { .. } | Ask::Advertise { .. }))
    }
}

/// The destination address of a probe; `None` for probes without one.
pub(super) fn address(ask: &Ask) -> Option<IpAddr> {
    Some(match ask {
        Ask::Raw { to, .. } => (*to).into(),
        Ask::Syn { to, .. } | Ask::Datagrams { to, .. } | Ask::Protocols { to, .. } => *to,
        Ask::Ping { to, .. } => *to,
        Ask::Arp { target, .. } => (*target).into(),
        Ask::Neighbour { target, .. } => (*target).into(),
        Ask::Advertise { .. } | Ask::Unix { .. } | Ask::Look { .. } => return None,
        Ask::Frames { .. } | Ask::NextHops { .. } => return None,
        other => end(other)?.ip(),
    })
}

/// The destination port of a probe; `None` for probes without exactly one port.
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
