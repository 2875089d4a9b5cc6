//! The record of the operation that changes an instance. The ledger has it before the operation begins, so that two
//! commands exclude each other, and the next command knows that an earlier one was killed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Owner;

/// An operation in progress, or one whose process was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The kind of the operation.
    pub kind: OperationKind,
    /// The process that runs it.
    pub owner: Owner,
    /// When it began; in entries of format 2 and older, when the instance was claimed.
    pub since: Timestamp,
}

/// The operations on an instance, of which one at a time is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Create the instance.
    Create,
    /// Remove the instance with all its data.
    Destroy,
    /// Freeze the nodes: they keep their memory and get no processor.
    Pause,
    /// Let paused nodes continue.
    Resume,
    /// Shut the nodes down.
    Halt,
    /// Boot the nodes.
    Start,
    /// Add workers.
    AddWorkers,
    /// Remove a worker.
    RemoveWorker,
    /// Renew the certificates of the nodes.
    RenewCertificates,
}

impl OperationKind {
    /// The name in the registry's file, such as `add-workers`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Destroy => "destroy",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Start => "start",
            Self::AddWorkers => "add-workers",
            Self::RemoveWorker => "remove-worker",
            Self::RenewCertificates => "renew-certificates",
        }
    }
}

/// The end of a sentence that begins with "process 4711 has begun to".
impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create it",
            Self::Destroy => "destroy it",
            Self::Pause => "pause it",
            Self::Resume => "resume it",
            Self::Halt => "halt it",
            Self::Start => "start it",
            Self::AddWorkers => "add workers to it",
            Self::RemoveWorker => "remove a worker from it",
            Self::RenewCertificates => "renew its certificates",
        })
    }
}

impl Operation {
    /// The record of an operation that begins now.
    pub fn begin(kind: OperationKind, owner: Owner) -> Self {
        Self { kind, owner, since: Timestamp::now() }
    }
}
