//! The guard as it must be on this host, for a caller that has read the host itself. Pure, but for [`expected`].

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::super::FabricError;
use super::deviation::{Deviation, GuardState, compare};
use super::look;
use super::settings;
use super::table::Table;
use crate::exec::Runner;

/// The guard as it must be: rules, routes and settings of all homes of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedGuard(GuardState);

/// The parts of a host that the guard consists of, as a caller has read them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundGuard {
    /// The objects of `nft --json list ruleset`, of all tables.
    pub rules: Vec<Value>,
    /// The ranges of the `unreachable` routes with protocol [`ROUTE_PROTOCOL`](crate::fabric::ROUTE_PROTOCOL).
    pub routes: BTreeSet<Ipv4Net>,
    /// Values of kernel settings by their path below `/proc/sys/net`, such as `ipv4/conf/hl-0a1b2c/forwarding`. More
    /// of them may be given than the guard sets.
    pub settings: BTreeMap<String, String>,
}

/// The guard as it must be on this host; `None` if the host has no link of ours. Needs root. `pools` are those of the
/// caller's home; they are used if no record of the guard exists.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub(in crate::fabric) async fn expected(
    pools: &[Ipv4Net],
    runner: &dyn Runner,
) -> Result<Option<ExpectedGuard>, FabricError> {
    let Some(record) = look::record(pools, runner).await? else { return Ok(None) };
    let reference = look::reference(&record.told, runner).await?;
    Ok(Some(ExpectedGuard(look::wanted(&record, Some(reference))?)))
}

impl ExpectedGuard {
    /// A guard with these rules, as nft lists them, these routes, and the closed settings of these links. `None` if the
    /// rules have an unknown form.
    pub fn new(rules: &[Value], routes: BTreeSet<Ipv4Net>, links: &BTreeSet<String>) -> Option<Self> {
        let (settings, of_all) = (settings::wanted(links), settings::wanted_of_all());
        Some(Self(GuardState { table: Some(own_table(rules)??), routes, settings, of_all }))
    }

    /// The differences of what was found. A setting that was not found is no difference: its link is gone.
    pub fn deviations(&self, found: &FoundGuard) -> Vec<Deviation> {
        let of = |wanted: &settings::Settings| {
            let found = found.settings.iter().filter(|(key, _)| wanted.contains_key(*key));
            found.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let found = GuardState {
            // A table of an unknown form is not the one that was built.
            table: own_table(&found.rules).map(Option::unwrap_or_default),
            routes: found.routes.clone(),
            settings: of(&self.0.settings),
            of_all: of(&self.0.of_all),
        };
        compare(&self.0, &found)
    }
}

/// The table `inet homelab` among the objects of all tables. The outer `None` means that there is no such table, the
/// inner one that it cannot be read.
fn own_table(objects: &[Value]) -> Option<Option<Table>> {
    let is_own = |object: &&Value| {
        let Some((kind, object)) = object.as_object().and_then(|object| object.iter().next()) else {
            return false;
        };
        let name = if kind == "table" { object.get("name") } else { object.get("table") };
        name == Some(&json!("homelab")) && object.get("family") == Some(&json!("inet"))
    };
    let own: Vec<&Value> = objects.iter().filter(is_own).collect();
    (!own.is_empty()).then(|| Table::read(&json!({ "nftables": own }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> Vec<Value> {
        let answer: Value = serde_json::from_str(include_str!("deviation/transcripts/built.json")).unwrap();
        answer["nftables"].as_array().unwrap().clone()
    }

    fn guard() -> ExpectedGuard {
        let range = "192.168.48.0/20".parse().unwrap();
        ExpectedGuard::new(&built(), BTreeSet::from([range]), &BTreeSet::from(["hl-0a1b2c".to_owned()]))
            .unwrap()
    }

    #[test]
    fn a_guard_among_other_tables_and_settings_is_as_built() {
        let mut rules = vec![json!({ "table": { "family": "ip", "name": "docker", "handle": 1 } })];
        rules.extend(built());
        rules.push(json!({ "chain": { "family": "ip", "table": "homelab", "name": "extra", "handle": 2 } }));
        let settings = [("ipv4/conf/hl-0a1b2c/forwarding", "0"), ("ipv4/conf/eth0/forwarding", "1")];
        let found = FoundGuard {
            rules,
            routes: BTreeSet::from(["192.168.48.0/20".parse().unwrap()]),
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(guard().deviations(&found), []);
    }

    #[test]
    fn a_guard_without_rules_routes_and_with_an_open_setting_deviates_three_times() {
        let settings = BTreeMap::from([("ipv4/conf/hl-0a1b2c/forwarding".to_owned(), "1".to_owned())]);
        let found = FoundGuard { rules: Vec::new(), routes: BTreeSet::new(), settings };
        let told: Vec<String> = guard().deviations(&found).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        nftables has no table inet homelab
        the unreachable route for 192.168.48.0/20 is missing
        net/ipv4/conf/hl-0a1b2c/forwarding is 1, not 0
        ");
    }
}
