//! Why an instance cannot get what it asks for, and what to do instead. Pure.

use std::fmt;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;
use jiff::Timestamp;

use super::HostNetwork;
use crate::error::Hint;
use crate::registry::{Neighbour, OperationKind, State};
use crate::spec::Topology;

/// Why an instance cannot get what it asks for. There is no override.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Somebody has it.
    #[error("{what} {value} already in use by {holder}")]
    InUse {
        /// `subnet`, `pod CIDR`, `service CIDR`, `network` or `tldPrefix`.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// Who has it.
        holder: Holder,
    },
    /// There is an instance of this name.
    #[error("name {name} already in use by instance '{name}'")]
    Exists {
        /// The name.
        name: String,
        /// How far that instance is.
        state: State,
        /// The process that changes or keeps it; none where an operator keeps it and no operation is in progress.
        owner: Option<u32>,
    },
    /// Nothing is left of a kind.
    #[error("no {what} left in pool {pool}: all {blocks} blocks of /{size} are in use{}", by_host(.host))]
    Exhausted {
        /// `subnet`, `pod CIDR` or `service CIDR`.
        what: &'static str,
        /// The pool.
        pool: Ipv4Net,
        /// How many blocks it has.
        blocks: u64,
        /// Their prefix length.
        size: u8,
        /// What the host itself uses of it.
        host: Vec<HostNetwork>,
        /// A range of the same size of which nobody uses anything.
        free: Option<Ipv4Net>,
    },
    /// A subnet lies where the hypervisor makes no network.
    #[error("subnet {subnet} is not within one of the ranges that VirtualBox allows on this host: {}", ranges(.allowed))]
    NotAllowed {
        /// What was asked for.
        subnet: Ipv4Net,
        /// Where it may lie.
        allowed: Vec<Ipv4Net>,
    },
    /// Nothing is left of the subnets that the hypervisor takes.
    #[error(
        "no subnet left in pool {pool}: {}",
        match .blocks {
            0 => format!("no block of /{size} is within one of the ranges that VirtualBox allows on this host: {}", ranges(.allowed)),
            blocks => format!("all {blocks} blocks of /{size} that VirtualBox allows on this host are in use ({})", ranges(.allowed)),
        }
    )]
    NoneAllowed {
        /// The pool.
        pool: Ipv4Net,
        /// How many of its blocks are allowed.
        blocks: u64,
        /// Their prefix length.
        size: u8,
        /// Where they may lie.
        allowed: Vec<Ipv4Net>,
    },
    /// A network is too small for the nodes.
    #[error("a {what} of /{size} has room for {room} node{}, and {asked} are asked for", if *.room == 1 { "" } else { "s" })]
    DoesNotFit {
        /// `subnet` or `pod CIDR`.
        what: &'static str,
        /// The network's prefix length.
        size: u8,
        /// How many of the nodes have a place in it.
        room: usize,
        /// How many there are.
        asked: usize,
    },
    /// The topology has no workers at all.
    #[error("instance '{instance}' is {topology}, which has no workers")]
    NoWorkers {
        /// The instance.
        instance: String,
        /// Its topology.
        topology: Topology,
    },
    /// Only an instance that came up, and is not at rest, gets or loses workers.
    #[error("instance '{instance}' is {state}, not running")]
    NotRunning {
        /// The instance.
        instance: String,
        /// How far it is.
        state: State,
    },
    /// Another operation on it is in progress.
    #[error("instance '{instance}' is busy: process {owner} has begun to {operation} (at {since:.0})")]
    Busy {
        /// The instance.
        instance: String,
        /// What is done to it.
        operation: OperationKind,
        /// The process that does it.
        owner: u32,
        /// When it began.
        since: Timestamp,
    },
    /// There is no such worker.
    #[error("instance '{instance}' has no node '{node}'; it has {}", .known.join(", "))]
    NoSuchNode {
        /// The instance.
        instance: String,
        /// What was asked for.
        node: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It is there, and no worker.
    #[error("{node} is a control plane of instance '{instance}', and only workers can be removed")]
    NotAWorker {
        /// The instance.
        instance: String,
        /// The node.
        node: String,
    },
}

fn by_host(host: &[HostNetwork]) -> String {
    let all: Vec<String> = host.iter().map(|host| format!("{} ({})", host.net, host.interface)).collect();
    if all.is_empty() { String::new() } else { format!("; the host itself uses {}", all.join(", ")) }
}

