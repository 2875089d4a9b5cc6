//! Chooses the instances to audit, by the command line and the registry alone. Pure.

use harness::audit::{LeftOut, Selection, SelectionError};
use provisioner::registry::{Instance, ObservedState, State};

use super::NoReport;
use crate::exit::{CliError, Refusal};

/// The instances of an audit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The instances that are audited.
    pub(super) names: Vec<String>,
    /// The instances that are left out because they do not run. Empty if names were given.
    pub(super) left_out: Vec<LeftOut>,
}

/// Chooses the named instances, which must run, or, without any name, all that run. Contexts are names of other clusters.
/// The selection must leave at least one probe between all of them.
pub(super) fn choose(
    (names, contexts): (&[String], &[String]),
    instances: &[Instance],
    standing: impl Fn(&Instance) -> ObservedState,
    selection: &Selection,
) -> Result<Chosen, CliError> {
    // An instance that ran before the host's last reboot is off, as if it had been halted.
    let off = |instance: &Instance| standing(instance) == ObservedState::Off;
    let state = |instance: &Instance| if off(instance) { State::Halted } else { instance.state };
    let runs = |instance: &Instance| state(instance) == State::Running;
    let how = |instance: &Instance| match off(instance) {
        true => "off since the last reboot of this host".to_owned(),
        false => instance.state.to_string(),
    };
    let known = || instances.iter().map(|instance| instance.name.clone()).collect::<Vec<_>>();
    let is_named = !names.is_empty() || !contexts.is_empty();
    let chosen: Vec<&Instance> = if !is_named {
        instances.iter().filter(|instance| runs(instance)).collect()
    } else {
        let of = |name: &String| {
            let found = instances.iter().find(|instance| instance.name == *name);
            found.ok_or_else(|| Refusal::Unknown { name: name.clone(), known: known() })
        };
        names.iter().map(of).collect::<Result<_, _>>()?
    };
    let all = [names, contexts].concat();
    if let Some((_, name)) = all.iter().enumerate().find(|(place, name)| all[..*place].contains(name)) {
        return Err(NoReport::Twice { name: name.clone() }.into());
    }
    if chosen.is_empty() && !is_named {
        return Err(NoReport::NoneRuns { known: known() }.into());
    }
    let still: Vec<&&Instance> = chosen.iter().filter(|instance| !runs(instance)).collect();
    if let Some(first) = still.first() {
        let said = |instance: &&&Instance| format!("{} is {}", instance.name, how(instance));
        let (first, state) = (first.name.clone(), state(first));
        return Err(NoReport::NotRunning { first, state, states: still.iter().map(said).collect() }.into());
    }
    let asked: Vec<String> = chosen.iter().map(|instance| instance.name.clone()).collect();
    let all = [asked.as_slice(), contexts].concat();
    selection.asks(&all).map_err(|error| match (error, all.as_slice()) {
        (SelectionError::NothingToAsk, [only]) => NoReport::Alone { name: only.clone() },
        (error, _) => NoReport::Selection(error),
    })?;
    let left_out = instances.iter().filter(|instance| !is_named && !runs(instance));
    let left_out = left_out
        .map(|instance| LeftOut { instance: instance.name.clone(), why: format!("it is {}", how(instance)) })
        .collect();
    Ok(Chosen { names: asked, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::instance::tests::running;

    fn three() -> [Instance; 3] {
        let initech = Instance { state: State::Halted, ..running("initech") };
        [running("acme"), running("globex"), initech]
    }

    fn as_recorded(_: &Instance) -> ObservedState {
        ObservedState::AsRecorded
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_names_all_running_instances_are_audited_and_a_halted_one_is_left_out_with_the_reason() {
        let chosen = choose((&[], &[]), &three(), as_recorded, &Selection::default()).expect("two run");
        let left_out = vec![LeftOut { instance: "initech".to_owned(), why: "it is halted".to_owned() }];
        assert_eq!(chosen, Chosen { names: names(&["acme", "globex"]), left_out });
        let one_left =
            choose((&[], &[]), &three()[1..], as_recorded, &Selection::default()).expect("one runs");
        assert_eq!((one_left.names, one_left.left_out.len()), (names(&["globex"]), 1));
    }

    #[test]
    fn an_instance_that_is_off_since_a_reboot_is_left_out_with_the_reason_and_refused_by_name() {
        let standing = |instance: &Instance| match instance.name.as_str() {
            "acme" => ObservedState::Off,
            _ => ObservedState::AsRecorded,
        };
        let chosen = choose((&[], &[]), &three()[..2], standing, &Selection::default()).expect("one runs");
        assert_eq!(chosen.names, names(&["globex"]));
        assert_eq!(chosen.left_out[0].why, "it is off since the last reboot of this host");
        let refused = choose((&names(&["acme"]), &[]), &three(), standing, &Selection::default());
        let refused = refused.expect_err("it is off");
        assert_eq!(refused.hint().as_deref(), Some("`sudo homelab start acme` starts it with its data"));
        assert!(refused.cause().to_string().contains("acme is off since the last reboot"));
    }

    #[test]
    fn with_names_only_these_are_audited_and_a_halted_one_is_refused() {
        let chosen = choose((&names(&["globex", "acme"]), &[]), &three(), as_recorded, &Selection::default())
            .expect("both run");
        assert_eq!(chosen, Chosen { names: names(&["globex", "acme"]), left_out: Vec::new() });
        let refused =
            choose((&names(&["acme", "initech"]), &[]), &three(), as_recorded, &Selection::default());
        assert_eq!(
            refused.expect_err("it is halted").hint().as_deref(),
            Some("`sudo homelab start initech` starts it with its data")
        );
    }
}
