//! The findings of `status` about an instance: notes and problems. Pure.

use std::collections::HashMap;

use provisioner::AttachError;
use provisioner::cni::Health;
use provisioner::engine::EngineError;
use provisioner::error::chain;
use provisioner::plan::ClusterPlan;
use provisioner::registry::{Instance, Need, State};

use crate::words;

/// The answers about nodes, by the names of the nodes. A node without an answer is in neither map.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The readiness that the cluster reports.
    pub(super) ready: HashMap<String, Readiness>,
    /// The health that the pod network's agent reports.
    pub(super) health: HashMap<String, Health>,
}

/// Whether a node is Ready, and whether it is cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    pub(super) cordoned: bool,
}

/// A finding, in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// Worth knowing, and no problem.
    Note(String),
    /// A problem: `status` ends with 7.
    Problem(String),
}

/// The notes and the problems among findings.
pub(super) fn sorted(findings: Vec<Finding>) -> (Vec<String>, Vec<String>) {
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for finding in findings {
        match finding {
            Finding::Note(text) => notes.push(text),
            Finding::Problem(text) => problems.push(text),
        }
    }
    (notes, problems)
}

impl Seen {
    /// The agents that are not healthy.
    pub(super) fn unwell(&self) -> Vec<Finding> {
        let of = |(node, health): (&String, &Health)| match health {
            Health::Bad(why) => {
                Some(Finding::Problem(format!("the pod network's agent on {node} is not healthy: {why}")))
            }
            Health::Good | Health::NoAgent => None,
        };
        let mut findings: Vec<Finding> = self.health.iter().filter_map(of).collect();
        findings.sort();
        findings
    }
}

/// The nodes of the plan that the cluster does not report Ready. Nodes in transit need not be Ready.
pub(super) fn unready(
    plan: &ClusterPlan,
    on_their_way: &[String],
    ready: &HashMap<String, Readiness>,
) -> Vec<Finding> {
    let settled = plan.nodes.iter().filter(|node| !on_their_way.contains(&node.name));
    let of = |name: &String| match ready.get(name) {
        Some(Readiness { ready: true, .. }) => None,
        Some(_) => Some(Finding::Problem(format!("node {name} is not Ready"))),
        None => Some(Finding::Problem(format!("the cluster does not know node {name}"))),
    };
    settled.filter_map(|node| of(&node.name)).collect()
}

/// The finding from the registry alone: an operation in progress or unfinished, an instance that did not come up or was
/// not removed completely.
pub(super) fn recorded(instance: &Instance, need: Need<'_>) -> Option<Finding> {
    let name = &instance.name;
    let problem = |text: String| Some(Finding::Problem(text));
    match (instance.state, need, &instance.operation) {
        (_, Need::Abandoned(why), _) => problem(format!("{why}: `sudo homelab reap` removes the instance")),
        (_, Need::Process(owner), Some(operation)) if *owner == operation.owner => Some(Finding::Note(
            format!("process {} began to {} at {:.0}", owner.pid, operation.kind, operation.since),
        )),
        (_, Need::Unknown(owner, why), _) => {
            problem(format!("whether process {} still needs it is unknown: {why}", owner.pid))
        }
        (_, _, Some(operation)) => problem(format!(
            "process {} began to {} at {:.0}, and ended before it had finished: repeat that command",
            operation.owner.pid, operation.kind, operation.since
        )),
        (State::Creating, _, None) => problem("it did not come up, and no process is creating it".to_owned()),
        (State::Failed, ..) => problem("it did not come up, and was kept for inspection".to_owned()),
        (State::Destroying, ..) => {
            problem(format!("its removal began and did not finish: `sudo homelab down {name}` continues it"))
        }
        (State::Running | State::Paused | State::Halted, ..) => None,
    }
}

