//! The registry as people and programs read it, and its published schemas.

use jiff::Timestamp;
use provisioner::registry::{
    Entry, Instance, Keeper, Liveness, ObservedState, Operation, OperationKind, Owner, UnknownLiveness,
};
use provisioner::request::{EngineKind, Handling, NodeSize, Provider};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::list;
use super::show;
use super::view::{ListView, ShowView};

fn instance(name: &str, topology: &str, third: u8, state: &str) -> Instance {
    let entry = json!({
        "name": name, "subnet": format!("192.168.{third}.0/24"), "tldPrefix": name,
        "createdAt": "2026-11-18T00:00:00Z", "topology": topology, "workers": [1, 2, 3],
        "engine": "container", "state": state, "keeper": "operator",
        "handling": { "fsync": true, "kubeconfig": true, "hostNames": true, "selfTest": false },
        "k8s": {
            "distribution": "kubeadm", "version": "v1.36.3", "podCidr": format!("10.{third}.0.0/16"),
            "serviceCidr": format!("10.1{third}.0.0/16"), "kubeconfigContext": name,
            "caName": format!("HomeLab CA - {name}"), "cni": "routed",
        },
    });
    serde_json::from_value(entry).expect("an entry as the registry writes it")
}

/// An instance that runs.
pub(crate) fn running(name: &str) -> Instance {
    instance(name, "k8s-single", 60, "running")
}

/// An instance of several nodes that runs.
pub(crate) fn multi(name: &str) -> Instance {
    instance(name, "k8s-multi", 60, "running")
}

fn owner() -> Owner {
    let owner = json!({ "pid": 4711, "startTime": 12345, "bootId": "6f3c", "runId": "run-1" });
    serde_json::from_value(owner).expect("an owner as the registry writes it")
}

fn operation(kind: OperationKind) -> Option<Operation> {
    Some(Operation { kind, owner: owner(), since: "2026-11-18T00:00:00Z".parse().expect("a time") })
}

fn acme() -> Instance {
    instance("acme", "k8s-multi", 60, "running")
}

/// A paused instance with VMs as nodes.
fn strict() -> Instance {
    let mut strict = instance("strict", "k8s-multi", 64, "paused");
    strict.engine = EngineKind::Vagrant(Provider::Libvirt);
    strict.size = Some(NodeSize { cpus: 2, memory_mib: 2560 });
    strict.management = Some("10.232.0.0/24".parse().expect("a network"));
    strict
}

/// An instance that ran when the host was switched off.
fn slept_through() -> Instance {
    let last_boot = Some("1a".to_owned());
    Instance { boot_id: last_boot, ..instance("slept", "k8s-single", 65, "running") }
}

/// An instance whose creation was killed.
pub(crate) fn orphan() -> Instance {
    let operation = operation(OperationKind::Create);
    Instance { operation, ..instance("orphan", "k8s-single", 63, "creating") }
}

/// An instance of a test run, with a worker in transit.
fn tested() -> Instance {
    let transit = serde_json::from_value(json!([4])).expect("a worker's number");
    let (keeper, handling) = (Keeper::Run(owner()), Handling::TEST);
    Instance { keeper, handling, transit, operation: operation(OperationKind::AddWorkers), ..acme() }
}

fn some() -> Vec<Entry> {
    vec![
        Entry::Sound(acme()),
        Entry::Broken { name: Some("globex".to_owned()), error: "missing field `subnet`".to_owned() },
        Entry::Sound(instance("personal", "k8s-single", 62, "creating")),
        Entry::Sound(orphan()),
        Entry::Sound(strict()),
        Entry::Sound(slept_through()),
    ]
}

/// In the boot `2b`.
fn standing(instance: &Instance) -> ObservedState {
    match instance {
        _ if instance.operation.is_some() => ObservedState::Abandoned,
        _ if instance.ran_before("2b") => ObservedState::Off,
        _ => ObservedState::AsRecorded,
    }
}

fn now() -> Timestamp {
    "2026-11-20T14:00:00Z".parse().expect("a time")
}

#[test]
fn the_list_is_as_documented_and_shows_a_broken_entry_with_its_error() {
    insta::assert_snapshot!(list::text(&some(), standing, now()));
}

#[test]
fn the_hint_names_an_instance_that_is_off_since_a_reboot_and_the_command_that_starts_it() {
    let hint = list::hint(&some(), standing).expect("something is off");
    insta::assert_snapshot!(hint, @"slept ran before this host's last reboot and is off: `sudo homelab start slept` starts it with its data");
    assert_eq!(list::hint(&some()[..1], standing), None);
}

#[test]
fn programs_get_every_field_by_name() {
    insta::assert_json_snapshot!(ListView::of(&some(), standing, now()));
}

#[test]
fn an_instance_is_shown_with_everything_that_is_recorded() {
    let views = [&acme(), &orphan(), &strict(), &tested()].map(show);
    insta::assert_snapshot!(views.map(|view| show::text(&view)).join("\n"));
    insta::assert_json_snapshot!([&orphan(), &strict()].map(show));
}

#[test]
fn an_owner_of_unknown_liveness_is_not_shown_as_running() {
    let unknown = |_: &Owner| Liveness::Unknown(UnknownLiveness::Namespace);
    let view = ShowView::of(&tested(), ObservedState::AsRecorded, unknown, now());
    let text = show::text(&view);
    assert!(!text.contains("which runs") && text.contains("cannot be found out"), "{text}");
    assert_eq!(serde_json::to_value(&view).unwrap()["owner"]["alive"], Value::Null);
}

/// The view of an instance whose owner has ended.
fn show(instance: &Instance) -> ShowView {
    ShowView::of(instance, standing(instance), |_| Liveness::Dead, now())
}

/// Checks that the schema of a view is the published one, and that printed views conform to it.
pub(crate) fn published<V: JsonSchema + serde::Serialize>(file: &str, views: &[V]) {
    ::published::is_schema::<V>(file);
    ::published::conform(file, &views.iter().map(crate::printer::json).collect::<Vec<_>>());
}

#[test]
fn the_list_is_as_published() {
    published("instance-list.json", &[ListView::of(&some(), standing, now())]);
}

#[test]
fn an_instance_is_as_published() {
    let views = [&acme(), &orphan(), &strict(), &tested()].map(show);
    published("instance-show.json", &views);
}
