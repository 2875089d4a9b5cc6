//! The ledger: nothing is lost, nothing is guessed, and what it does not understand it keeps.

mod damage;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use provisioner::plan::{self, PlanError, Taken};
use provisioner::registry::{Entry, Instance, Owner, Registry, RegistryError, State};

use crate::given::{House, checked, instance, now, wide_pools};

fn claim(registry: &Registry, name: &str) -> Result<Instance, RegistryError> {
    registry.claim(|there| {
        let taken = Taken { instances: there.to_vec(), host: Vec::new() };
        plan::claim(&checked(name), &taken, &wide_pools(), None, now())
    })
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
fn reading_what_is_not_there_finds_nothing_and_makes_nothing() {
    let house = House::new();
    let registry = Registry::in_home(&house.home);
    assert_eq!(registry.list().unwrap(), []);
    assert_eq!(registry.find("acme").unwrap(), None);
    assert_eq!(registry.release("acme").unwrap(), None);
    assert!(!house.home.root().exists());
}

#[test]
fn what_is_claimed_is_found_by_others_until_it_is_released() {
    let (house, registry) = two();
    let other = Registry::in_home(&house.home);
    let acme = other.find("acme").unwrap().unwrap();
    assert_eq!(acme, instance("acme", &[]).with_pools_of(&acme));
    assert_eq!(other.instances().unwrap().len(), 2);
    assert_eq!(other.release("acme").unwrap(), Some(acme));
    assert_eq!(registry.find("acme").unwrap(), None);
    assert_eq!(registry.release("acme").unwrap(), None);
    assert_eq!(registry.instances().unwrap()[0].name, "globex");
}

#[test]
fn the_file_has_the_documented_format_and_is_for_its_owner_alone() {
    let (house, registry) = two();
    registry
        .update("globex", |globex| {
            globex.state = State::Running;
            globex.owner =
                Some(Owner { pid: 7, start_time: 8, boot_id: "b".to_owned(), run_id: "r".to_owned() });
        })
        .unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(house.home.registry()).unwrap());
    for path in [house.home.registry(), format!("{}.lock", house.home.registry()).into()] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    assert_eq!(std::fs::metadata(house.home.root()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn nothing_but_the_ledger_and_its_lock_is_left_in_the_folder() {
    let (house, registry) = two();
    registry.release("acme").unwrap();
    let names: BTreeSet<_> = std::fs::read_dir(house.home.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["instances.json", "instances.json.lock"].map(str::to_owned).into());
}

#[test]
fn a_refused_claim_records_nothing() {
    let (house, registry) = two();
    let before = std::fs::read(house.home.registry()).unwrap();
    let error = claim(&registry, "acme").unwrap_err();
    insta::assert_snapshot!(error, @"name acme already in use by instance 'acme'");
    insta::assert_snapshot!(error.hint().unwrap(), @"`homelab down acme` frees it; or choose another name");
    assert_eq!(std::fs::read(house.home.registry()).unwrap(), before);
}

#[test]
fn a_name_is_not_claimed_twice_even_if_the_decision_allows_it() {
    let (_house, registry) = two();
    let error = registry.claim(|there| Ok(there[0].clone())).unwrap_err();
    assert!(matches!(error, RegistryError::Plan(PlanError::InUse { what: "name", .. })), "{error}");
}

#[test]
fn an_update_of_what_is_not_there_is_an_error() {
    let (_house, registry) = two();
    let error = registry.update("initech", |_| ()).unwrap_err();
    insta::assert_snapshot!(error, @"no instance 'initech'");
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

#[test]
fn a_file_without_a_version_is_one_of_the_first() {
    let house = House::new();
    house.home.create_dir(house.home.root()).unwrap();
    write(&house, &json!({ "instances": [] }));
    claim(&Registry::in_home(&house.home), "acme").unwrap();
    assert_eq!(file(&house)["version"], 1);
}

#[test]
fn claims_from_many_threads_never_share_anything_and_none_is_lost() {
    const THREADS: usize = 8;
    const CLAIMS: usize = 12;
    let house = House::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let home = &house.home;
            scope.spawn(move || {
                // One for each thread, as each process has one.
                let registry = Registry::in_home(home);
                for i in 0..CLAIMS {
                    let name = format!("t{thread}-{i}");
                    claim(&registry, &name).unwrap();
                    registry.update(&name, |instance| instance.state = State::Running).unwrap();
                    assert!(registry.find(&name).unwrap().is_some());
                    if i % 3 == 0 {
                        registry.release(&name).unwrap().unwrap();
                    }
                }
            });
        }
    });
    let instances = Registry::in_home(&house.home).instances().unwrap();
    assert_eq!(instances.len(), THREADS * CLAIMS * 2 / 3);
    let cidrs: BTreeSet<_> = instances
        .iter()
        .flat_map(|instance| [instance.subnet, instance.k8s.pod_cidr, instance.k8s.service_cidr])
        .collect();
    assert_eq!(cidrs.len(), 3 * instances.len(), "blocks of one size overlap only if they are equal");
    assert!(instances.iter().all(|instance| instance.state == State::Running));
}

/// The tests' registries draw from wider pools than the default ones.
trait WithPools {
    fn with_pools_of(self, other: &Instance) -> Self;
}

impl WithPools for Instance {
    fn with_pools_of(mut self, other: &Instance) -> Self {
        self.k8s.pod_cidr = other.k8s.pod_cidr;
        self.k8s.service_cidr = other.k8s.service_cidr;
        self
    }
}
