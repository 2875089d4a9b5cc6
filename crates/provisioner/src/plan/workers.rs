//! Which workers an instance gets or loses while it runs. Pure.

use crate::registry::{Instance, Owner, State, Transit};
use crate::spec::Topology;

use super::cluster::{Role, members, worker};
use super::{PlanError, room};

/// Decides the numbers of so many more workers, the lowest that are free: the instance with them on their way.
///
/// # Errors
/// [`PlanError`] when the instance does not run or has no workers by its topology, when workers are on their way
/// already, or when its networks have no room.
pub fn add_workers(instance: &Instance, count: u8, owner: Owner) -> Result<Instance, PlanError> {
    changeable(instance)?;
    if instance.topology == Topology::Single {
        let (instance, topology) = (instance.name.clone(), instance.topology);
        return Err(PlanError::NoWorkers { instance, topology });
    }
    let workers = instance.workers.free(count);
    let after = Instance { transit: Some(Transit { workers, owner: Some(owner) }), ..instance.clone() };
    let nodes = members(instance.topology, &after.with_transit().workers);
    let asked = members(instance.topology, &instance.workers).len() + usize::from(count);
    let subnet = instance.subnet.prefix_len();
    if nodes.len() < asked {
        return Err(PlanError::DoesNotFit { what: "subnet", size: subnet, room: nodes.len(), asked });
    }
    room(&nodes, subnet, instance.k8s.pod_cidr.prefix_len())?;
    Ok(after)
}

/// Decides that a worker goes: the instance without it, and with it on its way.
///
/// # Errors
/// [`PlanError`] when the instance does not run, when workers are on their way already, or when there is no worker
/// of this name.
pub fn remove_worker(instance: &Instance, node: &str, owner: Owner) -> Result<Instance, PlanError> {
    changeable(instance)?;
    let members = members(instance.topology, &instance.workers);
    let name = |suffix: &str| format!("{}-{suffix}", instance.name);
    match members.iter().find(|(suffix, ..)| name(suffix) == node) {
        None => Err(PlanError::NoSuchNode {
            instance: instance.name.clone(),
            node: node.to_owned(),
            known: members.iter().map(|(suffix, ..)| name(suffix)).collect(),
        }),
        Some((_, Role::ControlPlane, ..)) => {
            Err(PlanError::NotAWorker { instance: instance.name.clone(), node: node.to_owned() })
        }
        Some((gone, Role::Worker, ..)) => {
            let workers = instance.workers.only(|number| worker(number) != *gone);
            let transit = Transit { workers: instance.workers.without(&workers), owner: Some(owner) };
            Ok(Instance { workers, transit: Some(transit), ..instance.clone() })
        }
    }
}

/// Only an instance that runs, and whose workers nobody changes at the moment.
pub(super) fn changeable(instance: &Instance) -> Result<(), PlanError> {
    if instance.state != State::Running {
        return Err(PlanError::NotRunning { instance: instance.name.clone(), state: instance.state });
    }
    match &instance.transit {
        None => Ok(()),
        Some(transit) => Err(PlanError::InTransit {
            instance: instance.name.clone(),
            owner: transit.owner.as_ref().map(|owner| owner.pid),
        }),
    }
}
