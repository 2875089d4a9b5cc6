//! Whether clusters fit on a machine: what they take, what is left, and the verdict with its figures. Pure.
//!
//! What containers take was measured, virtual machines take what they are given (`weight`); what the machine has is
//! read by `workstation`. Next in the flow: `registry` records what fits.

mod workstation;
mod weight;

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use camino::Utf8PathBuf;

use crate::engine::Lack;
use crate::error::Hint;
use crate::plan::{ClusterPlan, Role, roles};
use crate::spec::{CheckedSpec, CniKind, NodeSize};

pub use workstation::Workstation;

/// What stays for the workstation itself, in MiB.
const RESERVED_MEMORY: u64 = 1024;
/// Of so many processors, one stays for the workstation itself and for what pods do.
const RESERVED_PROCESSORS: u64 = 5;

/// What nodes take: of one cluster, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Anonymous memory, in MiB: the most of it, which is while a cluster comes up; of virtual machines, all of it.
    pub memory: u64,
    /// What they keep busy at rest, in thousandths of a processor.
    pub processors: u64,
    /// inotify instances.
    pub inotify: u64,
}

impl Cost {
    /// What the cluster of a spec will take, without what runs in it.
    pub fn of_spec(spec: &CheckedSpec) -> Self {
        Self::of(spec.cni, spec.size, &roles(spec))
    }

    /// What a planned cluster takes, without what runs in it.
    pub fn of_plan(plan: &ClusterPlan) -> Self {
        let roles: Vec<Role> = plan.nodes.iter().map(|node| node.role).collect();
        Self::of(plan.cni, size(plan), &roles)
    }

    /// What so many more workers of a planned cluster take, without what runs on them.
    pub fn of_workers(plan: &ClusterPlan, count: u8) -> Self {
        (0..count).map(|_| weight::of(plan.cni, size(plan), Role::Worker, false)).sum()
    }

    /// What a cluster of such nodes takes, without what runs in it. With a size, they are virtual machines.
    pub fn of(cni: CniKind, size: Option<NodeSize>, nodes: &[Role]) -> Self {
        nodes.iter().map(|role| weight::of(cni, size, *role, nodes.len() == 1)).sum()
    }
}

fn size(plan: &ClusterPlan) -> Option<NodeSize> {
    plan.engine.is_virtual().then_some(plan.size)
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            memory: self.memory + other.memory,
            processors: self.processors + other.processors,
            inotify: self.inotify + other.inotify,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// What is left of a machine for further clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The machine.
    pub workstation: Workstation,
    /// What the instances take that have come up.
    pub risen: Cost,
    /// What those will take that are on their way: nobody knows how much of it they have taken already.
    pub rising: Cost,
}

impl Room {
    /// Memory that is left, in MiB: of what is available once all that come up have done so, and of what there is
    /// once all instances have grown to what they may take; the smaller one of these.
    pub fn memory(&self) -> u64 {
        let available = self.workstation.available.saturating_sub(self.rising.memory);
        let unpromised = self.workstation.memory.saturating_sub((self.risen + self.rising).memory);
        available.min(unpromised).saturating_sub(RESERVED_MEMORY)
    }

    /// Processors that are left, in thousandths.
    pub fn processors(&self) -> u64 {
        let all = self.workstation.processors * 1000;
        (all - all / RESERVED_PROCESSORS).saturating_sub((self.risen + self.rising).processors)
    }

    /// How many clusters that take so much still fit. inotify instances do not count: there are more for the asking.
    pub fn fits(&self, each: Cost) -> u64 {
        let by = |left: u64, takes: u64| left.checked_div(takes).unwrap_or(u64::MAX);
        by(self.memory(), each.memory).min(by(self.processors(), each.processors))
    }

    /// Whether what is asked for fits.
    ///
    /// # Errors
    /// [`CapacityError::TooMuch`] with all that there is too little of.
    pub fn admit(&self, asked: Cost) -> Result<(), CapacityError> {
        let memory = Shortage {
            of: Resource::Memory,
            asked: asked.memory,
            left: self.memory(),
            all: self.workstation.memory,
            reserved: RESERVED_MEMORY,
        };
        let processors = Shortage {
            of: Resource::Processors,
            asked: asked.processors,
            left: self.processors(),
            all: self.workstation.processors * 1000,
            reserved: self.workstation.processors * 1000 / RESERVED_PROCESSORS,
        };
        let shortages: Vec<Shortage> =
            [memory, processors].into_iter().filter(|it| it.asked > it.left).collect();
        if shortages.is_empty() { Ok(()) } else { Err(CapacityError::TooMuch(shortages)) }
    }

    /// What the kernel must be told before so much more can run. The user's other programs count, too.
    pub fn lack(&self, asked: Cost) -> Option<Lack> {
        let key = "fs.inotify.max_user_instances";
        let limit = self.workstation.inotify_limit;
        let needed = self.workstation.inotify_used + self.rising.inotify + asked.inotify;
        // With some room, so that the next cluster does not ask again.
        let enough = needed.next_power_of_two();
        (limit < needed).then(|| Lack {
            what: format!("{key} is {limit}, {needed} are needed"),
            remedy: format!("sysctl -w {key}={enough}"),
        })
    }
}

/// Why clusters are refused, or nobody knows whether they fit.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// There is too little of something.
    #[error("no room on this machine: {}", listed(.0))]
    TooMuch(Vec<Shortage>),
    /// The machine cannot be asked.
    #[error("read {path}")]
    Unread {
        /// What was to be read.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl Hint for CapacityError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooMuch(_) => Some(
                "fewer workers take less, and `homelab up --force` tries it all the same; `homelab instance list` shows \
                 what there is, and one that nobody needs any more makes room when it is taken down"
                    .to_owned(),
            ),
            Self::Unread { .. } => Some("`homelab up --force` does not ask".to_owned()),
        }
    }
}

fn listed(shortages: &[Shortage]) -> String {
    shortages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What there may be too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// In MiB.
    Memory,
    /// In thousandths.
    Processors,
}

/// Too little of something, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Of what.
    pub of: Resource,
    /// What is asked for.
    pub asked: u64,
    /// What is left.
    pub left: u64,
    /// What there is in all.
    pub all: u64,
    /// What stays for the workstation.
    pub reserved: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |amount: u64| self.of.figure(amount);
        let (asked, left, all) = (figure(self.asked), figure(self.left), figure(self.all));
        let reserved = figure(self.reserved);
        let taken = figure(self.all.saturating_sub(self.reserved + self.left));
        match self.of {
            Resource::Memory => write!(f, "needs {asked} of memory, {left} are left")?,
            Resource::Processors => write!(f, "keeps {asked} processors busy at rest, {left} are left")?,
        }
        write!(f, " ({all} in all, {taken} in use or promised, {reserved} for the workstation itself)")
    }
}

impl Resource {
    /// An amount as people read it.
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    pub fn figure(self, amount: u64) -> String {
        match self {
            Self::Memory => format!("{:.1} GiB", amount as f64 / 1024.0),
            Self::Processors => format!("{:.1}", amount as f64 / 1000.0),
        }
    }
}
