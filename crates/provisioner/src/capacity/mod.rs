//! The host's capacity: the demand of clusters, the capacity that is left, and whether a cluster fits.
//!
//! The demand of containers was measured, VMs demand the memory that they are given (`weight`). `host` reads the
//! host's figures, all else is pure. Next in the flow: `registry` records the clusters that fit.

mod host;
mod limits;
mod weight;

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use camino::Utf8PathBuf;

use crate::error::{Hint, MissingRequirement};
use crate::plan::{ClusterPlan, Role, roles};
use crate::request::{CheckedSpec, CniKind, NodeSize};

pub use host::HostResources;
pub use limits::NodeLimits;

/// Memory that is kept free for the host itself, in MiB.
const RESERVED_MEMORY: u64 = 1024;
/// One processor of this many is kept free for the host itself and for the work of pods.
const RESERVED_PROCESSORS: u64 = 5;

/// The demand of nodes: of one cluster, or the sum of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Memory in MiB. For containers, the peak of their anonymous memory, which is while a cluster comes up; for VMs,
    /// all memory that they are given, and QEMU's own.
    pub memory: u64,
    /// The processor time of idle nodes, in thousandths of a processor.
    pub processors: u64,
    /// Number of inotify instances (inotify(7)).
    pub inotify: u64,
}

impl Demand {
    /// The demand of the cluster of a spec, without its workloads.
    pub fn of_spec(spec: &CheckedSpec) -> Self {
        Self::of(spec.cni, spec.size, &roles(spec))
    }

    /// The demand of a planned cluster, without its workloads.
    pub fn of_plan(plan: &ClusterPlan) -> Self {
        let roles: Vec<Role> = plan.nodes.iter().map(|node| node.role).collect();
        Self::of(plan.cni, size(plan), &roles)
    }

    /// The demand of `count` more workers of a planned cluster, without their workloads.
    pub fn of_workers(plan: &ClusterPlan, count: u8) -> Self {
        (0..count).map(|_| weight::of(plan.cni, size(plan), Role::Worker, false)).sum()
    }

    /// The demand of a cluster with nodes of these roles, without its workloads. With a size the nodes are VMs, with
    /// `None` they are containers.
    pub fn of(cni: CniKind, size: Option<NodeSize>, nodes: &[Role]) -> Self {
        nodes.iter().map(|role| weight::of(cni, size, *role, nodes.len() == 1)).sum()
    }
}

fn size(plan: &ClusterPlan) -> Option<NodeSize> {
    plan.engine.is_virtual().then_some(plan.size)
}

impl Add for Demand {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            memory: self.memory + other.memory,
            processors: self.processors + other.processors,
            inotify: self.inotify + other.inotify,
        }
    }
}

impl Sum for Demand {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// The capacity of a host, and the demand of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The host's figures.
    pub host: HostResources,
    /// The demand of all instances that are not in creation any more.
    pub running: Demand,
    /// The demand of all instances in creation. How much of it they use already is unknown.
    pub starting: Demand,
}

impl Room {
    /// Memory that is left for further clusters, in MiB. It is the smaller of two figures, minus the host's own share:
    /// the available memory minus the demand of instances in creation, and the total memory minus the demand of all
    /// instances.
    pub fn memory(&self) -> u64 {
        let available = self.host.available.saturating_sub(self.starting.memory);
        let unpromised = self.host.memory.saturating_sub((self.running + self.starting).memory);
        available.min(unpromised).saturating_sub(RESERVED_MEMORY)
    }

    /// Processors that are left for further clusters, in thousandths of a processor.
    pub fn processors(&self) -> u64 {
        let all = self.host.processors * 1000;
        (all - all / RESERVED_PROCESSORS).saturating_sub((self.running + self.starting).processors)
    }

    /// How many clusters of this demand still fit. inotify instances do not count, because their limit can be raised.
    pub fn fits(&self, each: Demand) -> u64 {
        let by = |left: u64, takes: u64| left.checked_div(takes).unwrap_or(u64::MAX);
        by(self.memory(), each.memory).min(by(self.processors(), each.processors))
    }

    /// Checks that clusters of this demand fit.
    ///
    /// # Errors
    /// [`CapacityError::TooMuch`] with every resource that does not suffice.
    pub fn admit(&self, asked: Demand) -> Result<(), CapacityError> {
        let memory = Shortage {
            of: Resource::Memory,
            asked: asked.memory,
            left: self.memory(),
            all: self.host.memory,
            reserved: RESERVED_MEMORY,
        };
        let processors = Shortage {
            of: Resource::Processors,
            asked: asked.processors,
            left: self.processors(),
            all: self.host.processors * 1000,
            reserved: self.host.processors * 1000 / RESERVED_PROCESSORS,
        };
        let shortages: Vec<Shortage> =
            [memory, processors].into_iter().filter(|it| it.asked > it.left).collect();
        if shortages.is_empty() { Ok(()) } else { Err(CapacityError::TooMuch(shortages)) }
    }

    /// The missing requirement when the limit of inotify instances does not suffice for this demand as well; `None`
    /// when it suffices. The limit is for each user, so root's other programs count, too.
    pub fn lack(&self, asked: Demand) -> Option<MissingRequirement> {
        let key = "fs.inotify.max_user_instances";
        let limit = self.host.inotify_limit;
        let needed = self.host.inotify_used + self.starting.inotify + asked.inotify;
        // Rounded up, so that the next cluster does not need a higher limit again.
        let enough = needed.next_power_of_two();
        (limit < needed).then(|| MissingRequirement {
            what: format!("{key} is {limit}, {needed} are needed"),
            remedy: format!("sysctl -w {key}={enough}"),
        })
    }
}

/// Why clusters are refused, or why it is unknown whether they fit.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// The host has too little of these resources.
    #[error("not enough capacity on this host: {}", listed(.0))]
    TooMuch(Vec<Shortage>),
    /// A figure of the host cannot be read.
    #[error("read {path}")]
    Unread {
        /// The file below `/proc`.
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
                "ask for fewer workers, remove an instance with `sudo homelab down NAME` (`homelab instance list` shows all), \
                 or skip this check with `sudo homelab up --force`"
                    .to_owned(),
            ),
            Self::Unread { .. } => Some("`sudo homelab up --force` skips this check".to_owned()),
        }
    }
}

fn listed(shortages: &[Shortage]) -> String {
    shortages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A resource of the host that clusters demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory, in MiB.
    Memory,
    /// Processor time, in thousandths of a processor.
    Processors,
}

/// A resource that does not suffice. All amounts are in the unit of its [`Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The resource.
    pub of: Resource,
    /// The demand.
    pub asked: u64,
    /// The amount that is left.
    pub left: u64,
    /// The host's total.
    pub all: u64,
    /// The share that is kept free for the host itself.
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
            Resource::Processors => write!(f, "needs {asked} processors when idle, {left} are left")?,
        }
        write!(f, " ({all} in total, {taken} in use or claimed, {reserved} for the host itself)")
    }
}

impl Resource {
    /// An amount for people, with one decimal: `7.6 GiB` of memory, `1.6` processors.
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    pub fn figure(self, amount: u64) -> String {
        match self {
            Self::Memory => format!("{:.1} GiB", amount as f64 / 1024.0),
            Self::Processors => format!("{:.1}", amount as f64 / 1000.0),
        }
    }
}
