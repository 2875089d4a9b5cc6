//! The promises of an engine, one function for each check.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::{Instant, sleep};

use provisioner::engine::EngineError;
use provisioner::exec::{Command, Failure};
use provisioner::node::{File, Node};
use provisioner::plan::Power;
use provisioner::plan::{ClusterPlan, NodePlan};

use super::Trial;

/// A file on a node's disk.
const DISK: &str = "/root/trial/marker";
/// A file in a node's memory.
const MEMORY: &str = "/run/trial/marker";

impl Trial {
    pub(super) async fn what_never_was_is_absent(&self) -> anyhow::Result<()> {
        let (plan, node) = (&self.large, &self.large.nodes[1]);
        self.is_absent(plan, "a-cp-1").await.context("attach")?;
        for power in [Power::Pause, Power::Resume, Power::Halt, Power::Start] {
            match self.engine.power(plan, power).await {
                Err(EngineError::Absent { node }) => {
                    ensure!(node == "a-cp-1", "{power}: absent is {node}, not a-cp-1")
                }
                other => bail!("{power} of an instance that was never made: {other:?}"),
            }
        }
        let into = tempfile::tempdir()?;
        let into = into.path().to_str().context("a temporary folder in UTF-8")?;
        self.engine.collect_logs(plan, into.into()).await.context("collect logs")?;
        ensure!(!self.engine.destroy_node(plan, node).await?, "a node that was never made was destroyed");
        // An instance that was never created nor planned.
        let never = self.engine.destroy(&self.id("never"), &self.home.instance("never")).await?;
        ensure!(!never, "an instance that was never made was destroyed");
        self.nothing_is_there().await
    }

    /// Boots both nodes of `a`.
    pub(super) async fn create_may_be_repeated(&self) -> anyhow::Result<()> {
        let first = self.engine.create(&self.large).await?;
        ensure!(names(&first) == ["a-cp-1", "a-w-1"], "made {:?}", names(&first));
        for node in &first {
            mark(node, DISK, node.name()).await?;
        }
        let second = self.engine.create(&self.large).await.context("the second time")?;
        ensure!(names(&second) == names(&first), "the second create made {:?}", names(&second));
        for node in first.iter().chain(&second) {
            ensure!(node.read(DISK).await? == node.name(), "the second create made new nodes");
        }
        Ok(())
    }

    pub(super) async fn attach_finds_what_create_made(&self) -> anyhow::Result<()> {
        let found = self.engine.attach(&self.large).await?;
        let plans: Vec<NodePlan> = found.iter().map(|node| node.plan().clone()).collect();
        ensure!(plans == self.large.nodes, "found {plans:?}");
        for node in &found {
            ensure!(node.read(DISK).await? == node.name(), "attach found another node");
        }
        Ok(())
    }

    pub(super) async fn a_node_runs_commands_and_keeps_files(&self) -> anyhow::Result<()> {
        let nodes = self.engine.attach(&self.large).await?;
        let (public, private) = ("/root/trial/public", "/root/trial/private");
        let files = [File::public(public, "for all\n"), File::private(private, vec![0, 159, 146, 150])];
        nodes[0].put(&files).await?;
        ensure!(nodes[0].read(public).await? == "for all\n", "a file has other contents than written");
        let cat = |path: &str| Command::within(Duration::from_secs(10), "cat").arg(path);
        let bytes = nodes[0].run(&cat(private)).await?.stdout;
        ensure!(bytes == [0, 159, 146, 150], "a file has other bytes than written: {bytes:?}");
        ensure!(nodes[1].run(&cat(public)).await.is_err(), "another node has the file too");
        let error = nodes[0]
            .run(&cat("/does/not/exist"))
            .await
            .err()
            .context("a command that fails has succeeded")?;
        let told = error.to_string();
        ensure!(told.contains("a-cp-1"), "the error does not name the node: {told}");
        ensure!(told.contains("No such file or directory"), "the error has no reason: {told}");
        Ok(())
    }

    /// Boots the node of `a-cp-1`.
    pub(super) async fn sightings_tell_what_exists(&self) -> anyhow::Result<()> {
        let made = self.engine.create(&self.small).await?;
        mark(&made[0], DISK, made[0].name()).await?;
        let sightings = self.engine.sightings().await?;
        let strange: Vec<_> = sightings
            .iter()
            .filter(|one| ![&*self.large.id.name, "a-cp-1"].contains(&&*one.instance))
            .collect();
        ensure!(strange.is_empty(), "sightings of other instances: {strange:?}");
        for plan in [&self.large, &self.small] {
            for scope in scopes(plan) {
                let seen = sightings.iter().any(|one| one.instance == plan.id.name && one.name == scope);
                ensure!(seen, "{scope} of {} is not among {sightings:?}", plan.id);
            }
        }
        Ok(())
    }

