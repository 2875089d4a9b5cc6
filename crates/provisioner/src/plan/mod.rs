//! Decides names, networks and addresses of an instance before anything of it exists. Pure.
//!
//! [`claim`] makes the registry entry of a new instance from its spec and everything that is in use; the registry
//! records the entry. [`ClusterPlan::of`] derives all other values from the entry, and gives the same result in every
//! process and at any time. Next in the flow: `engine` makes the nodes.

mod cluster;
mod error;
mod platform;
mod power;
mod subnets;
mod workers;

use ipnet::Ipv4Net;

use crate::registry::{Distribution, Instance, K8s, Keeper, Neighbour, Operation, State, Workers};
use crate::request::{CheckedSpec, EngineKind, Provider};

use cluster::Member;
use subnets::Occupied;

pub use cluster::{API_PORT, ClusterPlan, InstanceId, NodePlan, Role, roles};
pub use error::{Holder, PlanError};
pub use platform::{Platform, Supervisor};
pub use power::{Power, running_again, stopped};
pub use subnets::{Pool, Pools};
pub use workers::{add_workers, remove_worker, running};

/// Names and networks in use, which a new instance must not get.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The instances in the registry of this home.
    pub instances: Vec<Instance>,
    /// The instances of other homes on this host: all homes share the host's networks and names.
    pub neighbours: Vec<Neighbour>,
    /// The networks of the host's routes, addresses and name servers.
    pub host: Vec<HostNetwork>,
}

/// A network that the host itself uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNetwork {
    /// The network, or an address as a /32.
    pub net: Ipv4Net,
    /// The interface: `eth0`, `docker0`; or `a route` or `a name server` if it has no interface.
    pub interface: String,
}

/// Decides the names and networks of a new instance: the requested ones, or the next free block of each pool.
/// `creation` is the operation that creates the instance; its start is also the instance's `created_at`.
///
/// # Errors
/// [`PlanError`] when a name or a network is in use, a pool has no free block, or a block is too small for the nodes.
pub fn claim(
    spec: &CheckedSpec,
    taken: &Taken,
    pools: &Pools,
    keeper: Keeper,
    creation: Operation,
) -> Result<Instance, PlanError> {
    let name = spec.name.to_string();
    let tld_prefix = spec.tld_prefix.to_string();
    for other in &taken.instances {
        let holder = || Holder::Instance(other.name.clone());
        if other.name == name {
            let owner = other.process().map(|owner| owner.pid);
            return Err(PlanError::Exists { name, state: other.state, owner });
        }
        if other.tld_prefix == tld_prefix {
            return Err(PlanError::InUse { what: "tldPrefix", value: tld_prefix, holder: holder() });
        }
    }
    for other in taken.neighbours.iter().filter(|_| spec.handling.host_names) {
        if other.instance.tld_prefix == tld_prefix && other.instance.handling.host_names {
            return Err(PlanError::InUse { what: "tldPrefix", value: tld_prefix, holder: other.into() });
        }
    }
    let workers = Workers::first(spec.workers);
    let members = cluster::members(spec.topology, &workers);
    let subnet_size = spec.subnet.map_or(pools.subnet.block, |subnet| subnet.prefix_len());
    room(&members, subnet_size, pools.pod.block)?;
    let subnet = match spec.subnet {
        Some(subnet) => allow(taken.refuse("subnet", subnet)?, pools)?,
        None => draw_subnet(pools, taken)?,
    };
    // A requested subnet may lie in one of the other pools.
    let occupied = Occupied::of(taken.networks().chain([subnet]));
    let draw = |what, pool| draw(what, pool, &occupied, (taken, pools));
    let management = match spec.engine {
        // VirtualBox manages each VM through a NAT adapter and needs no network for it.
        EngineKind::Vagrant(Provider::Libvirt) => Some(draw("management network", &pools.management)?),
        _ => None,
    };
    Ok(Instance {
        subnet,
        created_at: creation.since,
        topology: spec.topology,
        workers,
        transit: Workers::default(),
        engine: spec.engine,
        size: spec.size,
        management,
        emulated: None,
        handling: spec.handling,
        k8s: K8s {
            distribution: Distribution::Kubeadm,
            version: spec.kubernetes.clone(),
            pod_cidr: draw("pod CIDR", &pools.pod)?,
            service_cidr: draw("service CIDR", &pools.service)?,
            kubeconfig_context: name.clone(),
            ca_name: format!("HomeLab CA - {name}"),
            cni: spec.cni,
            cilium: spec.cilium,
            identity: None,
        },
        state: State::Creating,
        boot_id: None,
        keeper,
        operation: Some(creation),
        tld_prefix,
        name,
    })
}

