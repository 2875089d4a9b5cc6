//! Why homelab restricts the VMs' networks: with Vagrant's defaults, the audit finds that one client reaches the other.

use std::sync::Arc;

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use harness::MultiClusterFixture;
use harness::audit::{Selection, Verdict};
use ipnet::Ipv4Net;
use provisioner::Provisioner;
use provisioner::engine::VagrantEngine;
use provisioner::exec::{Command, CommandError, Local, Output, Runner};
use provisioner::home::Home;
use provisioner::request::{EngineKind, Provider, Topology};

use super::on_libvirt;

/// The network by which vagrant-libvirt manages all VMs of a host by default (its documentation, "Management Network").
const DEFAULT: &str = "192.168.121.0/24";

#[tokio::test]
async fn with_vagrants_own_management_network_each_client_reaches_the_other_and_the_audit_says_so()
-> anyhow::Result<()> {
    let single = |name| on_libvirt(name).topology(Topology::Single);
    MultiClusterFixture::builder()
        .cluster(single("acme"))
        .cluster(single("globex"))
        .made_by(left_to_defaults()?)
        .run(async |fx| {
            let shared: Ipv4Net = DEFAULT.parse()?;
            for cluster in fx.clusters() {
                let name = &cluster.inner().instance.name;
                fx.provisioner().registry().update(name, |instance| instance.management = Some(shared))?;
            }
            let only = Selection { classes: vec!["H13".to_owned()], ..Selection::default() };
            let report = fx.audit_only(&only).await?;
            for (source, target) in [("acme", "globex"), ("globex", "acme")] {
                let leaks = report.cells.iter().any(|cell| {
                    cell.verdict == Verdict::Leak && cell.source == source && cell.target == target
                });
                ensure!(leaks, "{source} does not reach {target}:\n{}", report.console(false));
            }
            Ok(())
        })
        .await
}

/// A provisioner that makes everything as usual, but without the lines of each Vagrantfile that name a management
/// network.
fn left_to_defaults() -> anyhow::Result<Provisioner> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let (id, pools) = (provisioner.home().id(), provisioner.settings().pools.ranges().to_vec());
    let assets = provisioner.assets().clone();
    let engine = VagrantEngine::on(Arc::new(Unsealed), id, Provider::Libvirt, pools, assets);
    Ok(provisioner.with_engine_of(EngineKind::Vagrant(Provider::Libvirt), Arc::new(engine)))
}

/// Runs commands on this host, and removes the management network from the Vagrantfile before `vagrant up`.
#[derive(Debug)]
struct Unsealed;

impl Runner for Unsealed {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        Box::pin(async move {
            if command.arguments().any(|word| word == "up") {
                unseal(command).unwrap_or_else(|error| panic!("edit the Vagrantfile: {error:#}"));
            }
            Local.run(command).await
        })
    }
}

fn unseal(up: &Command) -> anyhow::Result<()> {
    let path = format!("{}/Vagrantfile", up.directory().context("vagrant up has no working directory")?);
    let sealed = std::fs::read_to_string(&path)?;
    let lines: Vec<&str> = sealed.lines().filter(|line| !line.contains("management_network")).collect();
    ensure!(lines.len() < sealed.lines().count(), "{path} names no management network");
    Ok(std::fs::write(&path, lines.join("\n"))?)
}
