//! The isolation audit: proves, by traffic, that no instance reaches another.
mod subject;
mod viewpoint;
mod verdict;
mod class;
mod cells;
mod observed;
mod run;
mod judge;
mod report;
#[cfg(test)]
mod sample;

pub use cells::{Barrier, Cell, CellWay, Plan, PlanError, Selection};
pub use class::{
    Asked, Class, ClassId, Coverage, Fact, Injection, Lack, Proof, Question, Questions, Scene, Towards,
    UnknownClass, Way,
};
pub use judge::{Evidence, Party, Sent, WitnessState, judge};
pub use observed::{Observed, Watch};
pub use report::{
    Acceptance, CellReport, ClassReport, Counts, EvidenceReport, Group, KERNEL, PairReport, ProbeReport,
    Report, VERSION, WitnessReport, accepted_on,
};
pub use run::{AuditError, Stage, StageError, WorkstationError, audit};
pub use subject::{
    After, Authority, AuthorityRole, CLOSED_PORT, ClientCertificate, CredentialSet, Destroyed, DnsSubject,
    Host, Link, Machine, NodeSubject, PodWitness, Search, Secret, Subject, TCP_PORT, UDP_PORT,
};
pub use verdict::{Judgement, Outcome, Verdict};
pub use viewpoint::{Stand, Target, Viewpoint, WORKSTATION};
