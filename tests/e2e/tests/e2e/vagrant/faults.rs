//! What goes wrong with virtual machines is said in words, and can always be taken away; the neighbour runs on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use camino::Utf8PathBuf;
use harness::inventory::Inventory;
use harness::wait::{Wait, until};
use provisioner::Provisioner;
use provisioner::engine::{Engine, EngineError};
use provisioner::exec::environment::OURS;
use provisioner::exec::{Background, Command, Local, Runner};
use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Pools, Taken};
use provisioner::sighting::SightingKind;
use provisioner::slowdown::Slowdown;
use provisioner::spec::{NodeSize, Provider, Topology};
use tempfile::TempDir;

use super::libvirt::engine;
use super::on_libvirt;

use crate::claims::claimed;

#[tokio::test]
async fn a_network_or_a_machine_of_our_name_that_is_not_ours_is_named_and_nothing_is_made()
-> anyhow::Result<()> {
    let lab = Lab::new("acme", NodeSize::default())?;
    let (network, machine) = (lab.plan.id.scope(), lab.plan.id.node_scope("acme-main"));
    let foreign = format!(
        "<network><name>{network}</name><ip address='192.168.60.1' netmask='255.255.255.0'/></network>"
    );
    virsh(&["net-define", "/dev/stdin"], &foreign).await?;
    lab.refuses(&format!("a network named {network}")).await?;
    virsh(&["net-undefine", &network], "").await?;

    let foreign = format!(
        "<domain type='qemu'><name>{machine}</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    );
    virsh(&["define", "/dev/stdin"], &foreign).await?;
    lab.refuses(&format!("a virtual machine named {machine}")).await?;
    let kept = lab.engine.sightings().await?;
    ensure!(
        kept.iter().any(|it| it.kind == SightingKind::Machine && it.name == machine),
        "it is gone: {kept:?}"
    );
    lab.is_removed().await
}

#[tokio::test]
async fn a_machine_that_does_not_start_is_an_error_with_vagrants_last_lines() -> anyhow::Result<()> {
    // More memory than there is: QEMU ends at once, and Vagrant says so.
    let lab = Lab::new("acme", NodeSize { cpus: 2, memory_mb: 8_000_000 })?;
    match lab.engine.create(&lab.plan).await {
        Err(error @ EngineError::Start { .. }) => {
            let told = provisioner::error::chain(&error);
            ensure!(
                told.contains("acme-main") && told.contains("process exited while connecting to monitor"),
                "it tells nothing: {told}"
            );
        }
        other => bail!("a machine of 8 TB: {other:?}"),
    }
    lab.is_removed().await
}

#[tokio::test]
async fn what_a_killed_up_leaves_is_reaped_and_the_neighbours_machine_runs_on() -> anyhow::Result<()> {
    let home = Home::from_env()?;
    let provisioner = Provisioner::new(home)?;
    let neighbour = Lab::new("globex", NodeSize::LEAST)?;
    let nodes = neighbour.engine.create(&neighbour.plan).await?;
    let boot = "/proc/sys/kernel/random/boot_id";
    let booted = nodes[0].read(boot).await?;
    let before = Inventory::take(&provisioner).await?;

    let built = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let homelab =
        built.parent().and_then(|deps| deps.parent()).context("a folder of built programs")?.join("homelab");
    let up = ["up", "acme", "--engine", "vagrant", "--provider", "libvirt", "--topology", "k8s-single"];
    let up = Command::within(Duration::MAX, homelab).args(up).keeping(OURS.iter().copied());
    let up = Background::start(&up)?;
    until("acme's machine to be there", Slowdown::of_host().stretch(Duration::from_secs(180)), async || {
        let seen = provisioner.engines().sightings().await?;
        let there = seen.iter().any(|it| it.instance == "acme" && it.kind == SightingKind::Machine);
        Ok::<_, EngineError>(if there { Wait::Done(()) } else { Wait::NotYet(format!("{seen:?}")) })
    })
    .await?;
    drop(up); // SIGKILL to its process group
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_some(), "a killed up leaves something, or this test shows nothing");
    let reaped =
        until("the dead up to be reaped", Slowdown::of_host().stretch(Duration::from_secs(60)), async || {
            let reaped = provisioner.reap().await?.reaped;
            Ok::<_, provisioner::ReapError>(match reaped.is_empty() {
                true => Wait::NotYet("its process still lives".to_owned()),
                false => Wait::Done(reaped),
            })
        });
    for one in reaped.await? {
        ensure!(one.instance == "acme", "{} was reaped, too", one.instance);
        one.outcome?;
    }
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    ensure!(nodes[0].read(boot).await? == booted, "the neighbour's machine has booted anew");
    neighbour.is_removed().await
}

/// An engine with a home of its own, and the plan of one machine.
struct Lab {
    _folder: TempDir,
    engine: Arc<dyn Engine>,
    plan: ClusterPlan,
}

impl Lab {
    fn new(name: &str, size: NodeSize) -> anyhow::Result<Self> {
        let (folder, home, engine) = engine(Provider::Libvirt)?;
        let spec = on_libvirt(name).topology(Topology::Single).size(size).throw_away().check()?;
        let instance = claimed(&spec, &Taken::default(), &Pools::default())?;
        home.create_dir(&home.instance(name))?;
        Ok(Self { _folder: folder, engine, plan: ClusterPlan::of(&instance, &home) })
    }

    /// Creation says what is in the way.
    async fn refuses(&self, what: &str) -> anyhow::Result<()> {
        match self.engine.create(&self.plan).await {
            Err(EngineError::Foreign { what: named }) => ensure!(named == what, "it names {named}"),
            other => bail!("{what} is no obstacle: {other:?}"),
        }
        Ok(())
    }

    /// A destruction finishes the job, and says the second time that there was nothing.
    async fn is_removed(&self) -> anyhow::Result<()> {
        let (id, folder) = (&self.plan.id, &self.plan.folder);
        ensure!(self.engine.destroy(id, folder).await?, "nothing is said to have been there");
        let left = self.engine.sightings().await?;
        ensure!(left.is_empty(), "things are left: {left:?}");
        ensure!(!self.engine.destroy(id, folder).await?, "something was left for a second time");
        Ok(())
    }
}

async fn virsh(args: &[&str], input: &str) -> anyhow::Result<()> {
    let command = Command::within(Duration::from_secs(60), "virsh").args(["--connect", "qemu:///system"]);
    Ok(Local.run(&command.args(args.iter().copied()).input(input)).await.map(drop)?)
}
