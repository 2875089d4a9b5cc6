//! What can go wrong between two instances: every class of leak that the audit knows, as data.
//!
//! A class says what it would mean, from where it is asked, what is asked, how the answer is judged, and which
//! [`Injection`] opens exactly this leak. A class that is not covered says why. Questions are made by pure
//! functions of a [`Scene`]; the same function makes the question across, its control and the target's own
//! control, so that they cannot differ. [`Plan`](super::Plan) turns them into cells.

mod id;
mod coverage;
mod injection;
mod questions;
mod link;
mod network;
mod host;
mod control;
mod after;

use probe::{Ask, Sight};
use provisioner::spec::EngineKind;

use super::subject::{Host, Subject};
use super::viewpoint::{Stand, Viewpoint};

pub use coverage::{Coverage, Coverages};
pub use id::{ClassId, UnknownClass};
pub use injection::Injection;

/// One class of leak.
#[derive(Debug)]
pub struct Class {
    /// Its id.
    pub id: ClassId,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What a leak of this class would mean.
    pub means: &'static str,
    /// From where it is asked.
    pub from: &'static [Stand],
    /// Of whom it is asked.
    pub towards: Towards,
    /// How it is asked.
    pub way: Way,
    /// Of whose nodes it can be asked.
    pub coverage: Coverages,
    /// What opens exactly this leak. What nothing opens anywhere, nothing proves: it counts as not covered.
    pub injection: Option<Injection>,
}

/// Of whom a class is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Every other instance. The target's own control comes from its own viewpoint of the same kind.
    Instances,
    /// The workstation, whose own control is asked by itself.
    Workstation,
    /// Every other instance, and the workstation.
    Everybody,
    /// Addresses at the workstation at which nobody must live, so that the target has no control of its own.
    Nobody,
}

/// How a class is asked.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// By probes, each with a nonce.
    Probes(Questions),
    /// By looking at the same from both sides: what both see is shared.
    Look(Sight),
    /// By comparing what is known, without a probe.
    Fact(Fact),
}

/// The questions of a class in a scene. None at all means that this viewpoint has nothing to ask.
pub type Questions = fn(&Scene<'_>) -> Result<Vec<Question>, Lack>;

/// What an instance would need, so that the question could be asked of it, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack(pub String);

/// What is compared where no probe is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Ports of the host that lead into an instance (H3).
    Forwards,
    /// `route_localnet` on the host (H5).
    RouteLocalnet,
    /// Machine ids, host keys, UUIDs of machines and nodes (H12).
    Machines,
    /// Context → server → authority → UID (C6).
    Identity,
    /// SSH keys that are let in (C8).
    Keys,
    /// Writable files of image stores and disks (C9).
    Stores,
    /// Secrets of the other in files of this one (C10).
    Secrets,
    /// What the run left behind (T1).
    Left,
    /// What a successor found of its predecessor (T2).
    Inherited,
    /// What became of the others when one was destroyed (T3).
    Destroyed,
    /// Networks of every kind against every kind, and the host's (S1).
    Networks,
    /// Authorities and keys, all distinct (S2).
    Authorities,
    /// The registry against what is really there (S3).
    Registry,
}

/// Everything that a question depends on.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Where it is asked.
    pub viewpoint: &'a Viewpoint,
    /// Whose credentials are shown, and whose addresses the viewpoint has.
    pub source: &'a Subject,
    /// Of whom.
    pub target: Asked<'a>,
    /// What else is on the workstation.
    pub host: &'a Host,
}

/// Of whom a question is asked: of the source itself in a control.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// An instance.
    Instance(&'a Subject),
    /// The workstation.
    Workstation,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The cell's protocol; a question, its control and the target's own control have the same.
    pub protocol: &'static str,
    /// What to try.
    pub ask: Ask,
    /// What counts as reaching the target.
    pub proof: Proof,
}

/// What counts as reaching the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The target's witness sees the nonce as soon as it arrives; any answer by the target counts too.
    Witnessed,
    /// Any answer by the target; no witness can see the nonce.
    Answer,
    /// Any answer, by whomever: the question is whether somebody answers in the target's place (L4).
    AnyAnswer,
    /// An address in the answer of a name server.
    Address,
    /// HTTP 2xx; 401 is the refusal that is wanted. Everything else says neither.
    Login,
    /// Any HTTP status; that one side refuses the other's certificate is what is wanted.
    Handshake,
}

impl Class {
    /// All classes, in the order of the reports.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [link::CLASSES, network::CLASSES, host::CLASSES, control::CLASSES, after::CLASSES]
            .into_iter()
            .flatten()
    }

    /// A class by its id.
    pub fn of(id: ClassId) -> &'static Self {
        Self::all()
            .find(|class| class.id == id)
            .unwrap_or_else(|| panic!("class {id} is in no list of classes"))
    }

    /// Whether it can be asked of instances of this engine, and would be seen.
    pub fn coverage(&self, engine: EngineKind) -> Coverage {
        match (self.coverage.on(engine), self.injection) {
            (Coverage::Covered, None) => {
                Coverage::NotCovered("no injection proves that the audit detects this class")
            }
            (coverage, _) => coverage,
        }
    }
}