/// Why the instance's nodes cannot be asked, and what to do about it.
pub(super) fn unattached(instance: &Instance, error: &AttachError) -> Finding {
    let name = &instance.name;
    let AttachError::Engine(EngineError::Absent { node }) = error else {
        return Finding::Problem(chain(error));
    };
    match instance.state {
        State::Paused => Finding::Note(format!(
            "it is paused, its nodes get no CPU time: `sudo homelab resume {name}` resumes it"
        )),
        State::Halted => Finding::Note(format!(
            "it is halted, its nodes are off: `sudo homelab start {name}` starts it with its data"
        )),
        State::Running => Finding::Problem(format!(
            "node {node} does not run, as after a reboot of this host: `sudo homelab start {name}` starts the instance \
             with its data"
        )),
        State::Creating => Finding::Note(format!("node {node} does not run yet")),
        State::Failed | State::Destroying => Finding::Note(format!("node {node} does not run")),
    }
}

/// The workers that are being added or removed, or whose change did not finish.
pub(super) fn transit(workers: &[String], need: Need<'_>) -> Option<Finding> {
    let names = words::list(workers);
    match need {
        _ if workers.is_empty() => None,
        Need::Process(owner) => {
            Some(Finding::Note(format!("workers being added or removed: {names}, by process {}", owner.pid)))
        }
        Need::Operator | Need::Unknown(..) | Need::Abandoned(_) => Some(Finding::Problem(format!(
            "workers whose change did not finish: {names}; the next add-worker, remove-worker, pause or halt removes \
             them"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use provisioner::registry::{Abandoned, Operation, OperationKind, UnknownLiveness};

    use super::super::parse_readiness;
    use super::*;
    use crate::commands::instance::tests::{multi, orphan, running};

    #[test]
    fn stopped_nodes_are_a_problem_only_if_they_should_run() {
        let absent = AttachError::Engine(EngineError::Absent { node: "acme-main".to_owned() });
        let other = AttachError::Engine(EngineError::Preflight(Vec::new()));
        let at = |state, error| unattached(&Instance { state, ..running("acme") }, error);
        let states = [State::Creating, State::Running, State::Paused, State::Halted, State::Failed];
        let told = states.map(|state| format!("{state}: {:?}", at(state, &absent)));
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(at(State::Paused, &other), Finding::Problem("missing requirements: ".to_owned()));
    }

    #[test]
    fn an_unfinished_or_failed_operation_is_a_problem_unless_a_process_works_on_it() {
        const STATES: [State; 6] =
            [State::Creating, State::Running, State::Paused, State::Halted, State::Failed, State::Destroying];
        let told = |instance: &Instance, need| format!("{}: {:?}", instance.state, recorded(instance, need));
        let of = |state| Instance { state, ..running("acme") };
        let mut all: Vec<String> = STATES.into_iter().map(|state| told(&of(state), Need::Operator)).collect();
        let orphan = orphan();
        let owner = &orphan.operation.as_ref().expect("it is being created").owner;
        let needs = [
            Need::Process(owner),
            Need::Abandoned(Abandoned::Creation(owner.pid)),
            Need::Unknown(owner, UnknownLiveness::Namespace),
        ];
        all.extend(needs.map(|need| told(&orphan, need)));
        let halt = Operation { kind: OperationKind::Halt, ..orphan.operation.clone().expect("as above") };
        let halted = Instance { operation: Some(halt), ..of(State::Halted) };
        all.extend([Need::Process(owner), Need::Operator].map(|need| told(&halted, need)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_node_that_is_not_ready_is_a_problem_unless_it_is_in_transit() {
        let instance = multi("acme");
        let plan = ClusterPlan::of(&instance, &provisioner::home::Home::at("/root/.homelab"));
        let ready = parse_readiness("acme-cp-1 True <none>\nacme-w-1 Unknown <none>\n");
        let found = unready(&plan, &["acme-w-3".to_owned()], &ready);
        let problem = |text: &str| Finding::Problem(text.to_owned());
        assert_eq!(
            found,
            [problem("node acme-w-1 is not Ready"), problem("the cluster does not know node acme-w-2")]
        );
    }
}
