//! Who needs an instance: its keeper in the long run, and the process that is changing it now.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::home::Home;

use super::{Instance, Liveness, OperationKind, Owner, Unjudged};

/// Who decides when an instance ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// An operator: the instance outlives every process, until `down`. Written as `"operator"`.
    Operator,
    /// A run of tests: the instance ends with this process. Written as `{"run": {"pid": 4711, …}}`.
    Run(Owner),
}

impl Keeper {
    /// The process whose end is the instance's end; none for an operator's.
    pub fn run(&self) -> Option<&Owner> {
        match self {
            Self::Operator => None,
            Self::Run(owner) => Some(owner),
        }
    }
}

/// Whether an instance is still needed, as far as can be told from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// An operator needs it, and no process is changing it.
    Operator,
    /// This process keeps or changes it, and runs.
    Process(&'a Owner),
    /// This process keeps it, or made or destroyed it last, and whether it runs cannot be found out from here.
    Unknown(&'a Owner, Unjudged),
    /// Nothing needs it: `reap` removes it.
    Abandoned(Abandoned),
}

/// Why nothing needs an instance. The number is the process id of a process that has ended.
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
    /// The process that changes it, or else the one that keeps it; none where an operator keeps it and no operation is
    /// recorded. It may have ended.
    pub fn process(&self) -> Option<&Owner> {
        self.operation.as_ref().map(|operation| &operation.owner).or(self.keeper.run())
    }

    /// Who still needs it. A creation or a destruction that ended in the middle leaves nothing that an operator could
    /// use; every other operation can be repeated, and leaves the instance with its keeper.
    pub fn need(&self, home: &Home) -> Need<'_> {
        self.need_by(|owner| owner.liveness(home))
    }

    /// Whether nothing needs it: `reap` removes it.
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
