//! A spec is checked once, and all its problems are reported together.

use proptest::prelude::*;

use provisioner::request::{CiliumOptions, ClusterSpec, CniKind, Label, SpecError, Topology};

fn refused(spec: &ClusterSpec) -> SpecError {
    spec.check().unwrap_err()
}

#[test]
fn a_request_with_only_a_name_becomes_a_multi_node_cluster_with_three_workers() {
    let spec = ClusterSpec::new("acme").check().unwrap();
    assert_eq!((spec.topology, spec.workers), (Topology::Multi, 3));
    assert_eq!((spec.name.as_str(), spec.tld_prefix.as_str()), ("acme", "acme"));
    assert_eq!(spec.subnet, None);
}

#[test]
fn every_problem_is_reported_at_once() {
    let spec = ClusterSpec {
        kubernetes: Some("v1.2.3".to_owned()),
        ..ClusterSpec::new("Acme Inc").subnet("192.168.60.7/24").tld_prefix("-x").workers(200)
    };
    let error = refused(&spec);
    let fields: Vec<&str> = error.problems.iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["name", "--tld", "--subnet", "--workers", "--kubernetes"]);
    let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(error.to_string(), format!("the spec has 5 problems: {}", problems.join("; ")));
    insta::assert_snapshot!(problems.join("\n"));
}

#[test]
fn one_problem_is_said_in_the_singular() {
    let error = refused(&ClusterSpec::new("acme").topology(Topology::Single).workers(1));
    insta::assert_snapshot!(error, @"the spec has a problem: --workers '1' needs `--topology k8s-multi` or `k8s-ha`: k8s-single has no workers");
}

#[test]
fn names_that_are_no_dns_labels_are_refused_with_the_reason() {
    let reasons =
        ["", "Acme", "acme.lab", "-acme", "acme-", "ac me", "äcme", &"a".repeat(41), &"a".repeat(64)]
            .map(|name| refused(&ClusterSpec::new(name)).to_string());
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn invalid_subnets_are_refused_with_the_reason() {
    let subnets = ["192.168.60", "192.168.60.1/24", "192.168.48.0/20", "8.8.8.0/24", "fd00::/64", ""];
    let reasons = subnets.map(|subnet| refused(&ClusterSpec::new("acme").subnet(subnet)).to_string());
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn an_unknown_topology_is_refused_with_the_known_ones() {
    let error = "k8s-huge".parse::<Topology>().unwrap_err();
    insta::assert_snapshot!(error, @"unknown topology 'k8s-huge'; known: k8s-single, k8s-multi, k8s-ha");
    for topology in Topology::ALL {
        assert_eq!(topology.to_string().parse(), Ok(topology));
    }
}

#[test]
fn options_of_cilium_are_refused_without_cilium() {
    let cilium = CiliumOptions { kube_proxy_replacement: true, hubble: true };
    let asked = ClusterSpec::new("acme").cilium(cilium);
    assert_eq!(asked.check().map(|spec| spec.cilium), Ok(cilium));
    insta::assert_snapshot!(asked.cni(CniKind::Routed).check().unwrap_err(), @"the spec has 2 problems: --kube-proxy-replacement 'true' needs `--cni cilium`: routed does not have it; --hubble 'true' needs `--cni cilium`: routed does not have it");
}

proptest! {
    #[test]
    fn exactly_the_valid_dns_labels_are_accepted(text in "[a-zA-Z0-9._-]{0,70}") {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_one = (1..=63).contains(&text.len())
            && text.chars().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        prop_assert_eq!(text.parse::<Label>().is_ok(), is_one);
    }

    #[test]
    fn no_request_makes_the_check_panic(name in ".{0,80}", subnet in ".{0,20}", workers in any::<u8>()) {
        let _ = ClusterSpec::new(name).subnet(subnet).workers(workers).check();
    }
}
