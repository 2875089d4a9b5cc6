//! The promises, each a trial of its own.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use provisioner::engine::EngineError;
use provisioner::exec::Command;
use provisioner::node::{File, Node};
use provisioner::plan::ClusterPlan;

use super::Trial;

const MARKER: &str = "/root/trial/marker";

impl Trial {
    pub(super) async fn create_may_be_repeated(&self) -> anyhow::Result<()> {
        let plans = self.plans([("twice", 1)])?;
        let outcome = async {
            let first = self.engine.create(&plans[0]).await?;
            ensure!(names(&first) == ["twice-cp-1", "twice-w-1"], "made {:?}", names(&first));
            mark(&first[0], "kept").await?;
            let second = self.engine.create(&plans[0]).await?;
            ensure!(names(&second) == names(&first), "the second time, made {:?}", names(&second));
            ensure!(second[0].read(MARKER).await? == "kept", "the second create made new nodes");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn attach_finds_what_create_made(&self) -> anyhow::Result<()> {
        let plans = self.plans([("attached", 1)])?;
        let outcome = async {
            let made = self.engine.create(&plans[0]).await?;
            mark(&made[1], "made").await?;
            let found = self.engine.attach(&plans[0]).await?;
            let plans_of = |nodes: &[Node]| nodes.iter().map(|node| node.plan().clone()).collect::<Vec<_>>();
            ensure!(plans_of(&found) == plans[0].nodes, "found {:?}", plans_of(&found));
            ensure!(found[1].read(MARKER).await? == "made", "it is another node that was found");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn attach_says_what_is_absent(&self) -> anyhow::Result<()> {
        let plans = self.plans([("absent", 0)])?;
        match self.engine.attach(&plans[0]).await {
            Err(EngineError::Absent { node }) => ensure!(node == "absent-main", "it says {node} is absent"),
            Err(other) => return Err(other).context("attach to what was never made"),
            Ok(nodes) => bail!("attached to what was never made: {:?}", names(&nodes)),
        }
        self.cleaned(&plans, Ok(())).await
    }

    pub(super) async fn a_node_runs_commands_and_keeps_files(&self) -> anyhow::Result<()> {
        let plans = self.plans([("runs", 1)])?;
        let outcome = async {
            let nodes = self.engine.create(&plans[0]).await?;
            let (public, private) = ("/root/trial/public", "/root/trial/private");
            let files = [File::public(public, "for all\n"), File::private(private, vec![0, 159, 146, 150])];
            nodes[0].put(&files).await?;
            ensure!(nodes[0].read(public).await? == "for all\n", "a file is not what was put");
            let cat = |path: &str| Command::within(Duration::from_secs(10), "cat").arg(path);
            let bytes = nodes[0].run(&cat(private)).await?.stdout;
            ensure!(bytes == [0, 159, 146, 150], "bytes are not kept: {bytes:?}");
            ensure!(nodes[1].run(&cat(public)).await.is_err(), "another node has the file as well");
            let error =
                nodes[0].run(&cat("/does/not/exist")).await.err().context("a failure passed as success")?;
            let told = error.to_string();
            ensure!(told.contains("runs-cp-1"), "the error does not name the node: {told}");
            ensure!(told.contains("No such file or directory"), "the error hides the reason: {told}");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn sightings_tell_what_exists(&self) -> anyhow::Result<()> {
        let plans = self.plans([("seen", 0), ("seen-too", 0)])?;
        let outcome = async {
            for plan in &plans {
                self.engine.create(plan).await?;
            }
            let sightings = self.engine.sightings().await?;
            for plan in &plans {
                let scope = plan.id.node_scope(&plan.nodes[0].name);
                let seen = sightings
                    .iter()
                    .any(|sighting| sighting.instance == plan.id.name && sighting.name == scope);
                ensure!(seen, "{scope} is not among {sightings:?}");
            }
            let strange: Vec<_> =
                sightings.iter().filter(|sighting| !sighting.instance.starts_with("seen")).collect();
            ensure!(strange.is_empty(), "things of nobody: {strange:?}");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn destroy_may_come_at_any_time(&self) -> anyhow::Result<()> {
        // Never created, and not even planned.
        let never = self.id("never");
        let was = self.engine.destroy(&never, &self.home.instance("never")).await;
        ensure!(
            !was.context("destroy what never was")?,
            "something that never was is said to have been there"
        );
        let plans = self.plans([("gone", 1)])?;
        let outcome = async {
            let nodes = self.engine.create(&plans[0]).await?;
            ensure!(self.destroy(&plans[0]).await?, "nothing is said to have been there");
            ensure!(
                !self.destroy(&plans[0]).await.context("destroy twice")?,
                "something was left for a second time"
            );
            ensure!(nodes[0].read("/etc/hostname").await.is_err(), "a destroyed node still answers");
            ensure!(self.engine.attach(&plans[0]).await.is_err(), "a destroyed cluster can be attached to");
            self.engine.create(&plans[0]).await.context("create again after destroy").map(drop)
        };
        self.cleaned(&plans, outcome.await).await
    }

    /// With names of which one is the beginning of the other, also by way of a node's name.
    pub(super) async fn instances_go_alone(&self) -> anyhow::Result<()> {
        let plans = self.plans([("a", 0), ("a-1", 0), ("a-main", 0)])?;
        let outcome = async {
            for plan in &plans {
                let nodes = self.engine.create(plan).await?;
                mark(&nodes[0], &plan.id.name).await?;
            }
            self.destroy(&plans[0]).await?;
            for plan in &plans[1..] {
                self.still_has_its_marker(plan).await?;
            }
            let left = self.engine.sightings().await?;
            ensure!(left.iter().all(|sighting| sighting.instance != "a"), "something of a is left: {left:?}");
            self.destroy(&plans[2]).await?;
            self.still_has_its_marker(&plans[1]).await
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn one_node_goes_and_comes_again(&self) -> anyhow::Result<()> {
        let plans = self.plans([("less", 2)])?;
        let (plan, gone) = (&plans[0], &plans[0].nodes[1]);
        let outcome = async {
            let never =
                self.engine.destroy_node(plan, gone).await.context("destroy a node that never was")?;
            ensure!(!never, "a node that never was is said to have been there");
            let nodes = self.engine.create(plan).await?;
            for node in &nodes {
                mark(node, node.name()).await?;
            }
            ensure!(self.engine.destroy_node(plan, gone).await?, "no node is said to have been there");
            let again = self.engine.destroy_node(plan, gone).await.context("destroy a node twice")?;
            ensure!(!again, "something of the node was left for a second time");
            ensure!(nodes[1].read(MARKER).await.is_err(), "a destroyed node still answers");
            let scope = plan.id.node_scope(&gone.name);
            let left = self.engine.sightings().await?;
            ensure!(left.iter().all(|sighting| sighting.name != scope), "{scope} is among {left:?}");
            for node in [&nodes[0], &nodes[2]] {
                ensure!(node.read(MARKER).await? == node.name(), "{} is another node now", node.name());
            }
            match self.engine.attach(plan).await {
                Err(EngineError::Absent { node }) => ensure!(node == gone.name, "it says {node} is absent"),
                other => bail!("attached to a node that is gone: {other:?}"),
            }
            let rest = without(plan, &gone.name);
            ensure!(names(&self.engine.attach(&rest).await?) == ["less-cp-1", "less-w-2"], "others are gone");
            let nodes = self.engine.create(plan).await.context("create it again")?;
            ensure!(nodes[1].read(MARKER).await.is_err(), "the new node has the old one's files");
            ensure!(nodes[2].read(MARKER).await? == "less-w-2", "the others are made anew");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn a_larger_plan_adds_what_is_missing(&self) -> anyhow::Result<()> {
        let plans = self.plans([("more", 2)])?;
        let outcome = async {
            let few = without(&plans[0], "more-w-2");
            let nodes = self.engine.create(&few).await?;
            mark(&nodes[1], "kept").await?;
            let all = self.engine.create(&plans[0]).await?;
            ensure!(names(&all) == ["more-cp-1", "more-w-1", "more-w-2"], "made {:?}", names(&all));
            ensure!(all[1].read(MARKER).await? == "kept", "a node that was there is made anew");
            ensure!(nodes[1].read(MARKER).await? == "kept", "an old handle does not work any more");
            Ok(())
        };
        self.cleaned(&plans, outcome.await).await
    }

    pub(super) async fn logs_are_collected(&self) -> anyhow::Result<()> {
        let plans = self.plans([("logged", 0)])?;
        let folder = tempfile::tempdir()?;
        let into = folder.path().to_str().context("a temporary folder in UTF-8")?;
        let outcome = async {
            self.engine.collect_logs(&plans[0], into.into()).await.context("logs of what never was")?;
            self.engine.create(&plans[0]).await?;
            Ok(self.engine.collect_logs(&plans[0], into.into()).await?)
        };
        self.cleaned(&plans, outcome.await).await
    }

    async fn still_has_its_marker(&self, plan: &ClusterPlan) -> anyhow::Result<()> {
        let nodes = self.engine.attach(plan).await?;
        let marker = nodes[0].read(MARKER).await?;
        ensure!(marker == plan.id.name, "the node of {} has the marker of {marker}", plan.id.name);
        Ok(())
    }
}

/// The plan of the same cluster without one of its nodes.
fn without(plan: &ClusterPlan, node: &str) -> ClusterPlan {
    let nodes = plan.nodes.iter().filter(|other| other.name != node).cloned().collect();
    ClusterPlan { nodes, ..plan.clone() }
}

fn names(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(Node::name).collect()
}

async fn mark(node: &Node, text: &str) -> anyhow::Result<()> {
    Ok(node.put(&[File::public(MARKER, text)]).await?)
}
