//! What `status` finds out about an instance, and whether that is a problem. Pure.

use std::collections::HashMap;

use provisioner::AttachError;
use provisioner::cni::Health;
use provisioner::engine::EngineError;
use provisioner::error::chain;
use provisioner::home::Home;
use provisioner::plan::ClusterPlan;
use provisioner::registry::{Instance, Liveness, State, Transit};

use crate::words;

/// What was found out about the nodes, by their names. A node of which nothing is known is in neither.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How it is, as the cluster says.
    pub(super) ready: HashMap<String, Readiness>,
    /// How its agent of the pod network is.
    pub(super) health: HashMap<String, Health>,
}

/// Whether a node runs pods, and takes new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    pub(super) cordoned: bool,
}

/// Something that was found out, in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// It is worth knowing, and as it should be.
    Note(String),
    /// It is not as it should be.
    Problem(String),
}

/// Notes and problems.
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
    /// The agents that are not well.
    pub(super) fn unwell(&self) -> Vec<Finding> {
        let of = |(node, health): (&String, &Health)| match health {
            Health::Bad(why) => {
                Some(Finding::Problem(format!("the pod network's agent on {node} is not well: {why}")))
            }
            Health::Good | Health::NoAgent => None,
        };
        let mut findings: Vec<Finding> = self.health.iter().filter_map(of).collect();
        findings.sort();
        findings
    }
}

/// The nodes of the plan that the cluster does not report Ready. Those on their way in or out need not be.
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

/// What the registry says of an instance that never came up, or is going.
pub(super) fn recorded(instance: &Instance, is_abandoned: bool) -> Option<Finding> {
    let name = &instance.name;
    let problem = |text: String| Some(Finding::Problem(text));
    match (instance.state, &instance.owner) {
        (_, Some(owner)) if is_abandoned => problem(format!(
            "it belongs to process {}, which is gone: `homelab reap` takes it away",
            owner.pid
        )),
        (State::Creating, Some(owner)) => Some(Finding::Note(format!("process {} is making it", owner.pid))),
        (State::Creating, None) => problem("it did not come up, and no process is making it".to_owned()),
        (State::Failed, _) => problem("it did not come up; what there is of it was kept".to_owned()),
        (State::Destroying, _) => problem(format!(
            "its removal has begun and may have stopped: `homelab down {name}` goes on with it"
        )),
        (State::Running | State::Paused | State::Halted, _) => None,
    }
}

/// Why its nodes cannot be asked, and what to do about it.
pub(super) fn unattached(instance: &Instance, error: &AttachError) -> Finding {
    let name = &instance.name;
    let AttachError::Engine(EngineError::Absent { node }) = error else {
        return Finding::Problem(chain(error));
    };
    match instance.state {
        State::Paused => Finding::Note(format!(
            "it is paused, its nodes get no processor: `homelab resume {name}` has it go on"
        )),
        State::Halted => Finding::Note(format!(
            "it is halted, its nodes are off: `homelab start {name}` starts it with its data"
        )),
        State::Running => Finding::Problem(format!(
            "node {node} does not run, as after a reboot of this host: `homelab start {name}` starts it with its data"
        )),
        State::Creating => Finding::Note(format!("node {node} does not run yet")),
        State::Failed | State::Destroying => Finding::Note(format!("node {node} does not run")),
    }
}

/// What goes on with workers, or did not finish.
pub(super) fn transit(home: &Home, workers: &[String], transit: &Transit) -> Finding {
    let workers = words::list(workers);
    match transit.owner.as_ref().filter(|owner| owner.liveness(home) != Liveness::Dead) {
        Some(owner) => {
            Finding::Note(format!("workers being added or removed: {workers}, by process {}", owner.pid))
        }
        None => Finding::Problem(format!(
            "workers whose change did not finish: {workers}; the next add-worker or remove-worker removes them"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_readiness;
    use super::*;
    use crate::commands::instance::tests::{multi, orphan, running};

    #[test]
    fn nodes_that_do_not_run_are_a_problem_only_where_they_should() {
        let absent = AttachError::Engine(EngineError::Absent { node: "acme-main".to_owned() });
        let other = AttachError::Engine(EngineError::Preflight(Vec::new()));
        let at = |state, error| unattached(&Instance { state, ..running("acme") }, error);
        let states = [State::Creating, State::Running, State::Paused, State::Halted, State::Failed];
        let told = states.map(|state| format!("{state}: {:?}", at(state, &absent)));
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(at(State::Paused, &other), Finding::Problem("this host lacks: ".to_owned()));
    }

    #[test]
    fn what_is_recorded_of_an_instance_that_does_not_run_is_a_problem_unless_a_process_sees_to_it() {
        const STATES: [State; 6] =
            [State::Creating, State::Running, State::Paused, State::Halted, State::Failed, State::Destroying];
        let of = |state| Instance { state, ..running("acme") };
        let mut told: Vec<String> =
            STATES.into_iter().map(|state| format!("{state}: {:?}", recorded(&of(state), false))).collect();
        told.extend([false, true].map(|dead| format!("owned, {dead}: {:?}", recorded(&orphan(), dead))));
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_node_that_is_not_ready_is_a_problem_unless_it_is_on_its_way() {
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
