use std::collections::BTreeMap;

use super::*;
use crate::audit::cells::Selection;
use crate::audit::sample;
use crate::audit::subject::Destroyed;
use crate::audit::verdict::Verdict;

/// The verdict of a fact after `bend` changed the plan and the facts after the run.
fn judged(fact: Fact, bend: impl Fn(&mut Plan, &mut After)) -> Verdict {
    let plan = Plan::new(1, sample::two(), sample::host(), &Selection::default());
    let (mut plan, mut after) = (plan.expect("a plan"), After { left: Some(Vec::new()), ..After::default() });
    bend(&mut plan, &mut after);
    let (source, target) = (&plan.subjects[0], Some(&plan.subjects[1]));
    judge(fact, &Known { source, target, plan: &plan, after: &after }).verdict
}

fn some(text: &str) -> Option<Vec<String>> {
    Some(vec![text.to_owned()])
}

type Bend = fn(&mut Plan, &mut After);

fn destroyed(after: &mut After, inherited: Option<Vec<String>>, found: &str) {
    let link = Property { what: "UID".to_owned(), recorded: "1".to_owned(), found: found.to_owned() };
    let others = BTreeMap::from([("globex".to_owned(), vec![link])]);
    after.destroyed = Some(Destroyed { instance: "acme".to_owned(), inherited, others });
}

