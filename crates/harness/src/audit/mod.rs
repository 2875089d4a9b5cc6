//! The isolation audit: proves, by traffic, that no instance reaches another.
//!
//! A probe can seem *blocked* by accident: a prober that crashed, a pod that never ran and a host without `ping` all
//! give that impression. So a cell is isolated only after every other explanation was excluded. Decisions and effects
//! are kept apart:
//!
//! 1. [`Subject`] and [`HostSubject`]: the known facts of each instance and of the host, before a packet is sent.
//! 2. [`Class`]: every kind of leak as data: its meaning, its probes, and the [`Injection`] that makes such a leak.
//! 3. [`Plan`]: the cells, one for each viewpoint, target, class and protocol. Each cell has a *control* at the source
//!    (the same probe to the viewpoint's own instance) and a control at the target (the same probe from within the
//!    target). All probes of one viewpoint are one batch for one prober.
//! 4. [`Observed`]: the results of the run. Probers report answers, witnesses report arrivals, and a last probe for
//!    each witness, the [`Barrier`], shows that the witness still worked at the end.
//! 5. [`judge`]: one [`Verdict`] for each cell. The receiver decides: a nonce that a witness saw is a leak, whatever
//!    the sender reports. Missing evidence gives [`Verdict::Inconclusive`], never a pass.
//! 6. [`Report`]: the results as one value with many renderings; [`Report::assert_isolated`] for tests.
//!
//! [`audit()`] runs these steps on running clusters. Only `run` and `inject` touch clusters and the host. Everything
//! else is pure: times and the run's number are arguments.

mod declared;
mod subject;
mod ipv6;
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
mod structure;
#[cfg(test)]
mod sample;

pub use cells::{Barrier, Cell, CellMethod, NotAsked, Plan, Selection, SelectionError};
pub use class::{
    Applicability, Applies, Asked, Class, ClassId, Depth, Fact, Injection, Method, MissingPart, Proof,
    Question, Questions, Scene, Towards, UnknownClass,
};
pub use declared::{DeclaredPath, DeclaredProtocol};
pub use inject::InjectError;
pub use judge::{Evidence, Party, Sent, WitnessState, judge};
pub use observed::{Observed, Phase, Watch};
pub use report::{
    Acceptance, CellReport, ClassReport, Counts, EvidenceReport, Group, LeftOut, PairReport, PhaseReport,
    ProbeReport, Report, VERSION, WitnessReport,
};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use run::read_forwards;
pub use run::{
    AuditError, AuditProgress, Audited, HostProbesError, InstanceProbes, ProbedCluster, ProbesError, Step,
    audit,
};
pub use self_test::{
    Campaign, CampaignScore, Detection, DrawnDetection, DrawnRow, Row, Score, SelfTestError, campaign,
    self_test,
};
pub use structure::{Difference, DifferenceKind, Effect, Explanation, Structure};
pub use subject::{
    After, ApiServer, AuthorityRole, CLOSED_PORT, ClientCertificate, CredentialSet, Destroyed, DnsSubject,
    HostSubject, Kernel, KnownAuthority, KnownCertificate, LinkWitness, Management, Neighbour, NodeIdentity,
    NodeSubject, NodeTraces, Part, Parts, PodWitness, Property, Search, Secret, Subject, TCP_PORT, Trust,
    TrustAnchor, UDP_PORT, Uplink,
};
pub use verdict::{AuditOutcome, Judgement, Verdict};
pub use viewpoint::{HOST, Route, Stand, Target, Viewpoint};
