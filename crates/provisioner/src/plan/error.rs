//! Errors of planning, with hints for a request that would succeed. Pure.

use std::fmt;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;
use jiff::Timestamp;

use super::HostNetwork;
use crate::error::Hint;
use crate::registry::{Neighbour, OperationKind, State};
use crate::request::Topology;

/// Why a request for an instance or a change of it is refused. No flag overrides a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The requested name or network is in use.
    #[error("{what} {value} already in use by {holder}")]
    InUse {
        /// `subnet`, `network` (one of any kind) or `tldPrefix`.
        what: &'static str,
        /// The requested value: `192.168.60.0/24`, `acme`.
        value: String,
        /// The instance or host interface that uses it.
        holder: Holder,
    },
    /// An instance of this name exists.
    #[error("name {name} already in use by instance '{name}'")]
    Exists {
        /// The name.
        name: String,
        /// The state of the existing instance.
        state: State,
        /// The PID of the process that changes or keeps the instance. `None` if an operator keeps it and no operation
        /// is in progress.
        owner: Option<u32>,
    },
    /// A pool has no free block.
    #[error("no {what} left in pool {pool}: all {blocks} blocks of /{size} are in use{}", by_host(.host))]
    Exhausted {
        /// `subnet`, `pod CIDR`, `service CIDR` or `management network`.
        what: &'static str,
        /// The range of the pool.
        pool: Ipv4Net,
        /// The number of its blocks.
        blocks: u64,
        /// The prefix length of a block.
        size: u8,
        /// The networks of the host itself that overlap the pool.
        host: Vec<HostNetwork>,
        /// A free range of the same size. `None` if no private range of this size is free.
        free: Option<Ipv4Net>,
    },
    /// The requested subnet is outside the ranges in which the hypervisor makes networks.
    #[error("subnet {subnet} is not within one of the ranges that VirtualBox allows on this host: {}", ranges(.allowed))]
    NotAllowed {
        /// The requested subnet.
        subnet: Ipv4Net,
        /// The allowed ranges.
        allowed: Vec<Ipv4Net>,
    },
    /// The pool has no free block in the ranges that the hypervisor allows.
    #[error(
        "no subnet left in pool {pool}: {}",
        match .blocks {
            0 => format!("no block of /{size} is within one of the ranges that VirtualBox allows on this host: {}", ranges(.allowed)),
            blocks => format!("all {blocks} blocks of /{size} that VirtualBox allows on this host are in use ({})", ranges(.allowed)),
        }
    )]
    NoneAllowed {
        /// The range of the pool.
        pool: Ipv4Net,
        /// The number of its blocks within the allowed ranges.
        blocks: u64,
        /// The prefix length of a block.
        size: u8,
        /// The allowed ranges.
        allowed: Vec<Ipv4Net>,
    },
    /// A network is too small for the nodes.
    #[error("a {what} of /{size} has room for {room} node{}, but the cluster needs {asked}", if *.room == 1 { "" } else { "s" })]
    DoesNotFit {
        /// `subnet` or `pod CIDR`.
        what: &'static str,
        /// The network's prefix length.
        size: u8,
        /// How many of the nodes have addresses in it.
        room: usize,
        /// The number of nodes of the cluster, with the requested ones.
        asked: usize,
    },
    /// The topology has no workers.
    #[error("instance '{instance}' is {topology}, which has no workers")]
    NoWorkers {
        /// The name of the instance.
        instance: String,
        /// Its topology.
        topology: Topology,
    },
    /// The operation needs an instance in another state: scaling, for example, needs a running one.
    #[error("instance '{instance}' is {state}, not running")]
    NotRunning {
        /// The name of the instance.
        instance: String,
        /// Its state.
        state: State,
    },
    /// Another operation on the instance is in progress.
    #[error("instance '{instance}' is busy: process {owner} has begun to {operation} (at {since:.0})")]
    Busy {
        /// The name of the instance.
        instance: String,
        /// The operation in progress.
        operation: OperationKind,
        /// The PID of its process.
        owner: u32,
        /// When the operation began.
        since: Timestamp,
    },
    /// The instance has no node of this name.
    #[error("instance '{instance}' has no node '{node}'; it has {}", .known.join(", "))]
    NoSuchNode {
        /// The name of the instance.
        instance: String,
        /// The requested node.
        node: String,
        /// The nodes of the instance.
        known: Vec<String>,
    },
    /// The node is a control plane.
    #[error("{node} is a control plane of instance '{instance}', and only workers can be removed")]
    NotAWorker {
        /// The name of the instance.
        instance: String,
        /// The name of the node.
        node: String,
    },
}

fn by_host(host: &[HostNetwork]) -> String {
    let all: Vec<String> = host.iter().map(|host| format!("{} ({})", host.net, host.interface)).collect();
    if all.is_empty() { String::new() } else { format!("; the host itself uses {}", all.join(", ")) }
}

/// The key of a pool in config.yaml: `pod` for `pod CIDR`.
fn pool_key(what: &str) -> &str {
    what.split(' ').next().unwrap_or(what)
}