#[test]
fn a_shared_key_or_identity_of_vms_is_a_leak_and_a_missing_one_is_inconclusive() {
    use Verdict::{Inconclusive, Isolated, Leak};
    let machine = |subjects: &mut Vec<Subject>, place: usize, bend: fn(&mut NodeIdentity)| {
        bend(subjects[place].nodes[0].machine.as_mut().expect("a machine"));
    };
    let both = |subjects: &mut Vec<Subject>, bend: fn(&mut NodeIdentity)| {
        (0..2).for_each(|place| machine(subjects, place, bend));
    };
    type Bent<'a> = &'a dyn Fn(&mut Vec<Subject>);
    let table: [(Fact, Verdict, Bent<'_>); 13] = [
        (Fact::NodeIdentities, Isolated, &|_| ()),
        (Fact::NodeIdentities, Leak, &|all| both(all, |machine| machine.product = Some("same".to_owned()))),
        (Fact::NodeIdentities, Leak, &|all| both(all, |machine| machine.host_keys = vec!["same".to_owned()])),
        (Fact::NodeIdentities, Leak, &|all| both(all, |machine| machine.machine_id = "same".to_owned())),
        (Fact::NodeIdentities, Inconclusive, &|all| machine(all, 0, |machine| machine.product = None)),
        (Fact::NodeIdentities, Inconclusive, &|all| machine(all, 0, |machine| machine.host_keys.clear())),
        (Fact::Keys, Isolated, &|_| ()),
        (Fact::Keys, Leak, &|all| both(all, |machine| machine.lets_in.push("ssh-rsa same".to_owned()))),
        (Fact::Keys, Leak, &|all| {
            machine(all, 1, |machine| machine.lets_in.push(format!("ssh-ed25519 {}", EVERYBODYS[1])));
        }),
        (Fact::Keys, Isolated, &|all| {
            machine(all, 0, |machine| machine.lets_in.push(format!("ssh-ed25519 {}", EVERYBODYS[1])));
        }),
        (Fact::Keys, Inconclusive, &|all| machine(all, 0, |machine| machine.lets_in.clear())),
        (Fact::Keys, Inconclusive, &|all| machine(all, 1, |machine| machine.lets_in.clear())),
        (Fact::Keys, Inconclusive, &|all| all[1].nodes[0].machine = None),
    ];
    for (place, (fact, expected, bend)) in table.into_iter().enumerate() {
        let plan = Plan::new(1, sample::two_in_vms(), sample::host(), &Selection::default());
        let mut plan = plan.expect("a plan");
        bend(&mut plan.subjects);
        let (source, target) = (&plan.subjects[0], Some(&plan.subjects[1]));
        let known = Known { source, target, plan: &plan, after: &After::default() };
        assert_eq!(judge(fact, &known).verdict, expected, "{fact:?}, row {place}");
    }
}

#[test]
fn facts_are_isolated_or_a_leak_and_missing_ones_are_inconclusive_or_not_covered() {
    use Fact::*;
    use Verdict::{Inconclusive, Isolated, Leak, NotCovered};
    let table: [(Fact, Verdict, Bend); 43] = [
        (Forwards, Isolated, |_, _| ()),
        (Forwards, Isolated, |plan, _| forward(plan, "10.0.0.9:80")),
        (Forwards, Leak, |plan, _| forward(plan, "192.168.61.10:6443")),
        (Forwards, Leak, |plan, _| forward(plan, "10.245.7.7:80")),
        (Forwards, Inconclusive, |plan, _| plan.host.forwards = None),
        (RouteLocalnet, Isolated, |_, _| ()),
        (RouteLocalnet, Leak, |plan, _| set(plan, "all", Some("1"))),
        (RouteLocalnet, Leak, |plan, _| set(plan, "hl-acme", Some("1"))),
        (RouteLocalnet, Inconclusive, |plan, _| set(plan, "hl-acme", None)),
        (RouteLocalnet, Inconclusive, |plan, _| plan.host.addresses.clear()),
        (NodeIdentities, Isolated, |_, _| ()),
        (NodeIdentities, Leak, |plan, _| {
            plan.subjects[0].nodes[1].machine = plan.subjects[1].nodes[0].machine.clone();
        }),
        (NodeIdentities, Leak, |plan, _| {
            identities_with(plan, |machine| machine.machine_id = "same".to_owned())
        }),
        (NodeIdentities, Leak, |plan, _| {
            identities_with(plan, |machine| machine.node_uid = "same".to_owned())
        }),
        (NodeIdentities, Leak, |plan, _| {
            identities_with(plan, |machine| machine.host_keys = vec!["same".to_owned()])
        }),
        (NodeIdentities, Inconclusive, |plan, _| plan.subjects[0].nodes[0].machine = None),
        (NodeIdentities, Inconclusive, |plan, _| plan.subjects[1].nodes[0].machine = None),
        (NodeIdentities, Inconclusive, |plan, _| identities_with(plan, |machine| machine.machine_id.clear())),
        (Identity, Isolated, |_, _| ()),
        (Identity, Leak, |plan, _| links(plan)[3].found = format!("{} of globex", CHAIN[3])),
        (Identity, Leak, |plan, _| links(plan)[1].recorded = "server of globex".to_owned()),
        (Identity, Inconclusive, |plan, _| links(plan)[2].found = "another CA".to_owned()),
        (Identity, Inconclusive, |plan, _| links(plan)[2].found.clear()),
        (Identity, Inconclusive, |plan, _| drop(links(plan).pop())),
        (Identity, Inconclusive, |plan, _| plan.subjects[1].identity = None),
        (Stores, Isolated, |_, _| ()),
        (Stores, Leak, |plan, _| plan.subjects[0].store = some("8:1:61 /somewhere/else")),
        (Stores, Inconclusive, |plan, _| plan.subjects[0].store = None),
        (Stores, Inconclusive, |plan, _| plan.subjects[1].store = Some(Vec::new())),
        (Secrets, Isolated, |_, _| ()),
        (Secrets, Leak, |plan, _| search(plan, true, "globex")),
        (Secrets, Isolated, |plan, _| search(plan, true, "initech")),
        (Secrets, Inconclusive, |plan, _| search(plan, false, "globex")),
        (Secrets, Inconclusive, |plan, _| plan.subjects[0].search = None),
        (Secrets, Inconclusive, |plan, _| trace(plan, "globex")),
        (Secrets, Isolated, |plan, _| trace(plan, "initech")),
        (Left, Isolated, |_, _| ()),
        (Left, Leak, |_, after| after.left = some("+ link: hl-x")),
        (Left, Inconclusive, |_, after| after.left = None),
        (Registry, Isolated, |_, _| ()),
        (Registry, Leak, |plan, _| plan.host.disagreements = some("an unknown container")),
        (Registry, Inconclusive, |plan, _| plan.host.disagreements = None),
        (Inherited, NotCovered, |_, _| ()),
    ];
    for (number, (fact, expected, bend)) in table.into_iter().enumerate() {
        assert_eq!(judged(fact, bend), expected, "{fact:?}, case {number}");
    }
    let after: [(Fact, Verdict, Bend); 8] = [
        (Inherited, Isolated, |_, after| destroyed(after, Some(Vec::new()), "1")),
        (Inherited, Leak, |_, after| destroyed(after, some("an old secret"), "1")),
        (Inherited, Inconclusive, |_, after| destroyed(after, None, "1")),
        (Destroyed, NotCovered, |_, _| ()),
        (Destroyed, Isolated, |_, after| destroyed(after, None, "1")),
        (Destroyed, Leak, |_, after| destroyed(after, None, "2")),
        (Destroyed, Inconclusive, |_, after| {
            destroyed(after, None, "1");
            after.destroyed.as_mut().expect("it").others.clear();
        }),
        (Networks, Isolated, |_, _| ()),
    ];
    for (number, (fact, expected, bend)) in after.into_iter().enumerate() {
        assert_eq!(judged(fact, bend), expected, "{fact:?}, case {number} of what comes after");
    }
}

fn forward(plan: &mut Plan, to: &str) {
    let at = |text: &str| text.parse().expect("a socket address");
    plan.host.forwards = Some(vec![(at("0.0.0.0:8443"), at(to))]);
}

fn set(plan: &mut Plan, link: &str, value: Option<&str>) {
    let key = format!("net.ipv4.conf.{link}.route_localnet");
    plan.host.settings.remove(&key);
    plan.host.settings.extend(value.map(|value| (key, value.to_owned())));
}

fn identities_with(plan: &mut Plan, bend: impl Fn(&mut NodeIdentity)) {
    for subject in &mut plan.subjects {
        bend(subject.nodes[0].machine.as_mut().expect("a machine"));
    }
}

fn links(plan: &mut Plan) -> &mut Vec<Property> {
    plan.subjects[0].identity.as_mut().expect("an identity")
}

fn trace(plan: &mut Plan, whose: &str) {
    let search = plan.subjects[0].search.as_mut().unwrap();
    search.add(whose, false, "/a/file");
}

fn search(plan: &mut Plan, control_found: bool, whose: &str) {
    let found = vec![(whose.to_owned(), "events.jsonl".to_owned())];
    plan.subjects[0].search =
        Some(crate::audit::subject::Search { control_found, found, ..Default::default() });
}