/// Refuses an instance if one of its networks overlaps a network of another home's instance.
///
/// # Errors
/// [`PlanError::InUse`] with the other instance.
pub fn apart(instance: &Instance, neighbours: &[Neighbour]) -> Result<(), PlanError> {
    for own in instance.networks() {
        let has = |other: &&Neighbour| other.instance.networks().iter().any(|their| overlap(their, &own));
        if let Some(other) = neighbours.iter().find(has) {
            return Err(PlanError::InUse { what: "network", value: own.to_string(), holder: other.into() });
        }
    }
    Ok(())
}

/// The next free block of a pool.
fn draw(
    what: &'static str,
    pool: &Pool,
    occupied: &Occupied,
    (taken, pools): (&Taken, &Pools),
) -> Result<Ipv4Net, PlanError> {
    pool.next_free(occupied).ok_or_else(|| PlanError::Exhausted {
        what,
        pool: pool.range,
        blocks: pool.blocks(),
        size: pool.block,
        host: taken.host.iter().filter(|host| overlap(&host.net, &pool.range)).cloned().collect(),
        free: pools.free_range(pool.range.prefix_len(), occupied),
    })
}

/// The next free subnet within the allowed ranges, if the pools have such ranges.
fn draw_subnet(pools: &Pools, taken: &Taken) -> Result<Ipv4Net, PlanError> {
    let occupied = &Occupied::of(taken.networks());
    let (pool, Some(allowed)) = (&pools.subnet, &pools.allowed) else {
        return draw("subnet", &pools.subnet, occupied, (taken, pools));
    };
    pool.next_free_within(allowed, occupied).ok_or_else(|| PlanError::NoneAllowed {
        pool: pool.range,
        blocks: pool.blocks_within(allowed),
        size: pool.block,
        allowed: allowed.clone(),
    })
}

/// Returns the subnet if it lies within one of the allowed ranges, or if all ranges are allowed.
fn allow(subnet: Ipv4Net, pools: &Pools) -> Result<Ipv4Net, PlanError> {
    match &pools.allowed {
        Some(allowed) if !allowed.iter().any(|range| range.contains(&subnet)) => {
            Err(PlanError::NotAllowed { subnet, allowed: allowed.clone() })
        }
        _ => Ok(subnet),
    }
}

/// Refuses nodes for which a subnet or a pod CIDR of these prefix lengths is too small.
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
    /// All networks in use. A new network of any kind must overlap none of them.
    fn networks(&self) -> impl Iterator<Item = Ipv4Net> {
        let neighbours = self.neighbours.iter().map(|other| &other.instance);
        let instances = self.instances.iter().chain(neighbours).flat_map(Instance::networks);
        instances.chain(self.host.iter().map(|host| host.net))
    }

    /// Returns the network if none of its addresses is in use.
    fn refuse(&self, what: &'static str, net: Ipv4Net) -> Result<Ipv4Net, PlanError> {
        match self.holder(net) {
            None => Ok(net),
            Some(holder) => Err(PlanError::InUse { what, value: net.to_string(), holder }),
        }
    }

    /// The instance or host interface that uses an address of this network.
    fn holder(&self, net: Ipv4Net) -> Option<Holder> {
        let has = |other: &Instance| other.networks().iter().any(|their| overlap(their, &net));
        let own = self.instances.iter().find(|other| has(other));
        let own = own.map(|other| Holder::Instance(other.name.clone()));
        let neighbour = || self.neighbours.iter().find(|other| has(&other.instance)).map(Holder::from);
        own.or_else(neighbour).or_else(|| {
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
    use jiff::Timestamp;

    use crate::home::Home;
    use crate::registry::{OperationKind, Owner};
    use crate::request::{ClusterSpec, Topology};

    /// The plan of `acme`: one control plane and two workers, as in the snapshots.
    pub(crate) fn acme() -> ClusterPlan {
        of(ClusterSpec::new("acme").workers(2))
    }

    /// The plan of `acme` with three control planes and one worker.
    pub(crate) fn acme_ha() -> ClusterPlan {
        of(ClusterSpec::new("acme").topology(Topology::Ha).workers(1))
    }

    /// The plan of `acme` with one worker in libvirt VMs.
    pub(crate) fn acme_in_vms() -> ClusterPlan {
        of(ClusterSpec::new("acme").workers(1).engine(EngineKind::Vagrant(Provider::Libvirt)))
    }

    fn of(spec: ClusterSpec) -> ClusterPlan {
        let spec = spec.check().expect("the spec is valid");
        let owner = Owner::current("run-1").expect("/proc has this process");
        let creation = Operation { kind: OperationKind::Create, owner, since: Timestamp::UNIX_EPOCH };
        let instance = claim(&spec, &Taken::default(), &Pools::default(), Keeper::Operator, creation)
            .expect("nothing is in use");
        ClusterPlan::of(&instance, &Home::at("/home/ada/.homelab"))
    }
}
