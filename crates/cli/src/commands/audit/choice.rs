//! Which instances are audited: judged by the command line and the registry alone. Pure.

use harness::audit::{LeftOut, PlanError, Selection};
use provisioner::registry::{Instance, State};

use super::NoReport;
use crate::exit::{CliError, Refusal};

/// What an audit is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The instances that are audited.
    pub(super) names: Vec<String>,
    /// Those that are meant, too, and do not run.
    pub(super) left_out: Vec<LeftOut>,
}

/// The named instances, which must run, or all that there are, if the selection asks anything of them.
pub(super) fn choose(
    names: &[String],
    instances: &[Instance],
    selection: &Selection,
) -> Result<Chosen, CliError> {
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
        let (first, state) = (first.name.clone(), first.state);
        return Err(NoReport::NotRunning { first, state, states: still.iter().map(said).collect() }.into());
    }
    let asked: Vec<_> = chosen.iter().map(|instance| (instance.name.clone(), instance.engine)).collect();
    selection.asks(&asked).map_err(|error| match (error, chosen.as_slice()) {
        (PlanError::NothingToAsk, [only]) => NoReport::Alone { name: only.name.clone() },
        (error, _) => NoReport::Selection(error),
    })?;
    let left_out = instances.iter().filter(|instance| names.is_empty() && instance.state != State::Running);
    let left_out = left_out
        .map(|instance| LeftOut { instance: instance.name.clone(), why: format!("it is {}", instance.state) })
        .collect();
    Ok(Chosen { names: asked.into_iter().map(|(name, _)| name).collect(), left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::instance::tests::running;

    fn three() -> [Instance; 3] {
        let initech = Instance { state: State::Halted, ..running("initech") };
        [running("acme"), running("globex"), initech]
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_names_all_are_meant_and_one_that_rests_is_left_out_with_the_reason() {
        let chosen = choose(&[], &three(), &Selection::default()).expect("two run");
        let left_out = vec![LeftOut { instance: "initech".to_owned(), why: "it is halted".to_owned() }];
        assert_eq!(chosen, Chosen { names: names(&["acme", "globex"]), left_out });
        let one_left = choose(&[], &three()[1..], &Selection::default()).expect("one runs");
        assert_eq!((one_left.names, one_left.left_out.len()), (names(&["globex"]), 1));
    }

    #[test]
    fn with_names_only_these_are_meant() {
        let chosen = choose(&names(&["globex", "acme"]), &three(), &Selection::default()).expect("both run");
        assert_eq!(chosen, Chosen { names: names(&["globex", "acme"]), left_out: Vec::new() });
        let refused = choose(&names(&["acme", "initech"]), &three(), &Selection::default());
        assert_eq!(
            refused.expect_err("it is halted").hint().as_deref(),
            Some("`homelab start initech` starts it with its data")
        );
    }
}
