//! Every class of leak between two instances that the audit knows, as data.
//!
//! A class has a meaning, the parts of a subject that it needs, the viewpoints and targets of its probes, the probes
//! themselves, the rule that judges their answers, and the [`Injection`] that makes exactly this leak. Probes come from
//! pure functions of a [`Scene`]. One function makes the probe across instances and both of its controls, so they cannot
//! differ. [`Plan`](super::Plan) turns them into cells.

mod id;
mod injection;
mod questions;
mod link;
mod ports;
mod network;
mod host;
mod control;
mod after;
mod structure;

use probe::{Ask, Sight};

use super::structure::DifferenceKind;
use super::subject::{HostSubject, Part, Subject};
use super::viewpoint::{Stand, Viewpoint};

pub use id::{ClassId, UnknownClass};
pub use injection::Injection;

/// One class of leak.
#[derive(Debug)]
pub struct Class {
    /// Its id, such as N3.
    pub id: ClassId,
    /// A few words: `TCP, open port`.
    pub title: &'static str,
    /// The meaning of a leak of this class, as the end of the sentence "A leak would mean: …".
    pub means: &'static str,
    /// The kinds of viewpoint that probe it.
    pub from: &'static [Stand],
    /// The targets of its probes.
    pub towards: Towards,
    /// The method: probes, inspection, or a comparison of facts.
    pub way: Method,
    /// The parts that the source needs, and the target where it is an instance. Where one is missing, the class is not
    /// covered.
    pub needs: &'static [Part],
    /// The parts that only the source needs.
    pub source_needs: &'static [Part],
    /// Whether the class has something to ask, by what was found in this run.
    pub applies: Applicability,
    /// Why an audit does not ask the class, as a sentence: it would destroy or exhaust something. `None` for a class that
    /// every audit asks.
    pub on_request: Option<&'static str>,
    /// The injection that makes exactly this leak; `None` where no audit asks the class.
    pub injection: Option<Injection>,
}

/// Finds out whether a class has something to ask from a source to a target (`None`: the host), by what was found in
/// this run. Pure.
pub type Applicability = fn(&Subject, Option<&Subject>) -> Applies;

/// Whether a class has something to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applies {
    /// It has.
    Yes,
    /// It has not: the evidence, as a sentence.
    No(String),
    /// It is not known: the reason, as a sentence.
    Unknown(String),
}

/// The applicability of classes that always have something to ask.
fn always(_: &Subject, _: Option<&Subject>) -> Applies {
    Applies::Yes
}

/// The targets of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Every other instance. The control at the target comes from the target's viewpoint of the same kind.
    Instances,
    /// The host. The host itself sends the control at the target.
    Host,
    /// Every other instance, and the host.
    InstancesAndHost,
    /// Addresses at which no system must answer, such as 169.254.169.254. So there is no control at the target.
    UnusedAddresses,
}

/// The method of a class.
#[derive(Debug, Clone, Copy)]
pub enum Method {
    /// Probes, each with a nonce.
    Probes(Questions),
    /// Inspection of nodes on both sides: an object that both sides see is shared.
    Look(Sight),
    /// Frames that reach the target's witnesses without a question.
    Listen,
    /// Comparison of known facts, without a probe.
    Fact(Fact),
}

/// The probes of a class in a scene. An empty list means that this viewpoint has no probe for the class.
pub type Questions = fn(&Scene<'_>) -> Result<Vec<Question>, MissingPart>;

/// A missing requirement: why a class cannot be probed between these instances, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPart(pub String);

/// The fact that is compared where no probe is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Ports of the host that lead into an instance (H3).
    Forwards,
    /// `route_localnet` on the host (H5).
    RouteLocalnet,
    /// Machine ids, SSH host keys, UUIDs of VMs, UIDs of nodes (H12).
    NodeIdentities,
    /// Context → server → authority → UID (C6).
    Identity,
    /// SSH keys that a node accepts (C8).
    Keys,
    /// Writable files of image stores and disks (C9).
    Stores,
    /// Secrets of the target in files of the source (C10).
    Secrets,
    /// Objects that the run left on the host (T1).
    Left,
    /// Data of a destroyed instance that its successor found (T2).
    Inherited,
    /// Changes in other instances when one was destroyed (T3).
    Destroyed,
    /// Networks of every kind against every kind, and against the host's (S1).
    Networks,
    /// Authorities and keys, which must all be distinct (S2).
    Authorities,
    /// The registry against the objects that the engines report (S3).
    Registry,
    /// What is on the host against what was planned (S4 to S15).
    Structure(DifferenceKind),
}

