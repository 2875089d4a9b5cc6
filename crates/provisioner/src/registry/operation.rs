//! What is being done to an instance: recorded before it begins, so that two commands exclude each other and the next
//! one knows of a command that was killed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Owner;

/// An operation in progress, or one whose process was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What is done.
    pub kind: OperationKind,
    /// The process that does it.
    pub owner: Owner,
    /// When it began; in entries of format 2 and older, when the instance was claimed.
    pub since: Timestamp,
}

/// What can be done to an instance as a whole, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// It is brought up.
    Create,
    /// It is removed with all its data.
    Destroy,
    /// Its nodes get no processor any more.
    Pause,
    /// Its paused nodes go on.
    Resume,
    /// Its nodes are shut down.
    Halt,
    /// Its nodes boot.
    Start,
    /// It gets workers.
    AddWorkers,
    /// It loses a worker.
    RemoveWorker,
    /// The certificates of its nodes are issued anew.
    RenewCertificates,
}

impl OperationKind {
    /// Its name, as in the registry's file.
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

/// What follows "process 4711 has begun to".
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
    /// An operation that begins now.
    pub fn begin(kind: OperationKind, owner: Owner) -> Self {
        Self { kind, owner, since: Timestamp::now() }
    }
}
