//! Answers of nft 1.0.6 on Linux 6.18, each after one change to a guard that was as built.

use super::*;

/// A guard whose sets have `vboxnet0` and the bridge `hl-0a1b2c3d4e`.
const BUILT: &str = include_str!("transcripts/built.json");

fn table(answer: &str) -> Table {
    Table::read(answer).expect("nft's answer")
}

/// The deviations of a table in words.
fn said(answer: &str) -> String {
    let state = |answer| GuardState { table: Some(table(answer)), ..GuardState::default() };
    let all = compare(&state(BUILT), &state(answer));
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn refused_packets_are_no_deviation_of_the_guard() {
    let after = include_str!("transcripts/after-refusals.json");
    assert!(after.contains(r#""packets": 1"#), "nothing was refused when this was recorded");
    assert_eq!((said(BUILT), said(after)), (String::new(), String::new()));
}

#[test]
fn a_table_that_is_gone_is_one_deviation() {
    let wanted = GuardState { table: Some(table(BUILT)), ..GuardState::default() };
    assert_eq!(compare(&wanted, &GuardState::default()), [Deviation::NoTable]);
    // Without root, neither the rules nor their reference can be read.
    assert_eq!(compare(&GuardState::default(), &GuardState::default()), []);
}

#[test]
fn a_dormant_table_a_changed_policy_and_an_emptied_or_deleted_chain_are_reported() {
    insta::assert_snapshot!(said(include_str!("transcripts/dormant.json")), @"table inet homelab has flags that it was not built with: it may be dormant");
    insta::assert_snapshot!(said(include_str!("transcripts/a-policy-changed.json")), @"chain forward was changed: policy is drop, not accept");
    insta::assert_snapshot!(said(include_str!("transcripts/a-chain-emptied.json")), @"chain input is empty");
    insta::assert_snapshot!(said(include_str!("transcripts/a-chain-deleted.json")), @"chain forward is missing");
}

#[test]
fn a_rule_that_was_deleted_inserted_replaced_or_moved_is_reported_with_its_chain() {
    insta::assert_snapshot!(said(include_str!("transcripts/a-rule-deleted.json")), @"a rule of chain forward is missing: nothing enters a client through the host");
    insta::assert_snapshot!(said(include_str!("transcripts/a-rule-inserted.json")), @r#"a rule was added to chain input: [{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"hl-*"}},{"accept":null}]"#);
    insta::assert_snapshot!(said(include_str!("transcripts/a-rule-replaced.json")));
    insta::assert_snapshot!(said(include_str!("transcripts/the-order-changed.json")), @"the rules of chain input are in another order");
}

#[test]
fn other_elements_and_foreign_objects_in_the_table_are_reported() {
    insta::assert_snapshot!(said(include_str!("transcripts/other-elements.json")), @r#"
    set links lacks "vboxnet0"
    "eth0" was added to set links
    "#);
    insta::assert_snapshot!(said(include_str!("transcripts/foreign-objects.json")), @r"
    set more was added
    chain extra was added
    map ways was added
    ");
}

#[test]
fn the_named_links_and_bridges_are_read_from_the_table() {
    let told = table(BUILT).told().expect("sets of links");
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        (names(&told.named), names(&told.bridges)),
        (vec!["vboxnet0".to_owned()], vec!["hl-0a1b2c3d4e".to_owned()])
    );
    assert!(Table::read("table inet homelab { }").is_none());
    assert!(table(r#"{"nftables": [{"set": {"name": "links", "elem": [3]}}]}"#).told().is_none());
}

#[test]
fn missing_routes_and_changed_settings_are_reported_and_settings_that_do_not_exist_are_not() {
    let net = |text: &str| -> Ipv4Net { text.parse().expect("a range") };
    let settings = |all: &[(&str, &str)]| -> Settings {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let wanted = GuardState {
        routes: BTreeSet::from([net("192.168.48.0/20"), net("10.96.0.0/12")]),
        settings: settings(&[
            ("ipv4/conf/hl-0a1b2c3d4e/forwarding", "0"),
            ("ipv4/conf/hl-0a1b2c3d4e/rp_filter", "1"),
            ("ipv4/conf/hl-gone/rp_filter", "1"),
            ("ipv6/conf/hl-0a1b2c3d4e/accept_ra", "0"),
        ]),
        of_all: settings(&[("ipv4/conf/all/proxy_arp", "0"), ("ipv4/conf/all/route_localnet", "0")]),
        ..GuardState::default()
    };
    let found = GuardState {
        routes: BTreeSet::from([net("10.96.0.0/12"), net("172.16.0.0/12")]),
        settings: settings(&[
            ("ipv4/conf/hl-0a1b2c3d4e/forwarding", "1"),
            ("ipv4/conf/hl-0a1b2c3d4e/rp_filter", "1"),
        ]),
        of_all: settings(&[("ipv4/conf/all/proxy_arp", "1"), ("ipv4/conf/all/route_localnet", "0")]),
        ..GuardState::default()
    };
    let all = compare(&wanted, &found);
    let lines: Vec<String> =
        all.iter().map(|one| format!("{one}{}", if one.is_ours() { "" } else { " (not ours)" })).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    the unreachable route for 192.168.48.0/20 is missing
    net/ipv4/conf/hl-0a1b2c3d4e/forwarding is 1, not 0
    net.ipv4.conf.all.proxy_arp is 1, which opens every interface: `sysctl -w net.ipv4.conf.all.proxy_arp=0` (not ours)
    ");
}
