//! Compares the budgets with the grace periods in `.config/nextest.toml`.

use regex::Regex;
use toml_edit::{DocumentMut, Item, TableLike};

use super::*;

/// Tests whose fixtures have VMs.
const ON_VMS: [&str; 3] = ["vagrant::clients::any", "vagrant::faults::any", "vagrant::virtualbox::any"];

fn configuration() -> DocumentMut {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.config/nextest.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn profiles(configuration: &DocumentMut) -> Vec<(&str, &dyn TableLike)> {
    let all = configuration["profile"].as_table().unwrap().iter();
    all.map(|(name, profile)| (name, profile.as_table_like().unwrap())).collect()
}

fn overrides(profile: &dyn TableLike) -> Vec<&dyn TableLike> {
    let all = profile.get("overrides").and_then(Item::as_array_of_tables).into_iter().flatten();
    all.map(|table| table as &dyn TableLike).collect()
}

/// The grace period of a profile or an override; `None` where it has no `slow-timeout`.
fn grace(of: &dyn TableLike) -> Option<Duration> {
    let grace = of.get("slow-timeout")?.get("grace-period").and_then(Item::as_str);
    // nextest's default is 10 s (its documentation, "How nextest detects slow tests").
    let seconds = grace.unwrap_or("10s").strip_suffix('s').and_then(|number| number.parse().ok());
    Some(Duration::from_secs(seconds.expect("whole seconds")))
}

/// Whether a filter selects a test of package `e2e`. Knows the part of nextest's filter language that the file uses.
fn selects(filter: &str, test: &str) -> bool {
    filter.split(" & ").all(|term| {
        let (is_wanted, term) = term.strip_prefix("not ").map_or((true, term), |rest| (false, rest));
        let (function, argument) = term.strip_suffix(')').and_then(|term| term.split_once('(')).unwrap();
        let holds = match (function, argument.strip_prefix('/').and_then(|it| it.strip_suffix('/'))) {
            ("package", None) => argument == "e2e",
            ("test", None) => test.contains(argument),
            ("test", Some(regex)) => Regex::new(regex).unwrap().is_match(test),
            _ => panic!("an unknown term: {term}"),
        };
        holds == is_wanted
    })
}

fn text<'a>(of: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    of.get(key)?.as_str()
}

#[test]
fn every_grace_period_of_nextest_exceeds_evidence_and_teardown() {
    let configuration = configuration();
    let mut seen = 0;
    for (name, profile) in profiles(&configuration) {
        for part in [profile].into_iter().chain(overrides(profile)) {
            let Some(grace) = grace(part) else { continue };
            let filter = text(part, "filter").unwrap_or("all");
            assert!(grace > CONTAINERS.total, "profile {name}, {filter}: {grace:?}");
            seen += 1;
        }
    }
    assert!(seen >= 7, "only {seen} were found");
}

#[test]
fn nextest_waits_longer_for_tests_on_vms() {
    let configuration = configuration();
    let all = profiles(&configuration);
    let of = |name: &str| all.iter().find(|(other, _)| *other == name).map(|(_, profile)| *profile);
    let mut seen = Vec::new();
    for (name, profile) in &all {
        for test in ON_VMS {
            if !selects(text(*profile, "default-filter").unwrap(), test) {
                continue;
            }
            let parent = text(*profile, "inherits").map(|parent| of(parent).unwrap());
            let lines = [Some(*profile), parent].into_iter().flatten();
            let overridden = lines.clone().flat_map(overrides);
            let overridden = overridden.filter(|part| selects(text(*part, "filter").unwrap(), test));
            let grace = overridden.chain(lines).find_map(grace).unwrap();
            assert!(grace > VMS.total, "profile {name}, {test}: {grace:?}");
            seen.push((*name, test));
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn a_fixture_with_one_cluster_of_vms_has_the_budget_of_vms() {
    use provisioner::request::{EngineKind, Provider};
    let container = ClusterSpec::new("acme");
    let vm = ClusterSpec::new("globex").engine(EngineKind::Vagrant(Provider::Libvirt));
    assert_eq!(Budget::of(std::slice::from_ref(&container)), CONTAINERS);
    assert_eq!(Budget::of(&[container, vm]), VMS);
}
