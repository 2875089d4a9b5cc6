//! Reads the guard on this host and compares it with what was built.
//!
//! nft prints rules in a form that differs from version to version. So the reference is the output of the same nft for
//! the rules, after it has loaded them into a network namespace that ends with the command.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde_json::Value;

use crate::exec::{Command, Failure, Runner};

use super::super::{FabricError, cable, nameservers, routes};
use super::deviation::{Deviation, GuardState, compare};
use super::record::Record;
use super::ruleset::{NamedLinks, REFUSED};
use super::settings;
use super::table::Table;
use super::with_ruleset;

/// The result of a comparison of the guard with what was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The differences; empty if there are none.
    pub deviations: Vec<Deviation>,
    /// Whether the rules were read, which needs root. Otherwise only routes and settings were compared.
    pub has_rules: bool,
}

impl Inspection {
    /// Whether the guard has no difference that homelab restores. Settings for all interfaces do not count.
    pub fn is_as_built(&self) -> bool {
        self.ours().next().is_none()
    }

    /// The differences that homelab restores.
    pub fn ours(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(|deviation| deviation.is_ours())
    }
}

/// Compares the guard with what was built. `None` if the host has no link of ours, so that no guard is needed. `pools`
/// are those of the caller's home; they are used if no record exists. Without root, the rules are not read.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub(in crate::fabric) async fn look(
    pools: &[Ipv4Net],
    runner: &dyn Runner,
) -> Result<Option<Inspection>, FabricError> {
    let has_rules = rustix::process::geteuid().is_root();
    let (record, table) = match (has_rules, Record::read()?) {
        (true, Some(record)) => (Some(record), table(runner).await?),
        (true, None) => {
            let table = table(runner).await?;
            (derived(pools, table.as_ref()).await?, table)
        }
        (false, Some(record)) => (Some(record), None),
        (false, None) => (derived(pools, None).await?, None),
    };
    let Some(record) = record else { return Ok(None) };
    let reference = if has_rules { Some(reference(&record.told, runner).await?) } else { None };
    let wanted = wanted(&record, reference)?;
    let found = GuardState {
        table,
        routes: routes::found().await?.into_iter().collect(),
        settings: settings::found(&wanted.settings)?,
        of_all: settings::found(&wanted.of_all)?,
    };
    Ok(Some(Inspection { deviations: compare(&wanted, &found), has_rules }))
}

/// The guard that a record asks for, with these rules.
pub(super) fn wanted(record: &Record, table: Option<Table>) -> Result<GuardState, FabricError> {
    let ranges: Vec<Ipv4Net> = record.pools.iter().copied().collect();
    Ok(GuardState {
        table,
        routes: routes::wanted(&[], &ranges, &nameservers::of_host()?).into_iter().collect(),
        settings: settings::wanted(&record.closed),
        of_all: settings::wanted_of_all(),
    })
}

/// The record of the guard. If there is none, it is derived from the host's links and the guard's sets; `None` if the
/// host has no link of ours.
pub(super) async fn record(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Option<Record>, FabricError> {
    match Record::read()? {
        Some(record) => Ok(Some(record)),
        None => derived(pools, table(runner).await?.as_ref()).await,
    }
}

/// Whether the settings of all links in the record have the closed values; `true` if there is no record.
pub(in crate::fabric) fn has_closed_settings() -> Result<bool, FabricError> {
    let Some(record) = Record::read()? else { return Ok(true) };
    let wanted = settings::wanted(&record.closed);
    let found = settings::found(&wanted)?;
    Ok(found.iter().all(|(key, value)| wanted.get(key) == Some(value)))
}

/// The count of packets that were refused since the rules were loaded, by link.
pub(in crate::fabric) async fn refused_packets(
    runner: &dyn Runner,
) -> Result<BTreeMap<String, u64>, FabricError> {
    let list = Command::within(Duration::from_secs(20), "nft")
        .args(["--json", "list", "set", "inet", "homelab", REFUSED])
        .env("LC_ALL", "C");
    match runner.run(&list).await {
        Ok(answer) => {
            let text = answer.text();
            counted(&text).ok_or(FabricError::Answer { answer: text })
        }
        Err(error) if is_missing(&error.failure) => Ok(BTreeMap::new()),
        Err(error) => Err(FabricError::Guard(error)),
    }
}

/// The counters of a set's elements in nft's answer; `None` for an answer of another form. Pure.
fn counted(answer: &str) -> Option<BTreeMap<String, u64>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let objects = answer.get("nftables")?.as_array()?;
    let elements = objects.iter().filter_map(|object| object.get("set")?.get("elem")?.as_array()).flatten();
    elements
        .map(|element| {
            let element = element.get("elem")?;
            let link = element.get("val")?.as_str()?.to_owned();
            Some((link, element.get("counter")?.get("packets")?.as_u64()?))
        })
        .collect()
}

