//! Names follow the registry.

use std::sync::Arc;

use provisioner::Residue;
use provisioner::dns::Effect;
use provisioner::engine::SimulatedEngine;
use provisioner::error::Hint;
use provisioner::registry::{Keeper, State};
use provisioner::request::{ClusterSpec, EngineKind};
use provisioner::stage::Stage;
use provisioner::{Change, NamesState, Provisioner, Synced};

use super::*;

struct Lab {
    host: Host,
    provisioner: Provisioner,
}

fn lab(hosts: &str) -> Lab {
    let host = Host::with(hosts);
    let engine = SimulatedEngine::new(host.home().id());
    let provisioner =
        Provisioner::with_engine(host.home().clone(), Arc::new(engine)).with_dns(host.dns.clone());
    Lab { host, provisioner }
}

fn spec(name: &str) -> ClusterSpec {
    ClusterSpec::new(name).workers(2).engine(EngineKind::Simulated)
}

impl Lab {
    async fn up(&self, spec: ClusterSpec) -> Result<provisioner::Cluster, provisioner::ProvisionError> {
        self.provisioner.create(&spec.check().unwrap(), Keeper::Operator).await
    }
}

fn changes(synced: &Synced) -> Vec<(&str, Option<Change>)> {
    let change = |one: &'_ provisioner::NamesChange| one.outcome.as_ref().ok().copied();
    synced.changes.iter().map(|one| (one.instance.as_str(), change(one))).collect()
}

#[tokio::test]
async fn names_are_recorded_with_a_cluster_and_removed_with_it() {
    let lab = lab(FOREIGN);
    let plan = lab.up(spec("acme")).await.unwrap().plan;
    assert_eq!(plan.workload_address, plan.others()[0].address, "the workload address is the first worker's");
    assert!(lab.host.text().contains(&format!("{} api.acme.lab\n", plan.api_address)));
    assert!(lab.host.text().contains(&format!("{} acme.lab\n", plan.workload_address)));
    lab.provisioner.destroy("acme").await.unwrap();
    assert_eq!(lab.host.text(), FOREIGN);
}

#[tokio::test]
async fn the_workload_address_of_a_single_node_is_its_api_address() {
    let lab = lab(FOREIGN);
    let plan = lab.up(spec("acme").workers(0)).await.unwrap().plan;
    assert_eq!(plan.workload_address, plan.api_address);
}

#[tokio::test]
async fn a_fixtures_cluster_never_touches_the_hosts_names() {
    let lab = lab("10.9.8.7 api.acme.lab\n");
    lab.up(spec("acme").throw_away()).await.unwrap();
    assert_eq!(lab.provisioner.dns_list().unwrap(), []);
    assert_eq!(changes(&lab.provisioner.dns_sync().await.unwrap()), []);
    lab.provisioner.destroy("acme").await.unwrap();
    assert_eq!(lab.host.text(), "10.9.8.7 api.acme.lab\n");
}

#[tokio::test]
async fn names_that_are_taken_end_a_creation_before_anything_exists() {
    let lab = lab("10.9.8.7 api.acme.lab\n");
    let error = lab.up(spec("acme")).await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Names, Residue::Recorded));
    assert!(error.source.to_string().starts_with("api.acme.lab already in use: "), "{}", error.source);
    assert!(error.hint().unwrap().contains("--tld"));
    assert_eq!(lab.provisioner.engines().sightings().await.unwrap(), []);
    let entry = lab.provisioner.registry().find("acme").unwrap().unwrap();
    assert_eq!(entry.state, State::Failed);
    assert!(lab.provisioner.destroy("acme").await.unwrap().contains(&provisioner::Removed::Entry));
    assert_eq!(lab.provisioner.registry().list().unwrap(), []);
    lab.up(spec("acme").tld_prefix("lab2")).await.unwrap();
}

#[tokio::test]
async fn a_sync_restores_missing_names_and_removes_stale_ones() {
    let lab = lab(FOREIGN);
    for name in ["acme", "acme-1"] {
        lab.up(spec(name)).await.unwrap();
    }
    let synced = lab.provisioner.dns_sync().await.unwrap();
    assert_eq!(changes(&synced), [("acme", Some(Change::Unchanged)), ("acme-1", Some(Change::Unchanged))]);
    assert!(synced.effect.is_none());

    let complete = lab.host.text();
    lab.host.remove("acme").unwrap();
    lab.host.dns.add(&records("stale", lab.host.home())).unwrap();
    let synced = lab.provisioner.dns_sync().await.unwrap();
    let expected = [("stale", Change::Removed), ("acme", Change::Recorded), ("acme-1", Change::Unchanged)];
    assert_eq!(changes(&synced), expected.map(|(name, change)| (name, Some(change))));
    assert!(matches!(synced.effect, Some(Ok(Effect::AtOnce))));
    let mut lines =
        [complete, lab.host.text()].map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.iter_mut().for_each(|lines| lines.sort());
    assert_eq!(lines[0], lines[1], "the same blocks in another order");
}

#[tokio::test]
async fn a_sync_goes_on_after_one_instance_fails() {
    let lab = lab(FOREIGN);
    for name in ["acme", "acme-1"] {
        lab.up(spec(name)).await.unwrap();
    }
    std::fs::write(&lab.host.file, "10.9.8.7 acme.lab\n").unwrap();
    let synced = lab.provisioner.dns_sync().await.unwrap();
    assert_eq!(changes(&synced), [("acme", None), ("acme-1", Some(Change::Recorded))]);
}

#[tokio::test]
async fn the_names_of_a_broken_entry_are_kept() {
    let lab = lab(FOREIGN);
    lab.up(spec("acme")).await.unwrap();
    let registry = lab.host.home().registry();
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, text.replace("\"tldPrefix\"", "\"x\"")).unwrap();
    let synced = lab.provisioner.dns_sync().await.unwrap();
    assert_eq!(changes(&synced), []);
    assert!(lab.host.text().contains("api.acme.lab"));
}

#[tokio::test]
async fn the_list_shows_recorded_missing_and_stale_names() {
    let lab = lab(FOREIGN);
    for name in ["acme", "acme-1"] {
        lab.up(spec(name)).await.unwrap();
    }
    assert_eq!(lab.provisioner.dns_remove("acme").await.unwrap(), Some(Effect::AtOnce));
    assert_eq!(lab.provisioner.dns_remove("acme").await.unwrap(), None);
    lab.host.dns.add(&records("stale", lab.host.home())).unwrap();
    let listed = lab.provisioner.dns_list().unwrap();
    let shown: Vec<(&str, NamesState)> =
        listed.iter().map(|names| (names.instance.as_str(), names.state())).collect();
    let expected =
        [("acme", NamesState::Missing), ("acme-1", NamesState::Recorded), ("stale", NamesState::Stale)];
    assert_eq!(shown, expected);
}
