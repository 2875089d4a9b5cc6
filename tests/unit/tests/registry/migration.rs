//! A ledger of an old format, mostly of format 0, which has no `version`, is read as it is. The first change writes
//! it in the present format.

use std::net::Ipv4Addr;

use provisioner::home::Home;
use provisioner::plan::ClusterPlan;
use provisioner::request::{CniKind, Handling};

use super::*;

/// A file of format 0 with acme, globex and unknown fields.
fn old() -> Value {
    let entry = |name: &str, subnet: &str, topology: &str, second: u8| {
        json!({
            "name": name, "subnet": subnet, "tldPrefix": name, "createdAt": "2025-06-01T08:00:00Z",
            "topology": topology, "engine": "container", "colour": { "of": "the entry" },
            "k8s": {
                "distribution": "kubeadm", "version": "v1.31.4", "podCidr": format!("10.{second}.0.0/16"),
                "serviceCidr": format!("10.{}.0.0/16", second - 148), "kubeconfigContext": name,
                "caName": format!("HomeLab CA - {name}"), "colour": ["of", 1, "part"],
            },
            "state": "running", "owner": null, "federated": [],
        })
    };
    json!({
        "colour": "of the file",
        "instances": [
            entry("acme", "192.168.60", "k8s-multi", 244),
            entry("globex", "192.168.61.0/24", "k8s-single", 245),
        ],
    })
}

/// Replaces `owner`, `durability` and an empty `federated` in an operator's entry by the fields of format 3.
fn as_format_3(entry: &mut Value) {
    let entry = entry.as_object_mut().unwrap();
    for gone in ["owner", "durability", "federated"] {
        entry.remove(gone);
    }
    entry.insert("keeper".to_owned(), json!("operator"));
    let handling = json!({ "fsync": true, "kubeconfig": true, "hostNames": true, "selfTest": false });
    entry.insert("handling".to_owned(), handling);
}

fn written(file: &Value) -> (House, Registry) {
    let house = House::new();
    house.home.create_dir(house.home.root()).unwrap();
    write(&house, file);
    let registry = Registry::in_home(&house.home);
    (house, registry)
}

fn kept(house: &House) -> camino::Utf8PathBuf {
    format!("{}.v0", house.home.registry()).into()
}

#[test]
fn an_old_file_is_read_with_defaults_for_missing_fields_and_is_not_touched() {
    let (house, registry) = written(&old());
    let before = std::fs::read(house.home.registry()).unwrap();
    let instances = registry.instances().unwrap();
    let read: Vec<_> = instances
        .iter()
        .map(|one| {
            (one.name.as_str(), one.subnet.to_string(), one.workers.count(), one.handling, one.k8s.cni)
        })
        .collect();
    let (durable, routed) = (Handling::OPERATOR, CniKind::Routed);
    assert_eq!(
        read,
        [
            ("acme", "192.168.60.0/24".to_owned(), 3, durable, routed),
            ("globex", "192.168.61.0/24".to_owned(), 0, durable, routed),
        ]
    );
    let plan = ClusterPlan::of(&instances[0], &Home::at("/h"));
    assert_eq!((plan.nodes.len(), plan.nodes[3].address), (4, Ipv4Addr::new(192, 168, 60, 23)));
    assert_eq!(std::fs::read(house.home.registry()).unwrap(), before);
    assert!(!kept(&house).exists());
}

#[test]
fn the_first_change_writes_the_present_format_and_keeps_the_old_bytes_beside_it() {
    let (house, registry) = written(&old());
    let before = std::fs::read(house.home.registry()).unwrap();
    registry.update("acme", |_| ()).unwrap();
    assert_eq!(
        std::fs::read(house.home.registry()).unwrap(),
        before,
        "the file was written without a change"
    );
    let initech = claim(&registry, "initech").unwrap();
    assert!(
        initech.networks().iter().all(|net| !registry
            .find("acme")
            .unwrap()
            .unwrap()
            .networks()
            .contains(net))
    );

    let after = file(&house);
    let mut expected = old();
    expected["version"] = json!(3);
    expected["instances"][0]["subnet"] = json!("192.168.60.0/24");
    for (i, workers) in [json!([1, 2, 3]), json!([])].into_iter().enumerate() {
        expected["instances"][i]["workers"] = workers;
        as_format_3(&mut expected["instances"][i]);
        expected["instances"][i]["k8s"]["cni"] = json!("routed");
    }
    expected["instances"].as_array_mut().unwrap().push(after["instances"][2].clone());
    assert_eq!(after, expected, "unknown fields must survive at all levels");
    assert_eq!(std::fs::read(kept(&house)).unwrap(), before);

    registry.release("initech").unwrap();
    assert_eq!(std::fs::read(kept(&house)).unwrap(), before, "a later change has replaced the kept file");
}

#[test]
fn an_existing_copy_of_the_old_bytes_is_never_overwritten() {
    let (house, registry) = written(&old());
    std::fs::write(kept(&house), "older still").unwrap();
    registry.release("acme").unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(kept(&house)).unwrap(), "older still");
    assert_eq!(file(&house)["version"], 3);
}

