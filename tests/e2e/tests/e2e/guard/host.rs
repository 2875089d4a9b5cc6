//! A host with the links of two clients.

use std::time::Duration;

use anyhow::{Context, ensure};
use camino::Utf8Path;
use provisioner::Provisioner;
use provisioner::events::{EventLog, Line, Record};
use provisioner::exec::{Command, Local, Runner};
use provisioner::fabric;
use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Taken};
use provisioner::request::{ClusterSpec, Topology};
use provisioner::settings::Settings;

/// The links of acme and globex, and a provisioner with both in its registry.
pub(super) struct Host {
    pub(super) provisioner: Provisioner,
    pub(super) acme: ClusterPlan,
    pub(super) globex: ClusterPlan,
    _folder: tempfile::TempDir,
}

impl Host {
    pub(super) async fn wired() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = Home::at(Utf8Path::from_path(folder.path()).context("UTF-8")?.join("lab"));
        let provisioner = Provisioner::with_settings(home, Settings::default());
        let acme = claimed(&provisioner, "acme")?;
        let globex = claimed(&provisioner, "globex")?;
        let pools = provisioner.settings().pools.ranges();
        fabric::lay(&acme, &pools, &Local).await?;
        fabric::lay(&globex, &pools, &Local).await?;
        Ok(Self { provisioner, acme, globex, _folder: folder })
    }

    /// Deviations of the guard from its recorded state, in words.
    pub(super) async fn deviations(&self) -> anyhow::Result<Vec<String>> {
        let look = self.provisioner.look_at_guard().await?.context("the guard is not needed")?;
        ensure!(look.has_rules, "the rules could not be read");
        Ok(look.deviations.iter().map(ToString::to_string).collect())
    }

    /// The events with this name.
    pub(super) fn events(&self, name: &str) -> anyhow::Result<Vec<Record>> {
        let batch = EventLog::in_home(self.provisioner.home()).reader().more()?;
        let records = batch.lines.into_iter().filter_map(|line| match line {
            Line::Record(record) if record.event == name => Some(*record),
            _ => None,
        });
        Ok(records.collect())
    }

    /// Runs a script on a node of acme, as an attacker with root would: with a default route through the gateway.
    pub(super) async fn on_acme(&self, script: &str) -> anyhow::Result<()> {
        let namespace = fabric::namespace_path(&self.acme.id.node_scope(&self.acme.nodes[0].name));
        let script = format!("ip route replace default via {}; {script}", self.acme.gateway);
        let inside = Command::within(Duration::from_secs(30), "nsenter").args([
            &format!("--net={namespace}"),
            "bash",
            "-c",
            &script,
        ]);
        Ok(Local.run(&inside).await.map(drop)?)
    }
}

fn claimed(provisioner: &Provisioner, name: &str) -> anyhow::Result<ClusterPlan> {
    let spec = ClusterSpec::new(name).topology(Topology::Single).check()?;
    let instance = provisioner.registry().claim(|instances| {
        let taken = Taken { instances: instances.to_vec(), ..Taken::default() };
        crate::claims::claimed(&spec, &taken, &provisioner.settings().pools)
    })?;
    Ok(ClusterPlan::of(&instance, provisioner.home()))
}

/// Runs a script on the host and returns its output.
pub(super) async fn sh(script: &str) -> anyhow::Result<String> {
    let command = Command::within(Duration::from_secs(30), "bash").args(["-euo", "pipefail", "-c", script]);
    Ok(Local.run(&command).await?.text())
}

/// The guard's rules, its routes and the settings of a link, as the host's tools print them.
pub(super) async fn printed(link: &str) -> anyhow::Result<String> {
    let settings = "forwarding rp_filter arp_ignore route_localnet proxy_arp";
    sh(&format!(
        "nft --stateless list table inet homelab
        ip route show type unreachable
        for it in {settings}; do cat /proc/sys/net/ipv4/conf/{link}/$it; done
        for it in forwarding accept_ra disable_ipv6; do cat /proc/sys/net/ipv6/conf/{link}/$it; done"
    ))
    .await
}
