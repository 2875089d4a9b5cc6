//! Faults with VMs have clear errors, their remains can always be removed, and another client's VM keeps running.

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
use provisioner::request::{NodeSize, Provider, Topology};
use provisioner::sighting::SightingKind;
use provisioner::slowdown::Slowdown;
use tempfile::TempDir;

use super::libvirt::engine;
use super::on_libvirt;

use crate::claims::claimed;

#[tokio::test]
async fn a_foreign_network_or_vm_of_the_same_name_is_named_and_nothing_is_created() -> anyhow::Result<()> {
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
        kept.iter().any(|it| it.kind == SightingKind::Vm && it.name == machine),
        "the foreign VM is gone: {kept:?}"
    );
    lab.is_removed().await
}

#[tokio::test]
async fn a_vm_that_does_not_start_is_an_error_with_vagrants_last_lines() -> anyhow::Result<()> {
    // More memory than the host has: QEMU ends at once, and Vagrant reports it.
    let lab = Lab::new("acme", NodeSize { cpus: 2, memory_mib: 8_000_000 })?;
    match lab.engine.create(&lab.plan).await {
        Err(error @ EngineError::Start { .. }) => {
            let told = provisioner::error::chain(&error);
            ensure!(
                told.contains("acme-main") && told.contains("process exited while connecting to monitor"),
                "the error lacks Vagrant's last lines: {told}"
            );
        }
        other => bail!("a VM of 8 TB did not fail as expected: {other:?}"),
    }
    lab.is_removed().await
}

#[tokio::test]
async fn leftovers_of_a_killed_up_are_reaped_and_the_neighbours_vm_keeps_running() -> anyhow::Result<()> {
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
    until("acme's VM to exist", Slowdown::of_host().stretch(Duration::from_secs(180)), async || {
        let seen = provisioner.engines().sightings().await?;
        let there = seen.iter().any(|it| it.instance == "acme" && it.kind == SightingKind::Vm);
        Ok::<_, EngineError>(if there { Wait::Done(()) } else { Wait::NotYet(format!("{seen:?}")) })
    })
    .await?;
    drop(up); // SIGKILL to its process group
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_some(), "the killed up left nothing to reap");
    let reaped =
        until("the dead up to be reaped", Slowdown::of_host().stretch(Duration::from_secs(60)), async || {
            let reaped = provisioner.reap().await?.reaped;
            Ok::<_, provisioner::ReapError>(match reaped.is_empty() {
                true => Wait::NotYet("its process still lives".to_owned()),
                false => Wait::Done(reaped),
            })
        });
    for one in reaped.await? {
        ensure!(one.instance == "acme", "{} was also reaped", one.instance);
        one.outcome?;
    }
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    ensure!(nodes[0].read(boot).await? == booted, "the neighbour's VM has rebooted");
    neighbour.is_removed().await
}

/// An engine with a separate home, and the plan of one VM.
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

    /// Fails unless `create` names this as the obstacle.
    async fn refuses(&self, what: &str) -> anyhow::Result<()> {
        match self.engine.create(&self.plan).await {
            Err(EngineError::Foreign { what: named }) => ensure!(named == what, "the error names {named}"),
            other => bail!("{what} does not stop create: {other:?}"),
        }
        Ok(())
    }

    /// Fails unless `destroy` removes everything, and reports the second time that nothing existed.
    async fn is_removed(&self) -> anyhow::Result<()> {
        let (id, folder) = (&self.plan.id, &self.plan.folder);
        ensure!(self.engine.destroy(id, folder).await?, "destroy reports that nothing existed");
        let left = self.engine.sightings().await?;
        ensure!(left.is_empty(), "destroy left {left:?}");
        ensure!(!self.engine.destroy(id, folder).await?, "the second destroy found something");
        Ok(())
    }
}

async fn virsh(args: &[&str], input: &str) -> anyhow::Result<()> {
    let command = Command::within(Duration::from_secs(60), "virsh").args(["--connect", "qemu:///system"]);
    Ok(Local.run(&command.args(args.iter().copied()).input(input)).await.map(drop)?)
}
