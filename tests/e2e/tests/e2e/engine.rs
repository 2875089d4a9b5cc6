//! The container engine passes the contract suite, and its nodes share no writable file and use no device of the host.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use provisioner::assets::Assets;
use provisioner::engine::{ContainerEngine, Engine};
use provisioner::events::Events;
use provisioner::exec::{Command, Local, Output, Runner};
use provisioner::fabric;
use provisioner::home::Home;
use provisioner::node::Node;
use provisioner::plan::{ClusterPlan, Pools, Taken};
use provisioner::request::KUBERNETES_VERSION;
use provisioner::request::{ClusterSpec, EngineKind, Topology};
use tempfile::TempDir;

use crate::claims::claimed;

#[tokio::test]
async fn the_container_engine_keeps_every_promise() -> anyhow::Result<()> {
    let (_folder, home, engine) = engine()?;
    contract::engine_suite(EngineKind::Container, Arc::new(engine), home, taken().await?).await
}

#[tokio::test]
async fn writes_of_root_on_a_node_into_its_images_reach_no_other_node_and_not_the_cache() -> anyhow::Result<()>
{
    let (_folder, home, engine) = engine()?;
    let store = assets()?.find(KUBERNETES_VERSION).context("a node image")?.containerd_store;
    let mut taken = taken().await?;
    let mut plans = Vec::new();
    for name in ["acme", "globex"] {
        let spec = ClusterSpec::new(name).topology(Topology::Single).throw_away().check()?;
        let instance = claimed(&spec, &taken, &Pools::default())?;
        plans.push(ClusterPlan::of(&instance, &home));
        home.create_dir(&home.instance(name))?;
        taken.instances.push(instance);
    }
    let looked = look(&engine, &plans, &store).await;
    for plan in &plans {
        engine.destroy(&plan.id, &plan.folder).await?;
    }
    looked
}

async fn look(engine: &ContainerEngine, plans: &[ClusterPlan], store: &Utf8Path) -> anyhow::Result<()> {
    let (acme, globex) =
        (engine.create(&plans[0]).await?.remove(0), engine.create(&plans[1]).await?.remove(0));
    let inode = "-printf '%D:%i\\n'";
    let files = [
        inodes(&acme.run(&shell(&find(STORE, inode))).await?),
        inodes(&globex.run(&shell(&find(STORE, inode))).await?),
        inodes(&Local.run(&shell(&find(store.as_str(), inode))).await?),
    ];
    for (here, there) in [(0, 1), (0, 2), (1, 2)] {
        ensure!(files[here].len() > 20, "too few image files to compare: {:?}", files[here]);
        let shared: Vec<&String> = files[here].intersection(&files[there]).collect();
        ensure!(shared.is_empty(), "two image stores share files: {shared:?}");
    }
    let remount = "findmnt --list --noheadings --output TARGET | grep homelab | while read -r mount; do
            mount -o remount,rw \"$mount\"; done";
    let probes = find(STORE, "-name homelab-probe -print");
    let write = format!("for file in $({probes}); do echo written by acme >> $file; done");
    acme.run(&shell(remount)).await?;
    acme.run(&shell(&write)).await?;
    ensure!(marked(&acme).await? > 0, "acme wrote to no file, so the other checks prove nothing");
    ensure!(marked(&globex).await? == 0, "globex's node has data that acme wrote");
    let in_cache = Local.run(&shell(&written(store.as_str()))).await?.text();
    ensure!(in_cache.is_empty(), "the cache has data that acme wrote: {in_cache}");
    Ok(())
}

/// Joins the cgroups and the namespaces of the process with the pid `$0`, and tells which devices it can open there, before
/// and after it has asked its own cgroup to allow all of them.
const TRY_DEVICES: &str = r#"
while IFS=: read -r _ controllers path; do
    case $controllers in
        devices) echo $$ > "/sys/fs/cgroup/devices$path/cgroup.procs" ;;
        '') [ ! -f /sys/fs/cgroup/cgroup.controllers ] || echo $$ > "/sys/fs/cgroup$path/cgroup.procs" ;;
    esac
