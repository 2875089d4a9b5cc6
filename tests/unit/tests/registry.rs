//! The ledger: no entry is lost, nothing is guessed, and unknown fields are kept.

mod contract;
mod damage;
mod migration;
mod torture;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use provisioner::plan::{PlanError, Taken};
use provisioner::registry::{
    ChangeError, Entry, Instance, Keeper, OperationKind, Registry, RegistryError, State,
};

use crate::given::{House, checked, claimed, instance, owner, wide_pools};

fn claim(registry: &Registry, name: &str) -> Result<Instance, ChangeError<PlanError>> {
    registry.claim(|there| {
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        claimed(&checked(name), &taken, &wide_pools())
    })
}

/// Records an instance; an error can only come from the ledger itself.
fn recorded(registry: &Registry, name: &str) -> Result<(), RegistryError> {
    match claim(registry, name) {
        Ok(_) => Ok(()),
        Err(ChangeError::Registry(error)) => Err(error),
        Err(ChangeError::Refused(error)) => panic!("{name} is refused: {error}"),
    }
}

/// A registry with acme and globex in it.
fn two() -> (House, Registry) {
    let house = House::new();
    let registry = Registry::in_home(&house.home);
    for name in ["acme", "globex"] {
        claim(&registry, name).unwrap();
    }
    (house, registry)
}

fn file(house: &House) -> Value {
    serde_json::from_str(&std::fs::read_to_string(house.home.registry()).unwrap()).unwrap()
}

fn write(house: &House, file: &Value) {
    std::fs::write(house.home.registry(), serde_json::to_vec_pretty(file).unwrap()).unwrap();
}

#[test]
fn the_file_has_the_documented_format_and_is_for_its_owner_alone() {
    let (house, registry) = two();
    registry
        .update("globex", |globex| {
            globex.state = State::Running;
            globex.keeper = Keeper::Run(owner());
            globex.operation = None;
        })
        .unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(house.home.registry()).unwrap());
    for path in [house.home.registry(), format!("{}.lock", house.home.registry()).into()] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    assert_eq!(std::fs::metadata(house.home.root()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn nothing_but_the_ledger_its_lock_and_the_id_is_left_in_the_folder() {
    let (house, registry) = two();
    registry.release("acme").unwrap();
    let names: BTreeSet<_> = std::fs::read_dir(house.home.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["home-id", "instances.json", "instances.json.lock"].map(str::to_owned).into());
}

#[test]
fn two_handles_of_one_registry_see_the_same_entries() {
    let (house, registry) = two();
    let other = Registry::in_home(&house.home);
    assert_eq!(other.list().unwrap(), registry.list().unwrap());
    other.release("acme").unwrap().unwrap();
    assert_eq!(registry.find("acme").unwrap(), None);
}

#[test]
fn fields_of_newer_versions_survive_at_all_levels() {
    let (house, registry) = two();
    let mut altered = file(&house);
    altered["colour"] = json!({ "of": "the file" });
    altered["instances"][0]["colour"] = json!("of the entry");
    altered["instances"][0]["k8s"]["colour"] = json!(["of", 1, "part"]);
    altered["instances"][0]["owner"] =
        json!({ "pid": 7, "startTime": 8, "bootId": "b", "runId": "r", "colour": "of the owner" });
    write(&house, &altered);
    registry.update("acme", |acme| acme.state = State::Running).unwrap();
    claim(&registry, "initech").unwrap();
    registry.release("globex").unwrap();
    let after = file(&house);
    altered["instances"][0]["state"] = json!("running");
    assert_eq!(after["colour"], altered["colour"]);
    assert_eq!(after["instances"][0], altered["instances"][0]);
    registry.update("acme", |acme| acme.k8s.version = "v9".to_owned()).unwrap();
    assert_eq!(file(&house)["instances"][0]["k8s"]["colour"], json!(["of", 1, "part"]));
}