/// The key of a pool in config.yaml.
fn pool_key(what: &str) -> &str {
    what.split(' ').next().unwrap_or(what)
}

fn ranges(allowed: &[Ipv4Net]) -> String {
    match allowed {
        [] => "none".to_owned(),
        _ => allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// What widens the ranges that VirtualBox allows. Without the file there is one by default, which ends with its first
/// line: so that line says again what is allowed already.
fn widen(allowed: &[Ipv4Net], range: Ipv4Net) -> String {
    let all: Vec<String> = allowed.iter().chain([&range]).map(ToString::to_string).collect();
    format!("add the line `* {}` to /etc/vbox/networks.conf, which may have to be made", all.join(" "))
}

impl Hint for PlanError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { name, state, owner } => Some(instead(name, *state, *owner)),
            Self::InUse { what: "tldPrefix", .. } => Some("`--tld LABEL` chooses another one".to_owned()),
            Self::InUse { what: "subnet", .. } => {
                Some("`--subnet CIDR` chooses another one; without it, the next free one is taken".to_owned())
            }
            Self::InUse { what: "network", holder: Holder::Neighbour { instance, home }, .. } => {
                Some(format!("`HOMELAB_HOME={home} homelab status {instance}` shows the other one"))
            }
            Self::InUse { .. } => None,
            Self::Exhausted { what, host, free: Some(free), .. } if !host.is_empty() => Some(format!(
                "the line `pools: {{ {}: {{ range: {free} }} }}` in config.yaml moves the pool to where this host uses \
                 nothing",
                pool_key(what)
            )),
            Self::Exhausted { .. } => Some(
                "a larger pool or smaller blocks can be set in config.yaml; `homelab instance list` shows who has the \
                 others"
                    .to_owned(),
            ),
            Self::NotAllowed { subnet, allowed } => Some(widen(allowed, *subnet)),
            Self::NoneAllowed { pool, allowed, .. } => Some(widen(allowed, *pool)),
            Self::DoesNotFit { what, .. } => {
                let key = if *what == "subnet" { "subnet" } else { "pod" };
                Some(format!("ask for fewer workers or a larger network: pools.{key}.block in config.yaml"))
            }
            Self::NoWorkers { .. } => Some("`homelab up NAME --topology k8s-multi` makes one that has".to_owned()),
            Self::NotRunning { instance, state: State::Paused } => {
                Some(format!("`homelab resume {instance}` has it go on"))
            }
            Self::NotRunning { instance, state: State::Halted } => {
                Some(format!("`homelab start {instance}` starts it"))
            }
            Self::NotRunning { instance, .. } => Some(format!("`homelab status {instance}` says how far it is")),
            Self::Busy { owner, .. } => Some(format!(
                "wait until process {owner} has finished; or end it, and the next command goes on from what it left"
            )),
            Self::NotAWorker { instance, .. } => Some(format!("`homelab status {instance}` shows which are workers")),
            Self::NoSuchNode { .. } => None,
        }
    }
}

/// What to do where an instance has the name already: it has a client's data, so what goes on with it comes first.
fn instead(name: &str, state: State, owner: Option<u32>) -> String {
    match (state, owner) {
        (State::Paused, _) => format!("`homelab resume {name}` has it go on; or choose another name"),
        (State::Halted, _) => {
            format!("`homelab start {name}` starts it with its data; or choose another name")
        }
        (State::Creating, Some(pid)) => {
            format!("process {pid} is creating it: wait until that has finished, or choose another name")
        }
        (State::Running, Some(pid)) => {
            format!("process {pid} needs it: choose another name; `homelab status {name}` looks at it")
        }
        (State::Running, None) => {
            format!("it runs already: `homelab status {name}` looks at it; or choose another name")
        }
        (State::Creating, None) | (State::Failed, _) => format!(
            "`homelab status {name}` shows what there is of it; choose another name, or `homelab down {name}` removes \
             it, so that it can come up anew"
        ),
        (State::Destroying, _) => {
            format!("its removal has begun: `homelab down {name}` goes on with it, and then the name is free")
        }
    }
}

/// Who has what a new instance asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// An instance of this home.
    Instance(String),
    /// An instance of another home on this host.
    Neighbour {
        /// Its name.
        instance: String,
        /// The folder of its home.
        home: Utf8PathBuf,
    },
    /// The host, on this interface.
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
    fn a_name_that_is_in_use_is_told_with_what_goes_on_with_its_instance_before_what_deletes_it() {
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
