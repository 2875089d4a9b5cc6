//! What is decided before anything exists: names, networks and addresses. Pure.
//!
//! [`claim`] decides what a new instance gets, given everything that is taken; the registry records it.
//! [`ClusterPlan::of`] derives all else from such a record, the same in every process and at any time.
//! Next in the flow: `engine` makes the nodes.

mod cluster;
mod platform;
mod power;
mod subnets;
mod workers;

use std::fmt;

use ipnet::Ipv4Net;
use jiff::Timestamp;

use crate::error::Hint;
use crate::registry::{Instance, K8s, Owner, State, Workers};
use crate::spec::{CheckedSpec, EngineKind, Provider, Topology};

use cluster::Member;
use subnets::Occupied;

pub use cluster::{API_PORT, ClusterPlan, InstanceId, NodePlan, Role, roles};
pub use platform::{Platform, Supervisor};
pub use power::{Power, at_rest, awake};
pub use subnets::{Pool, Pools};
pub use workers::{add_workers, remove_worker};

/// Everything a new instance must keep clear of.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The instances in the registry.
    pub instances: Vec<Instance>,
    /// What the host itself uses: routes, addresses and name servers.
    pub host: Vec<HostNetwork>,
}

/// A network that the host uses for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNetwork {
    /// The network, or an address as a /32.
    pub net: Ipv4Net,
    /// The interface, `eth0` or `docker0`; `a route` or `a name server` where there is none.
    pub interface: String,
}

/// Why an instance cannot get what it asks for. There is no override.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Somebody has it.
    #[error("{what} {value} already in use by {holder}")]
    InUse {
        /// `subnet`, `pod CIDR`, `service CIDR`, `tldPrefix` or `name`.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// Who has it.
        holder: Holder,
    },
    /// Nothing is left of a kind.
    #[error("no {what} left in pool {pool}: all {blocks} blocks of /{size} are in use")]
    Exhausted {
        /// `subnet`, `pod CIDR` or `service CIDR`.
        what: &'static str,
        /// The pool.
        pool: Ipv4Net,
        /// How many blocks it has.
        blocks: u64,
        /// Their prefix length.
        size: u8,
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
    /// Workers of it are on their way in or out.
    #[error("the workers of instance '{instance}' are being changed{}", by(.owner))]
    InTransit {
        /// The instance.
        instance: String,
        /// Who sees to it.
        owner: Option<u32>,
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

fn by(owner: &Option<u32>) -> String {
    owner.map(|pid| format!(" by process {pid}, which runs")).unwrap_or_default()
}

impl Hint for PlanError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { what: "name", value, .. } => {
                Some(format!("`homelab down {value}` frees it; or choose another name"))
            }
            Self::InUse { .. } => None,
            Self::Exhausted { .. } => Some(
                "`homelab down NAME` frees what an instance has; a larger pool or smaller blocks can be set in \
                 config.yaml"
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
            Self::InTransit { owner: Some(pid), .. } => Some(format!("wait for process {pid}, or end it")),
            Self::InTransit { owner: None, .. } => Some("try again".to_owned()),
            Self::NotAWorker { instance, .. } => Some(format!("`homelab down {instance}` takes all of it down")),
            Self::NoSuchNode { .. } => None,
        }
    }
}

/// Who has what a new instance asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// An instance of ours.
    Instance(String),
    /// The host, on this interface.
    Host(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(name) => write!(f, "instance '{name}'"),
            Self::Host(interface) => write!(f, "the host ({interface})"),
        }
    }
}

/// Decides what a new instance gets: what it asks for, or the next free block of each pool.
///
/// # Errors
/// [`PlanError`] when a name or a network is taken, a pool is exhausted, or its blocks are too small.
pub fn claim(
    spec: &CheckedSpec,
    taken: &Taken,
    pools: &Pools,
    owner: Option<Owner>,
    now: Timestamp,
) -> Result<Instance, PlanError> {
    let name = spec.name.to_string();
    let tld_prefix = spec.tld_prefix.to_string();
    for other in &taken.instances {
        let holder = || Holder::Instance(other.name.clone());
        if other.name == name {
            return Err(PlanError::InUse { what: "name", value: name, holder: holder() });
        }
        if other.tld_prefix == tld_prefix {
            return Err(PlanError::InUse { what: "tldPrefix", value: tld_prefix, holder: holder() });
        }
    }
    let workers = Workers::first(spec.workers);
    let members = cluster::members(spec.topology, &workers);
    let subnet_size = spec.subnet.map_or(pools.subnet.block, |subnet| subnet.prefix_len());
    room(&members, subnet_size, pools.pod.block)?;
    let subnet = match spec.subnet {
        Some(subnet) => allow(taken.refuse("subnet", subnet)?, pools)?,
        None => draw_subnet(pools, &Occupied::of(taken.networks()))?,
    };
    // A subnet that was asked for may lie in a pool of the other kinds.
    let occupied = Occupied::of(taken.networks().chain([subnet]));
    let management = match spec.engine {
        // VirtualBox gives each machine an adapter of its own for that, which is no network.
        EngineKind::Vagrant(Provider::Libvirt) => {
            Some(draw("management network", &pools.management, &occupied)?)
        }
        _ => None,
    };
    Ok(Instance {
        subnet,
        created_at: now,
        topology: spec.topology,
        workers,
        transit: None,
        engine: spec.engine,
        size: spec.size,
        management,
        durability: spec.durability,
        k8s: K8s {
            distribution: "kubeadm".to_owned(),
            version: spec.kubernetes.clone(),
            pod_cidr: draw("pod CIDR", &pools.pod, &occupied)?,
            service_cidr: draw("service CIDR", &pools.service, &occupied)?,
            kubeconfig_context: name.clone(),
            ca_name: format!("HomeLab CA - {name}"),
            cni: spec.cni,
            cilium: spec.cilium,
            identity: None,
        },
        state: State::Creating,
        owner,
        federated: Vec::new(),
        tld_prefix,
        name,
    })
}