fn ranges(allowed: &[Ipv4Net]) -> String {
    match allowed {
        [] => "none".to_owned(),
        _ => allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// The hint to allow one more range in VirtualBox. The line repeats the ranges that are allowed already: without the
/// file VirtualBox allows a default range, which any line in the file replaces.
fn widen(allowed: &[Ipv4Net], range: Ipv4Net) -> String {
    let all: Vec<String> = allowed.iter().chain([&range]).map(ToString::to_string).collect();
    format!(
        "add the line `* {}` to /etc/vbox/networks.conf (create the file if it is missing)",
        all.join(" ")
    )
}

impl Hint for PlanError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { name, state, owner } => Some(instead(name, *state, *owner)),
            Self::InUse { what: "tldPrefix", .. } => Some("choose another one with `--tld LABEL`".to_owned()),
            Self::InUse { what: "subnet", .. } => {
                Some("choose another one with `--subnet CIDR`, or omit it to get the next free one".to_owned())
            }
            Self::InUse { what: "network", holder: Holder::Neighbour { instance, home }, .. } => {
                Some(format!("`HOMELAB_HOME={home} homelab status {instance}` shows the other instance"))
            }
            Self::InUse { .. } => None,
            Self::Exhausted { what, host, free: Some(free), .. } if !host.is_empty() => Some(format!(
                "the line `pools: {{ {}: {{ range: {free} }} }}` in config.yaml moves the pool to a range that the \
                 host does not use",
                pool_key(what)
            )),
            Self::Exhausted { .. } => Some(
                "set a larger pool or smaller blocks in config.yaml; `homelab instance list` shows which instances \
                 use the blocks"
                    .to_owned(),
            ),
            Self::NotAllowed { subnet, allowed } => Some(widen(allowed, *subnet)),
            Self::NoneAllowed { pool, allowed, .. } => Some(widen(allowed, *pool)),
            Self::DoesNotFit { what, .. } => {
                let key = if *what == "subnet" { "subnet" } else { "pod" };
                Some(format!("use fewer workers, or set a larger network: pools.{key}.block in config.yaml"))
            }
            Self::NoWorkers { .. } => {
                Some("`sudo homelab up NAME --topology k8s-multi` creates an instance with workers".to_owned())
            }
            Self::NotRunning { instance, state: State::Paused } => {
                Some(format!("`sudo homelab resume {instance}` makes it run again"))
            }
            Self::NotRunning { instance, state: State::Halted } => {
                Some(format!("`sudo homelab start {instance}` starts it"))
            }
            Self::NotRunning { instance, .. } => Some(format!("`sudo homelab status {instance}` shows its state")),
            Self::Busy { owner, .. } => Some(format!(
                "wait until process {owner} has finished; or end it, and the next command continues from the state \
                 that it left"
            )),
            Self::NotAWorker { instance, .. } => Some(format!("`sudo homelab status {instance}` lists the workers")),
            Self::NoSuchNode { .. } => None,
        }
    }
}

/// The hint for a name that an instance already has. That instance may have data, so the command that continues it is
/// named before the one that deletes it.
fn instead(name: &str, state: State, owner: Option<u32>) -> String {
    match (state, owner) {
        (State::Paused, _) => {
            format!("`sudo homelab resume {name}` makes it run again; or choose another name")
        }
        (State::Halted, _) => {
            format!("`sudo homelab start {name}` starts it with its data; or choose another name")
        }
        (State::Creating, Some(pid)) => {
            format!(
                "process {pid} is creating it: wait until the process has finished, or choose another name"
            )
        }
        (State::Running, Some(pid)) => {
            format!("process {pid} uses it: choose another name; `sudo homelab status {name}` shows it")
        }
        (State::Running, None) => {
            format!("it is running: `sudo homelab status {name}` shows it; or choose another name")
        }
        (State::Creating, None) | (State::Failed, _) => format!(
            "`sudo homelab status {name}` shows its state; choose another name, or remove it with `sudo homelab down {name}` and \
             create it again"
        ),
        (State::Destroying, _) => {
            format!(
                "its removal is not finished: `sudo homelab down {name}` finishes it, and then the name is free"
            )
        }
    }
}

/// The user of a name or network that a new instance requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// An instance of this home.
    Instance(String),
    /// An instance of another home on this host.
    Neighbour {
        /// The name of the instance.
        instance: String,
        /// The folder of its home.
        home: Utf8PathBuf,
    },
    /// The host itself, with the interface: see [`HostNetwork::interface`].
    Host(String),
}

impl From<&Neighbour> for Holder {
    fn from(other: &Neighbour) -> Self {
        Self::Neighbour { instance: other.instance.name.clone(), home: other.home.clone() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(name) => write!(f, "instance '{name}'"),
            Self::Neighbour { instance, home } => write!(f, "instance '{instance}' of the home {home}"),
            Self::Host(interface) => write!(f, "the host ({interface})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_use_is_refused_with_a_hint_for_the_state_of_its_instance() {
        let cases = [
            (State::Running, None),
            (State::Running, Some(4711)),
            (State::Paused, None),
            (State::Halted, None),
            (State::Creating, Some(4711)),
            (State::Creating, None),
            (State::Failed, None),
            (State::Destroying, None),
        ];
        let told = cases.map(|(state, owner)| {
            let error = PlanError::Exists { name: "acme".to_owned(), state, owner };
            format!("{error}\n  hint: {}", error.hint().unwrap())
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