    pub(super) async fn nodes_reach_nodes_of_their_own_instance_only(&self) -> anyhow::Result<()> {
        let plans = [&self.large, &self.small];
        for from in plans {
            let nodes = self.engine.attach(from).await?;
            for to in plans {
                for (node, to) in nodes.iter().flat_map(|node| to.nodes.iter().map(move |to| (node, to))) {
                    let own = from.nodes.contains(to);
                    let ping = Command::within(Duration::from_secs(10), "ping").args(["-c", "2", "-w", "5"]);
                    let outcome = node.run(&ping.arg(to.address.to_string())).await;
                    match outcome.map_err(|error| error.failure) {
                        Ok(_) => ensure!(own, "{} reaches {}", node.name(), to.name),
                        Err(Failure::Status { .. }) if !own => {}
                        Err(other) => bail!("{} pings {}: {other:?}", node.name(), to.name),
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn logs_are_collected(&self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let into = folder.path().to_str().context("a temporary folder in UTF-8")?;
        self.engine.collect_logs(&self.large, into.into()).await?;
        for node in &self.large.nodes {
            ensure!(folder.path().join(&node.name).is_dir(), "no logs of {}", node.name);
        }
        Ok(())
    }

    pub(super) async fn a_paused_node_keeps_its_memory(&self) -> anyhow::Result<()> {
        let nodes = self.engine.attach(&self.small).await?;
        mark(&nodes[0], MEMORY, "in memory").await?;
        self.engine.power(&self.small, Power::Resume).await.context("resume a running instance")?;
        for again in ["once", "again"] {
            self.engine.power(&self.small, Power::Pause).await.context(again)?;
            self.is_absent(&self.small, "a-cp-1-main").await.with_context(|| format!("paused {again}"))?;
        }
        ensure!(self.nodes_there().await?.contains(&scopes(&self.small)[0]), "a paused node has no sighting");
        self.neighbour_runs().await?;
        for again in ["once", "again"] {
            self.engine.power(&self.small, Power::Resume).await.context(again)?;
            let kept = self.read_soon(MEMORY).await.with_context(|| format!("resumed {again}"))?;
            ensure!(kept == "in memory", "the file in memory has {kept:?}");
        }
        Ok(())
    }

    /// Boots the node of `a-cp-1` again.
    pub(super) async fn a_halted_node_keeps_its_disk(&self) -> anyhow::Result<()> {
        self.engine.power(&self.small, Power::Start).await.context("start a running instance")?;
        for again in ["once", "again"] {
            self.engine.power(&self.small, Power::Halt).await.context(again)?;
            self.is_absent(&self.small, "a-cp-1-main").await.with_context(|| format!("halted {again}"))?;
        }
        ensure!(self.nodes_there().await?.contains(&scopes(&self.small)[0]), "a halted node has no sighting");
        self.engine.power(&self.small, Power::Resume).await.context("resume a halted instance")?;
        self.is_absent(&self.small, "a-cp-1-main").await.context("resume has started a halted node")?;
        self.neighbour_runs().await?;
        for again in ["once", "again"] {
            self.engine.power(&self.small, Power::Start).await.context(again)?;
            let kept = self.read_soon(DISK).await.with_context(|| format!("started {again}"))?;
            ensure!(kept == "a-cp-1-main", "the file on the disk has {kept:?}");
        }
        Ok(())
    }

    pub(super) async fn one_node_goes_alone(&self) -> anyhow::Result<()> {
        let (plan, gone) = (&self.large, &self.large.nodes[1]);
        let nodes = self.engine.attach(plan).await?;
        ensure!(self.engine.destroy_node(plan, gone).await?, "destroy_node found no node");
        let again = self.engine.destroy_node(plan, gone).await.context("destroy a node twice")?;
        ensure!(!again, "the first destroy_node left something of the node");
        ensure!(nodes[1].read(DISK).await.is_err(), "a destroyed node still answers");
        let scope = plan.id.node_scope(&gone.name);
        let left = self.engine.sightings().await?;
        ensure!(left.iter().all(|sighting| sighting.name != scope), "{scope} is among {left:?}");
        ensure!(nodes[0].read(DISK).await? == "a-cp-1", "the other node was replaced");
        self.is_absent(plan, &gone.name).await?;
        let rest = self.engine.attach(&without(plan, &gone.name)).await?;
        ensure!(names(&rest) == ["a-cp-1"], "the other node is gone: {:?}", names(&rest));
        Ok(())
    }

    /// Boots the worker of `a` again.
    pub(super) async fn create_adds_what_is_missing(&self) -> anyhow::Result<()> {
        let few = self.engine.create(&without(&self.large, "a-w-1")).await.context("create only one node")?;
        ensure!(names(&few) == ["a-cp-1"], "made {:?}", names(&few));
        let all = self.engine.create(&self.large).await?;
        ensure!(names(&all) == ["a-cp-1", "a-w-1"], "made {:?}", names(&all));
        ensure!(all[0].read(DISK).await? == "a-cp-1", "an existing node was made again");
        ensure!(few[0].read(DISK).await? == "a-cp-1", "an old handle no longer works");
        ensure!(all[1].read(DISK).await.is_err(), "the new node has the files of the old one");
        mark(&all[1], DISK, "a-w-1").await
    }

    /// Destroys `a-cp-1`, whose name begins with that of `a`.
    pub(super) async fn instances_go_alone(&self) -> anyhow::Result<()> {
        ensure!(self.destroy(&self.small).await?, "destroy found nothing of a-cp-1");
        self.neighbour_runs().await?;
        let left = self.engine.sightings().await?;
        ensure!(left.iter().all(|one| one.instance == self.large.id.name), "sightings are left: {left:?}");
        Ok(())
    }

    /// Boots the node of `a-cp-1` again.
    pub(super) async fn destroy_may_come_at_any_time(&self) -> anyhow::Result<()> {
        let again = self.destroy(&self.small).await.context("destroy twice")?;
        ensure!(!again, "the first destroy left something");
        self.is_absent(&self.small, "a-cp-1-main").await?;
        let anew = self.engine.create(&self.small).await.context("create again after destroy")?;
        ensure!(anew[0].read(DISK).await.is_err(), "the new node has the files of the old one");
        mark(&anew[0], DISK, "a-cp-1-main").await?;
        let old = self.engine.attach(&self.large).await?;
        ensure!(self.destroy(&self.large).await?, "destroy found nothing of a");
        ensure!(old[0].read(DISK).await.is_err(), "a destroyed node still answers");
        ensure!(self.read_soon(DISK).await? == "a-cp-1-main", "the other instance was replaced");
        let left = self.engine.sightings().await?;
        ensure!(left.iter().all(|one| one.instance == self.small.id.name), "sightings are left: {left:?}");
        // A paused instance can be destroyed too.
        self.engine.power(&self.small, Power::Pause).await?;
        ensure!(
            self.destroy(&self.small).await.context("destroy a paused instance")?,
            "destroy found nothing"
        );
        Ok(())
    }

    async fn is_absent(&self, plan: &ClusterPlan, absent: &str) -> anyhow::Result<()> {
        match self.engine.attach(plan).await {
            Err(EngineError::Absent { node }) => ensure!(node == absent, "another node is absent: {node}"),
            Err(other) => return Err(other).context("attach to absent nodes"),
            Ok(nodes) => bail!("attach has found absent nodes: {:?}", names(&nodes)),
        }
        Ok(())
    }

    /// Checks that the nodes of `a` are the same as before.
    async fn neighbour_runs(&self) -> anyhow::Result<()> {
        for node in self.engine.attach(&self.large).await.context("attach to the other instance")? {
            ensure!(node.read(DISK).await? == node.name(), "{} was replaced", node.name());
        }
        Ok(())
    }

    /// Reads a file of `a-cp-1`, whose node may still boot: polls for up to 30 s, stretched.
    async fn read_soon(&self, path: &str) -> anyhow::Result<String> {
        let deadline =
            Instant::now() + self.small.platform.slowdown.stretch(Duration::from_secs(30)).on_clock();
        loop {
            let read = async { anyhow::Ok(self.engine.attach(&self.small).await?[0].read(path).await?) };
            match read.await {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)).await,
                Ok(text) => return Ok(text),
            }
        }
    }
}

/// The names of the containers or VMs of a plan's nodes.
fn scopes(plan: &ClusterPlan) -> Vec<String> {
    plan.nodes.iter().map(|node| plan.id.node_scope(&node.name)).collect()
}

/// The plan without one of its nodes.
fn without(plan: &ClusterPlan, node: &str) -> ClusterPlan {
    let nodes = plan.nodes.iter().filter(|other| other.name != node).cloned().collect();
    ClusterPlan { nodes, ..plan.clone() }
}

fn names(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(Node::name).collect()
}

async fn mark(node: &Node, path: &str, text: &str) -> anyhow::Result<()> {
    Ok(node.put(&[File::public(path, text)]).await?)
}
