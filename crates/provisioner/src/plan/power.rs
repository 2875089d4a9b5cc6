//! Pause, resume, halt and start: in which state of an instance each is allowed, and the state after it. Pure.

use std::fmt;

use crate::registry::{Instance, State};

use super::PlanError;
use super::workers::running;

/// An operation on the nodes of an instance that keeps their disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// The nodes keep their memory and get no CPU time.
    Pause,
    /// Paused nodes continue. Running nodes and nodes that are off stay as they are.
    Resume,
    /// The nodes shut down and keep their disks.
    Halt,
    /// The nodes boot. Running nodes stay as they are.
    Start,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Start => "start",
        })
    }
}

/// The entry of an instance that is to be paused or halted, recorded before the first node is. An instance that is
/// already in that state is accepted, so that an interrupted operation can be repeated.
///
/// # Errors
/// [`PlanError::NotRunning`] when the instance did not come up, is halted and to be paused, or is paused and to be
/// halted.
pub fn stopped(instance: &Instance, power: Power) -> Result<Instance, PlanError> {
    let state = rest(power);
    if instance.state != state {
        running(instance)?;
    }
    Ok(Instance { state, ..instance.clone() })
}

/// The entry of an instance that was resumed or started, recorded when all nodes run. A running instance is accepted. A
/// start also accepts a paused instance, because its nodes are off after a reboot of the host.
///
/// # Errors
/// [`PlanError::NotRunning`] when the instance did not come up, or is halted and to be resumed.
pub fn running_again(instance: &Instance, power: Power) -> Result<Instance, PlanError> {
    match (instance.state, power) {
        (State::Running | State::Paused, _) | (State::Halted, Power::Start) => {
            Ok(Instance { state: State::Running, ..instance.clone() })
        }
        (state, _) => Err(PlanError::NotRunning { instance: instance.name.clone(), state }),
    }
}

/// The state after a pause or halt, and before a resume or start.
fn rest(power: Power) -> State {
    match power {
        Power::Pause | Power::Resume => State::Paused,
        Power::Halt | Power::Start => State::Halted,
    }
}