async fn derived(pools: &[Ipv4Net], table: Option<&Table>) -> Result<Option<Record>, FabricError> {
    let told = table.and_then(Table::told).unwrap_or_default();
    Ok(Record::found(&cable::all_with_bridges().await?, pools, told))
}

/// The guard's table in the kernel; `None` if there is none.
async fn table(runner: &dyn Runner) -> Result<Option<Table>, FabricError> {
    let list = Command::within(Duration::from_secs(20), "nft")
        .args(["--json", "list", "table", "inet", "homelab"])
        .env("LC_ALL", "C");
    match runner.run(&list).await {
        Ok(answer) => understood(&answer.text()).map(Some),
        Err(error) if is_missing(&error.failure) => Ok(None),
        Err(error) => Err(FabricError::Guard(error)),
    }
}

/// The table that the guard must have, as this host's nft prints it.
pub(super) async fn reference(told: &NamedLinks, runner: &dyn Runner) -> Result<Table, FabricError> {
    const LOAD_AND_LIST: &str = "nft --file - && exec nft --json list table inet homelab";
    let load_and_list = |rules: String| {
        let command = Command::within(Duration::from_secs(20), "unshare");
        command.args(["--net", "sh", "-c", LOAD_AND_LIST]).env("LC_ALL", "C").input(rules)
    };
    understood(&with_ruleset(told, load_and_list, runner).await?.text())
}

/// For fuzzing: parses an answer of nft in each form that homelab asks for, and compares the table in it with an empty
/// one and with itself.
///
/// # Panics
/// When a table differs from itself.
#[cfg(feature = "fuzzing")]
pub fn read_nft(answer: &str) {
    drop(counted(answer));
    let Some(table) = Table::read(answer) else { return };
    drop(table.told());
    let found = GuardState { table: Some(table), ..GuardState::default() };
    for deviation in compare(&GuardState { table: Some(Table::default()), ..GuardState::default() }, &found) {
        drop(deviation.to_string());
    }
    let itself = compare(&found, &found);
    assert!(itself.is_empty(), "{itself:?}");
}

fn understood(answer: &str) -> Result<Table, FabricError> {
    Table::read(answer).ok_or_else(|| FabricError::Answer { answer: answer.to_owned() })
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { stderr, .. } if stderr.contains("No such file or directory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Exchange, Scripted};

    #[tokio::test]
    async fn a_missing_table_is_no_error_and_an_unreadable_one_is() {
        let ask = "LC_ALL=C nft --json list table inet homelab";
        let fails = |stderr: &str| Scripted::new([Exchange::fails(ask, 1, stderr)]);
        assert_eq!(table(&fails("Error: No such file or directory\n")).await.ok(), Some(None));
        let denied = "Operation not permitted (you must be root)\n";
        assert!(matches!(table(&fails(denied)).await, Err(FabricError::Guard(_))));
        let other = Scripted::new([Exchange::ok(ask, "table inet homelab { }")]);
        assert!(matches!(table(&other).await, Err(FabricError::Answer { .. })));
    }

    /// The answers are those of nft 1.0.6.
    #[test]
    fn refused_packets_are_counted_by_link() {
        let set = |elements: &str| {
            format!(
                r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}}}, {{"set": {{"family": "inet", "name": "refused", "table": "homelab", "type": "ifname", "handle": 6, "comment": "x", "size": 65535{elements}}}}}]}}"#
            )
        };
        let some = r#", "elem": [{"elem": {"val": "hl-0a1b2c", "counter": {"packets": 3, "bytes": 252}}}]"#;
        assert_eq!(counted(&set("")), Some(BTreeMap::new()));
        assert_eq!(counted(&set(some)), Some(BTreeMap::from([("hl-0a1b2c".to_owned(), 3)])));
        assert_eq!(counted(&set(r#", "elem": ["hl-0a1b2c"]"#)), None);
        assert_eq!(counted("set refused { }"), None);
    }

    #[tokio::test]
    async fn a_kernel_without_a_log_has_rules_that_count() {
        let load = "LC_ALL=C unshare --net sh -c 'nft --file - && exec nft --json list table inet homelab'";
        let runner = Scripted::new([
            Exchange::fails(
                load,
                1,
                "/dev/stdin:40:1-1: Error: Could not process rule: No such file or directory",
            ),
            Exchange::ok(
                load,
                r#"{"nftables": [{"table": {"family": "inet", "name": "homelab", "handle": 7}}]}"#,
            ),
        ]);
        assert_eq!(reference(&NamedLinks::default(), &runner).await.ok(), Some(Table::default()));
    }
}
