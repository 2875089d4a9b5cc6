//! Which instances are audited: judged by the command line and the registry alone. Pure.

use harness::audit::{PlanError, Selection};
use provisioner::registry::{Instance, State};

use super::NoReport;
use crate::exit::{CliError, Refusal};

/// The named instances, or all that run, if the selection asks anything of them.
pub(super) fn choose(
    names: &[String],
    instances: &[Instance],
    selection: &Selection,
) -> Result<Vec<String>, CliError> {
    let known = || instances.iter().map(|instance| instance.name.clone()).collect::<Vec<_>>();
    let chosen: Vec<&Instance> = if names.is_empty() {
        instances.iter().filter(|instance| instance.state == State::Running).collect()
    } else {
        let of = |name: &String| {
            let found = instances.iter().find(|instance| instance.name == *name);
            found.ok_or_else(|| Refusal::Unknown { name: name.clone(), known: known() })
        };
        names.iter().map(of).collect::<Result<_, _>>()?
    };
    if let Some((_, name)) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
        return Err(NoReport::Twice { name: name.clone() }.into());
    }
    if chosen.is_empty() {
        return Err(NoReport::NoneRuns { known: known() }.into());
    }
    let still: Vec<&&Instance> = chosen.iter().filter(|instance| instance.state != State::Running).collect();
    if let Some(first) = still.first() {
        let said = |instance: &&&Instance| format!("{} is {}", instance.name, instance.state);
        let (first, states) = (first.name.clone(), still.iter().map(said).collect());
        return Err(NoReport::NotRunning { first, states }.into());
    }
    let asked: Vec<_> = chosen.iter().map(|instance| (instance.name.clone(), instance.engine)).collect();
    selection.asks(&asked).map_err(|error| match (error, chosen.as_slice()) {
        (PlanError::NothingToAsk, [only]) => NoReport::Alone { name: only.name.clone() },
        (error, _) => NoReport::Selection(error),
    })?;
    Ok(asked.into_iter().map(|(name, _)| name).collect())
}