/// The input from which the probes of a class are made.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The viewpoint that sends the probes.
    pub viewpoint: &'a Viewpoint,
    /// The instance whose credentials the probes carry, and whose addresses the viewpoint has.
    pub source: &'a Subject,
    /// The target. In the control at the source, it is the source.
    pub target: Asked<'a>,
    /// The host, with its addresses and listeners.
    pub host: &'a HostSubject,
    /// How much is asked where a question has many ports, protocols or kinds of frames.
    pub depth: Depth,
}

/// How much a viewpoint asks where a question has many ports, protocols or kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// A few well-known ports.
    Few,
    /// A sample: well-known ports and those of NodePorts.
    Sample,
    /// Every port, protocol and EtherType.
    Everything,
}

/// The target of a probe.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// An instance.
    Instance(&'a Subject),
    /// The host.
    Host,
}

/// One probe before it has a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The cell's protocol. A probe and both of its controls have the same one.
    pub protocol: &'static str,
    /// What the prober tries.
    pub ask: Ask,
    /// The evidence that the target was reached.
    pub proof: Proof,
}

/// The evidence that the target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The target's witness sees the nonce as soon as it arrives. An answer or a refusal of the target counts as well.
    Witnessed,
    /// Any answer or refusal of the target. No witness can see the nonce.
    Answer,
    /// Any answer of any system: the leak is that another system answers in the target's place (L4).
    AnyAnswer,
    /// An address in the answer of a name server. NXDOMAIN and NODATA do not reach the target; every other answer is
    /// inconclusive.
    Address,
    /// HTTP 2xx and 403 reach the target, which knows the credentials then; 401 does not. Every other answer is
    /// inconclusive.
    Login,
    /// HTTP 2xx reaches the target; 401 and 403 do not. Every other answer is inconclusive.
    Access,
    /// Any HTTP status reaches the target. A TLS refusal, because one side does not trust the other's certificate, does
    /// not. Every other answer is inconclusive.
    Handshake,
}

impl Class {
    /// A class that every audit asks and that always has something to ask.
    const fn new(
        id: ClassId,
        (title, means): (&'static str, &'static str),
        (from, towards): (&'static [Stand], Towards),
        way: Method,
        needs: &'static [Part],
        injection: Injection,
    ) -> Self {
        Self {
            id,
            title,
            means,
            from,
            towards,
            way,
            needs,
            source_needs: &[],
            applies: always,
            on_request: None,
            injection: Some(injection),
        }
    }

    /// The class with other needs.
    const fn needing(self, needs: &'static [Part]) -> Self {
        Self { needs, ..self }
    }

    /// The class with needs of the source alone.
    const fn needing_at_source(self, source_needs: &'static [Part]) -> Self {
        Self { source_needs, ..self }
    }

    /// The class, asked only where it applies.
    const fn where_it(self, applies: Applicability) -> Self {
        Self { applies, ..self }
    }

    /// The class, which no audit asks, with the reason.
    const fn on_request(self, why: &'static str) -> Self {
        Self { on_request: Some(why), ..self }
    }

    /// All classes, in the order of the lists: L, N, H, C, T, S.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let all = [link::CLASSES, network::CLASSES, host::CLASSES, control::CLASSES, after::CLASSES];
        all.into_iter().chain([structure::CLASSES]).flatten()
    }

    /// The class with this id.
    ///
    /// # Panics
    /// When no list of classes has the id.
    pub fn of(id: ClassId) -> &'static Self {
        Self::all()
            .find(|class| class.id == id)
            .unwrap_or_else(|| panic!("class {id} is in no list of classes"))
    }
}
