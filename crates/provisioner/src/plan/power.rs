//! Instances are paused, halted and started again: the four verbs, and when each is allowed. Pure.

use std::fmt;

use crate::registry::{Instance, State};

use super::PlanError;
use super::workers::running;

/// What becomes of nodes that stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// They keep their memory and get no processor.
    Pause,
    /// They go on where they were paused; nodes that run, run on, and those that are off stay off.
    Resume,
    /// They are shut down and keep their disks.
    Halt,
    /// They boot; nodes that run, run on.
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

/// Decides that an instance comes to rest: what is recorded before the first node does. One that rests in this way
/// already stays as it is, so that what was cut short can be repeated.
///
/// # Errors
/// [`PlanError::NotRunning`] when it did not come up or rests in another way.
pub fn at_rest(instance: &Instance, power: Power) -> Result<Instance, PlanError> {
    let state = rest(power);
    if instance.state != state {
        running(instance)?;
    }
    Ok(Instance { state, ..instance.clone() })
}

/// Decides that an instance runs again: what is recorded when all nodes do. One that runs already stays as it is. A
/// start wakes whatever rests: what was paused is off after a reboot of this host.
///
/// # Errors
/// [`PlanError::NotRunning`] when it did not come up, or is off and only to be resumed.
pub fn awake(instance: &Instance, power: Power) -> Result<Instance, PlanError> {
    match (instance.state, power) {
        (State::Running | State::Paused, _) | (State::Halted, Power::Start) => {
            Ok(Instance { state: State::Running, ..instance.clone() })
        }
        (state, _) => Err(PlanError::NotRunning { instance: instance.name.clone(), state }),
    }
}

/// The rest that this leads to.
fn rest(power: Power) -> State {
    match power {
        Power::Pause | Power::Resume => State::Paused,
        Power::Halt | Power::Start => State::Halted,
    }
}
