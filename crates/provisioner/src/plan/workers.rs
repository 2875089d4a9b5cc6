//! Scaling: which workers a running instance gets or loses. Pure.

use crate::registry::{Instance, State, Workers};
use crate::request::Topology;

use super::cluster::{Role, members, worker};
use super::{PlanError, room};

/// Chooses the lowest free numbers for `count` more workers. Returns the instance with them in transit.
///
/// # Errors
/// [`PlanError`] when the instance does not run, when its topology has no workers, or when its networks have no
/// addresses for them.
pub fn add_workers(instance: &Instance, count: u8) -> Result<Instance, PlanError> {
    running(instance)?;
    if instance.topology == Topology::Single {
        let (instance, topology) = (instance.name.clone(), instance.topology);
        return Err(PlanError::NoWorkers { instance, topology });
    }
    let after = Instance { transit: instance.workers.free(count), ..instance.clone() };
    let nodes = members(instance.topology, &after.with_transit().workers);
    let asked = members(instance.topology, &instance.workers).len() + usize::from(count);
    let subnet = instance.subnet.prefix_len();
    if nodes.len() < asked {
        return Err(PlanError::DoesNotFit { what: "subnet", size: subnet, room: nodes.len(), asked });
    }
    room(&nodes, subnet, instance.k8s.pod_cidr.prefix_len())?;
    Ok(after)
}

/// Returns the instance without a worker of this name, and with that worker in transit.
///
/// # Errors
/// [`PlanError`] when the instance does not run, or when it has no worker of this name.
pub fn remove_worker(instance: &Instance, node: &str) -> Result<Instance, PlanError> {
    running(instance)?;
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
            let workers: Workers = instance.workers.only(|number| worker(number) != *gone);
            Ok(Instance { transit: instance.workers.without(&workers), workers, ..instance.clone() })
        }
    }
}

/// Refuses an instance that does not run.
///
/// # Errors
/// [`PlanError::NotRunning`] with the recorded state.
pub fn running(instance: &Instance) -> Result<(), PlanError> {
    match instance.state {
        State::Running => Ok(()),
        state => Err(PlanError::NotRunning { instance: instance.name.clone(), state }),
    }
}