done < "/proc/$0/cgroup"
exec nsenter --target "$0" --all sh -c '
try() { mknod "/dev/tried-$1" "$2" "$3" "$4"; (: < "/dev/tried-$1") 2> /dev/null && echo "$1"; rm "/dev/tried-$1"; }
all() { try null c 1 3; try memory c 1 1; try messages c 1 11; try loop b 7 0; try disk b 8 0; try disk b 254 0; }
all
(echo "a *:* rwm" > /sys/fs/cgroup/devices/devices.allow) 2> /dev/null
all'
"#;

#[tokio::test]
async fn root_on_a_node_opens_no_device_of_the_host_and_cannot_allow_it_to_itself() -> anyhow::Result<()> {
    let (_folder, home, engine) = engine()?;
    let spec = ClusterSpec::new("acme").topology(Topology::Single).throw_away().check()?;
    let plan = ClusterPlan::of(&claimed(&spec, &taken().await?, &Pools::default())?, &home);
    home.create_dir(&home.instance("acme"))?;
    let opened = opened(&engine, &plan).await;
    engine.destroy(&plan.id, &plan.folder).await?;
    // The null device is the control: it opens, so that the others are refused and not missing.
    let opened = opened?;
    ensure!(opened == "null\nnull\n", "a node can open these devices: {opened}");
    Ok(())
}

/// The devices that root on the plan's first node can open, a line each.
async fn opened(engine: &ContainerEngine, plan: &ClusterPlan) -> anyhow::Result<String> {
    engine.create(plan).await?;
    let scope = plan.id.node_scope(&plan.first().name);
    let inspect = Command::within(Duration::from_secs(30), "podman");
    let inspect = inspect.args(["inspect", "--format", "{{.State.Pid}}", &scope]);
    let pid = Local.run(&inspect).await?.text();
    Ok(Local.run(&shell(TRY_DEVICES).arg(pid.trim())).await?.text())
}

/// The image store of a node.
const STORE: &str = "/var/lib/containerd";

/// A command that finds files of a store. It follows symbolic links near the store's root, such as those to the
/// unpacked layers from the node image. Deeper links belong to the images and may lead anywhere.
fn find(store: &str, what: &str) -> String {
    let linked = format!("$(find {store}/ -maxdepth 3 -type l -xtype d -printf '%p/ ')");
    format!("find {store}/ {linked} -type f {what}")
}

/// Number of a node's image files that contain the written text.
async fn marked(node: &Node) -> anyhow::Result<usize> {
    Ok(node.run(&shell(&written(STORE))).await?.text().lines().count())
}

/// A command that lists the files of a store that contain the written text. Only files of the name to which it is written
/// are read, because a store has gigabytes.
fn written(store: &str) -> String {
    format!("{} || true", find(store, "-name homelab-probe -exec grep -l 'written by acme' {} +"))
}

fn inodes(output: &Output) -> BTreeSet<String> {
    output.text().lines().map(str::to_owned).collect()
}

fn shell(script: &str) -> Command {
    Command::within(Duration::from_secs(30), "sh").args(["-c", script])
}

/// An engine with a separate home, so that its instances, which are in no registry, do not count as leftovers in
/// another home.
fn engine() -> anyhow::Result<(TempDir, Home, ContainerEngine)> {
    let folder = tempfile::tempdir()?;
    let home = Home::at(Utf8PathBuf::try_from(folder.path().to_owned())?);
    let pools = Pools::default().ranges().to_vec();
    let engine = ContainerEngine::new(home.id(), pools, assets()?, Events::default());
    Ok((folder, home, engine))
}

fn assets() -> anyhow::Result<Assets> {
    Ok(Assets::in_cache(Home::from_env()?.cache().to_owned()))
}

async fn taken() -> anyhow::Result<Taken> {
    Ok(Taken {
        instances: Vec::new(),
        host: fabric::host_networks(&[], |_| false).await?,
        ..Taken::default()
    })
}