/// The next free block of a pool.
fn draw(what: &'static str, pool: &Pool, occupied: &Occupied) -> Result<Ipv4Net, PlanError> {
    pool.next_free(occupied).ok_or_else(|| PlanError::Exhausted {
        what,
        pool: pool.range,
        blocks: pool.blocks(),
        size: pool.block,
    })
}

/// The next free subnet that is allowed.
fn draw_subnet(pools: &Pools, occupied: &Occupied) -> Result<Ipv4Net, PlanError> {
    let (pool, Some(allowed)) = (&pools.subnet, &pools.allowed) else {
        return draw("subnet", &pools.subnet, occupied);
    };
    pool.next_free_within(allowed, occupied).ok_or_else(|| PlanError::NoneAllowed {
        pool: pool.range,
        blocks: pool.blocks_within(allowed),
        size: pool.block,
        allowed: allowed.clone(),
    })
}

/// The subnet itself if it lies where it may.
fn allow(subnet: Ipv4Net, pools: &Pools) -> Result<Ipv4Net, PlanError> {
    match &pools.allowed {
        Some(allowed) if !allowed.iter().any(|range| range.contains(&subnet)) => {
            Err(PlanError::NotAllowed { subnet, allowed: allowed.clone() })
        }
        _ => Ok(subnet),
    }
}

/// Refuses nodes for which a subnet or a pod CIDR of these sizes is too small.
fn room(members: &[Member], subnet: u8, pod_cidr: u8) -> Result<(), PlanError> {
    let networks = [
        ("subnet", subnet, cluster::room_in_subnet(members, subnet)),
        ("pod CIDR", pod_cidr, cluster::room_in_pod_cidr(members, pod_cidr)),
    ];
    match networks.into_iter().find(|(_, _, room)| *room < members.len()) {
        Some((what, size, room)) => Err(PlanError::DoesNotFit { what, size, room, asked: members.len() }),
        None => Ok(()),
    }
}

impl Taken {
    /// Every network that somebody uses: each kind of CIDR counts against each.
    fn networks(&self) -> impl Iterator<Item = Ipv4Net> {
        let instances = self.instances.iter().flat_map(Instance::networks);
        instances.chain(self.host.iter().map(|host| host.net))
    }

    /// The network itself if nobody uses any address of it, whatever for.
    fn refuse(&self, what: &'static str, net: Ipv4Net) -> Result<Ipv4Net, PlanError> {
        match self.holder(net) {
            None => Ok(net),
            Some(holder) => Err(PlanError::InUse { what, value: net.to_string(), holder }),
        }
    }

    /// Who uses an address of this network.
    fn holder(&self, net: Ipv4Net) -> Option<Holder> {
        let of_an_instance = self.instances.iter().find_map(|other| {
            let overlaps = other.networks().iter().any(|their| overlap(their, &net));
            overlaps.then(|| Holder::Instance(other.name.clone()))
        });
        of_an_instance.or_else(|| {
            let host = self.host.iter().find(|host| overlap(&host.net, &net))?;
            Some(Holder::Host(host.interface.clone()))
        })
    }
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::home::Home;
    use crate::spec::{ClusterSpec, Topology};

    /// The plan of `acme`, as in every snapshot.
    pub(crate) fn acme() -> ClusterPlan {
        of(ClusterSpec::new("acme").workers(2))
    }

    /// The same with three control planes and one worker.
    pub(crate) fn acme_ha() -> ClusterPlan {
        of(ClusterSpec::new("acme").topology(Topology::Ha).workers(1))
    }

    /// The same in virtual machines on libvirt.
    pub(crate) fn acme_in_machines() -> ClusterPlan {
        of(ClusterSpec::new("acme").workers(1).engine(EngineKind::Vagrant(Provider::Libvirt)))
    }

    fn of(spec: ClusterSpec) -> ClusterPlan {
        let spec = spec.check().expect("a sound spec");
        let now = Timestamp::UNIX_EPOCH;
        let instance =
            claim(&spec, &Taken::default(), &Pools::default(), None, now).expect("nothing is taken");
        ClusterPlan::of(&instance, &Home::at("/home/ada/.homelab"))
    }
}
