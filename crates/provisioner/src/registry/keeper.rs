//! Whether an instance is still needed: by its keeper, which decides when it ends, or by a process that changes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::home::Home;

use super::{Instance, Liveness, OperationKind, Owner, UnknownLiveness};

/// The keeper of an instance decides when the instance ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// An operator: the instance outlives every process, until `down`. Written as `"operator"`.
    Operator,
    /// A run of tests: the instance ends with this process. Written as `{"run": {"pid": 4711, …}}`.
    Run(Owner),
}

impl Keeper {
    /// The process with which the instance ends; `None` for an operator's instance.
    pub fn run(&self) -> Option<&Owner> {
        match self {
            Self::Operator => None,
            Self::Run(owner) => Some(owner),
        }
    }
}

/// Whether an instance is still needed, as far as this process can find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// An operator keeps the instance, and no process is changing it.
    Operator,
    /// This process keeps or changes the instance, and it runs.
    Process(&'a Owner),
    /// This process keeps the instance, or was creating or destroying it. It is unknown whether the process runs.
    Unknown(&'a Owner, UnknownLiveness),
    /// No operator or process needs the instance: `reap` removes it.
    Abandoned(Abandoned),
}

/// Why an instance is abandoned. The number is the pid of the process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// The run of tests that kept it has ended.
    Run(u32),
    /// The process that was creating it has ended.
    Creation(u32),
    /// The process that was destroying it has ended.
    Destruction(u32),
}

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(pid) => write!(f, "its owner, process {pid}, is gone"),
            Self::Creation(pid) => write!(f, "process {pid}, which was creating it, is gone"),
            Self::Destruction(pid) => write!(f, "process {pid}, which was destroying it, is gone"),
        }
    }
}

impl Instance {
    /// The process of the recorded operation, or else the process that keeps the instance. `None` where an operator
    /// keeps the instance and no operation is recorded. The process may have ended.
    pub fn process(&self) -> Option<&Owner> {
        self.operation.as_ref().map(|operation| &operation.owner).or(self.keeper.run())
    }

    /// Whether the instance is still needed. An interrupted creation or destruction leaves an instance that an operator
    /// cannot use, so it counts as abandoned. Every other interrupted operation can be repeated, and the instance stays
    /// with its keeper.
    pub fn need(&self, home: &Home) -> Need<'_> {
        self.need_by(|owner| owner.liveness(home))
    }

    /// Whether the instance is abandoned: `reap` removes it.
    pub fn is_abandoned(&self, home: &Home) -> bool {
        matches!(self.need(home), Need::Abandoned(_))
    }

    /// Pure.
    fn need_by(&self, liveness: impl Fn(&Owner) -> Liveness) -> Need<'_> {
        let operation = self.operation.as_ref();
        if let Some(operation) = operation.filter(|it| liveness(&it.owner) == Liveness::Alive) {
            return Need::Process(&operation.owner);
        }
        let unfinished = operation.and_then(|it| match it.kind {
            OperationKind::Create => Some((&it.owner, Abandoned::Creation(it.owner.pid))),
            OperationKind::Destroy => Some((&it.owner, Abandoned::Destruction(it.owner.pid))),
            _ => None,
        });
        let run = self.keeper.run().map(|owner| (owner, Abandoned::Run(owner.pid)));
        let Some((owner, abandoned)) = run.or(unfinished) else { return Need::Operator };
        match liveness(owner) {
            Liveness::Alive => Need::Process(owner),
            Liveness::Dead => Need::Abandoned(abandoned),
            Liveness::Unknown(why) => Need::Unknown(owner, why),
        }
    }
}