#[test]
fn an_entry_that_cannot_be_migrated_stays_a_broken_one() {
    let mut altered = old();
    altered["instances"][1]["engine"] = json!("hyperscaler");
    altered["instances"].as_array_mut().unwrap().push(json!({ "name": "initech", "subnet": "192.168" }));
    let (house, registry) = written(&altered);
    let list = registry.list().unwrap();
    let sound: Vec<bool> = list.iter().map(|entry| matches!(entry, Entry::Sound(_))).collect();
    assert_eq!(sound, [true, false, false]);
    assert!(matches!(recorded(&registry, "hooli"), Err(RegistryError::Broken { .. })));
    assert!(!kept(&house).exists());

    registry.release("acme").unwrap().unwrap();
    let after = file(&house);
    assert_eq!(after["instances"][0]["engine"], "hyperscaler");
    assert_eq!(after["instances"][0]["colour"], altered["instances"][1]["colour"]);
    assert_eq!(after["instances"][1]["subnet"], "192.168");
    assert_eq!(registry.list().unwrap().len(), 2);
}

#[test]
fn an_old_file_that_is_torn_anywhere_is_refused_and_left_as_it_is() {
    let (house, registry) = written(&old());
    let whole = std::fs::read(house.home.registry()).unwrap();
    for length in 0..whole.len() {
        std::fs::write(house.home.registry(), &whole[..length]).unwrap();
        for outcome in [registry.list().map(drop), recorded(&registry, "initech")] {
            assert!(matches!(outcome, Err(RegistryError::Damaged { .. })), "cut at {length}: {outcome:?}");
        }
        assert_eq!(std::fs::read(house.home.registry()).unwrap(), whole[..length], "cut at {length}");
    }
    assert!(!kept(&house).exists());
}

#[test]
fn a_count_of_workers_becomes_their_numbers_and_the_old_bytes_stay_beside_it() {
    let mut counted = old();
    counted["version"] = json!(1);
    for (i, workers) in [2, 0].into_iter().enumerate() {
        counted["instances"][i]["subnet"] = json!(format!("192.168.{}.0/24", 60 + i));
        counted["instances"][i]["workers"] = json!(workers);
        counted["instances"][i]["durability"] = json!("durable");
        counted["instances"][i]["k8s"]["cni"] = json!("cilium");
    }
    let (house, registry) = written(&counted);
    let before = std::fs::read(house.home.registry()).unwrap();
    let read: Vec<Vec<u8>> =
        registry.instances().unwrap().iter().map(|one| one.workers.numbers().collect()).collect();
    assert_eq!(read, [vec![1, 2], vec![]]);
    registry.release("globex").unwrap().unwrap();
    let mut expected = counted;
    expected["version"] = json!(3);
    expected["instances"][0]["workers"] = json!([1, 2]);
    as_format_3(&mut expected["instances"][0]);
    expected["instances"].as_array_mut().unwrap().pop();
    assert_eq!(file(&house), expected);
    assert_eq!(std::fs::read(format!("{}.v1", house.home.registry())).unwrap(), before);
}

#[test]
fn a_worker_that_cannot_have_an_address_makes_its_entry_a_broken_one() {
    for number in [0, 180, 255] {
        let (house, registry) = two();
        let mut altered = file(&house);
        altered["instances"][0]["workers"] = json!([1, number]);
        write(&house, &altered);
        let Entry::Broken { error, .. } = registry.list().unwrap().remove(0) else {
            panic!("{number} is sound")
        };
        assert_eq!(error, format!("worker {number}: workers have the numbers 1 to 179"));
    }
}

#[test]
fn an_owner_becomes_the_keeper_or_the_operation_that_it_was_recorded_for() {
    let process = json!({ "pid": 7, "startTime": 8, "bootId": "b", "runId": "run-1" });
    let up = json!({ "pid": 7, "startTime": 8, "bootId": "b", "runId": "up-7" });
    let entry = |changes: Value| {
        let mut entry = old()["instances"][0].clone();
        entry["subnet"] = json!("192.168.60.0/24");
        entry["workers"] = json!([1]);
        entry["durability"] = json!("throw-away");
        entry["k8s"]["cni"] = json!("routed");
        for (key, value) in changes.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry
    };
    let read = |changes: Value| {
        let (_house, registry) = written(&json!({ "version": 2, "instances": [entry(changes)] }));
        registry.find("acme").unwrap().unwrap()
    };
    let kind = |instance: &Instance| instance.operation.as_ref().map(|it| (it.kind, it.owner.pid));
    let run = |instance: &Instance| instance.keeper.run().map(|owner| owner.run_id.clone());

    let tested = read(json!({ "owner": process }));
    assert_eq!((run(&tested), kind(&tested)), (Some("run-1".to_owned()), None));
    assert_eq!(tested.handling, Handling::TEST);
    let made = read(json!({ "owner": process, "state": "creating" }));
    assert_eq!((run(&made), kind(&made)), (Some("run-1".to_owned()), Some((OperationKind::Create, 7))));
    let operators = read(json!({ "owner": up, "state": "creating", "durability": "durable" }));
    assert_eq!(
        (operators.keeper.clone(), kind(&operators)),
        (Keeper::Operator, Some((OperationKind::Create, 7)))
    );
    assert_eq!(operators.operation.unwrap().since, operators.created_at);
    let changed = read(json!({ "transit": { "workers": [2], "owner": process } }));
    assert_eq!(changed.transit.numbers().collect::<Vec<_>>(), [2]);
    assert_eq!(kind(&changed), Some((OperationKind::RemoveWorker, 7)));
    let left = read(json!({ "transit": { "workers": [2], "owner": null } }));
    assert_eq!((left.transit.count(), kind(&left)), (1, None));
    assert!(read(json!({ "transit": null })).transit.is_empty());
}

#[test]
fn a_federation_written_by_hand_is_kept() {
    let mut joined = old();
    joined["instances"][0]["federated"] = json!(["globex"]);
    let (house, registry) = written(&joined);
    registry.release("globex").unwrap().unwrap();
    assert_eq!(file(&house)["instances"][0]["federated"], json!(["globex"]));
}
