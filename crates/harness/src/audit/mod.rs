//! The isolation audit: proves, by traffic, that no instance reaches another.
//!
//! *Blocked* is easy to see by accident: a prober that crashed, a pod that never ran and a host without `ping` all look
//! like it. So a pass is what is left when everything else was ruled out, one by one, and the flow keeps apart what is
//! decided from what is done:
//!
//! 1. [`Subject`] and [`Host`]: what is known of each instance and of the workstation, before a packet is sent.
//! 2. [`Class`]: every kind of leak, as data: what it would mean, what asks for it, which [`Injection`] opens it.
//! 3. [`Plan`]: the cells, one for each viewpoint, target, class and protocol. Each carries its *control* (the same
//!    question to the viewpoint's own instance) and the target's own control (the same from within the target). All
//!    that one viewpoint asks is one batch for one prober.
//! 4. [`Observed`]: what the run brought back. Probers answer, witnesses tell what arrived, and a last probe, the
//!    [`Barrier`], shows that each of them still saw something at the end.
//! 5. [`judge`]: one [`Verdict`] for each cell. The receiver decides: a nonce that a witness saw is a leak, whatever
//!    the sender says. What is missing is [`Verdict::Inconclusive`], never a pass.
//! 6. [`Report`]: what all of it means, as one value with many renderings; [`Report::assert_isolated`] for tests.
//!
//! [`audit()`] is all of it on running clusters. Only `run` and `inject` touch anything: everything else is pure, and times
//! and the run's number are arguments.

mod subject;
mod viewpoint;
mod verdict;
mod class;
mod cells;
mod observed;
mod run;
mod inject;
mod judge;
mod report;
mod self_test;
#[cfg(test)]
mod sample;

pub use cells::{Barrier, Cell, CellWay, Plan, PlanError, Selection};
pub use class::{
    Asked, Class, ClassId, Coverage, Coverages, Fact, Injection, Lack, Proof, Question, Questions, Scene,
    Towards, UnknownClass, Way,
};
pub use inject::InjectError;
pub use judge::{Evidence, Party, Sent, WitnessState, judge};
pub use observed::{Observed, Phase, Watch};
pub use report::{
    Acceptance, CellReport, ClassReport, Counts, EvidenceReport, Group, LeftOut, PairReport, PhaseReport,
    ProbeReport, Report, VERSION, WitnessReport, accepted_on,
};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use run::read_forwards;
pub use run::{AuditError, Progress, Stage, StageError, Step, WorkstationError, audit};
pub use self_test::{Detection, Row, Score, SelfTestError, self_test};
pub use subject::{
    After, Authority, AuthorityRole, CLOSED_PORT, ClientCertificate, CredentialSet, Destroyed, DnsSubject,
    Host, Link, LinkWitness, Management, NodeIdentity, NodeSubject, PodWitness, Search, Secret, Subject,
    TCP_PORT, UDP_PORT,
};
pub use verdict::{Judgement, Outcome, Verdict};
pub use viewpoint::{Route, Stand, Target, Viewpoint, WORKSTATION};
