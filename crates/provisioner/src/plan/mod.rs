//! What is decided before anything exists: names, networks and addresses. Pure.
//!
//! [`claim`] decides what a new instance gets, given everything that is taken; the registry records it.
//! [`ClusterPlan::of`] derives all else from such a record, the same in every process and at any time.
//! Next in the flow: `engine` makes the nodes.

mod cluster;
mod subnets;

use std::fmt;

use ipnet::Ipv4Net;
use jiff::Timestamp;

use crate::registry::{Instance, K8s, Owner, State};
use crate::spec::CheckedSpec;

pub use cluster::{API_PORT, ClusterPlan, InstanceId, NodePlan, Role};
pub use subnets::{Pool, Pools};

/// Everything a new instance must keep clear of.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The instances in the registry.
    pub instances: Vec<Instance>,
    /// What the host itself uses: routes and addresses, each with its interface.
    pub host: Vec<HostNetwork>,
}

/// A network that the host uses for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNetwork {
    /// The network, or an address as a /32.
    pub net: Ipv4Net,
    /// The interface: `eth0`, `docker0`.
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
        blocks: usize,
        /// Their prefix length.
        size: u8,
    },
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
/// [`PlanError`] when a name or a network is taken, or a pool is exhausted.
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
    let subnet = match spec.subnet {
        Some(subnet) => taken.refuse("subnet", subnet)?,
        None => pools.subnet.next_free("subnet", taken)?,
    };
    // A subnet that was asked for may lie in a pool of the other kinds.
    let mut taken = taken.clone();
    taken.host.push(HostNetwork { net: subnet, interface: format!("instance '{name}'") });
    Ok(Instance {
        subnet,
        created_at: now,
        topology: spec.topology,
        workers: spec.workers,
        engine: spec.engine,
        durability: spec.durability,
        k8s: K8s {
            distribution: "kubeadm".to_owned(),
            version: spec.kubernetes.clone(),
            pod_cidr: pools.pod.next_free("pod CIDR", &taken)?,
            service_cidr: pools.service.next_free("service CIDR", &taken)?,
            kubeconfig_context: name.clone(),
            ca_name: format!("HomeLab CA - {name}"),
            cni: spec.cni,
            identity: None,
            other: serde_json::Map::new(),
        },
        state: State::Creating,
        owner,
        federated: Vec::new(),
        other: serde_json::Map::new(),
        tld_prefix,
        name,
    })
}

impl Taken {
    /// The network itself if nobody uses any address of it, whatever for.
    fn refuse(&self, what: &'static str, net: Ipv4Net) -> Result<Ipv4Net, PlanError> {
        match self.holder(net) {
            None => Ok(net),
            Some(holder) => Err(PlanError::InUse { what, value: net.to_string(), holder }),
        }
    }

    /// Who uses an address of this network: every kind of CIDR counts against every kind.
    fn holder(&self, net: Ipv4Net) -> Option<Holder> {
        let of_an_instance = self.instances.iter().find_map(|other| {
            let theirs = [other.subnet, other.k8s.pod_cidr, other.k8s.service_cidr];
            theirs.iter().any(|their| overlap(their, &net)).then(|| Holder::Instance(other.name.clone()))
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
    use crate::spec::ClusterSpec;

    /// The plan of `acme`, as in every snapshot.
    pub(crate) fn acme() -> ClusterPlan {
        let spec = ClusterSpec::new("acme").workers(2).check().expect("a sound spec");
        let now = Timestamp::UNIX_EPOCH;
        let instance =
            claim(&spec, &Taken::default(), &Pools::default(), None, now).expect("nothing is taken");
        ClusterPlan::of(&instance, &Home::at("/home/ada/.homelab"))
    }
}
