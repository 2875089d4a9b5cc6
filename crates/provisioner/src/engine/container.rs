//! The default engine: nodes are podman containers in network namespaces that homelab makes.
//!
//! podman only starts and stops the containers. `fabric` makes the network, because podman's own networks switch the
//! host's IP forwarding on and share a bridge between clients. All clients share the host's kernel; nodes with kernels
//! of their own need an engine with VMs.

mod confinement;
mod folder;
mod hook;
mod monitor;
mod podman;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use ipnet::Ipv4Net;
use serde::de::DeserializeOwned;

use crate::assets::Assets;
use crate::capacity::NodeLimits;
use crate::events::{Event, Events};
use crate::exec::{Command, InContainer, Local, Runner};
use crate::fabric;
use crate::files::failed;
use crate::node::Node;
use crate::plan::{ClusterPlan, InstanceId, NodePlan, Power};
use crate::sighting::{Sighting, SightingKind};
use crate::stage::Stage;

use super::engines::Removal;
use super::{Engine, EngineError, MissingRequirement, users_of};
use podman::{
    Container, HOME_LABEL, INSTANCE_LABEL, Inspected, Mount, hooked, node_folder, podman, run, verb,
};

/// Number of nodes that are started at the same time. More would only queue up, in podman and for the kernel's
/// namespaces.
const AT_ONCE: usize = 4;

/// Makes nodes as podman containers.
#[derive(Debug, Clone)]
pub struct ContainerEngine {
    home: String,
    pools: Vec<Ipv4Net>,
    assets: Assets,
    events: Events,
    host: Arc<dyn Runner>,
}

impl ContainerEngine {
    /// An engine for the instances of one home. The host guard lets no address of `pools` leave the host.
    pub fn new(home: impl Into<String>, pools: Vec<Ipv4Net>, assets: Assets, events: Events) -> Self {
        Self { home: home.into(), pools, assets, events, host: Arc::new(Local) }
    }

    /// Makes the parts of an instance's network that are missing.
    async fn wire(&self, plan: &ClusterPlan) -> Result<(), EngineError> {
        let instance = plan.id.name.clone();
        let wired = fabric::lay(plan, &self.pools, self.host.as_ref()).await;
        wired.map_err(|source| EngineError::Wires { instance, source: Box::new(source) })
    }

    async fn start(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<(), EngineError> {
        let started = Instant::now();
        // `assets prune` must not remove the image before podman has recorded that the node uses it.
        let lock = |source| EngineError::File(failed("lock", self.assets.folder())(source));
        let _held = self.assets.hold().await.map_err(lock)?;
        let version = &plan.kubernetes;
        let image = self.assets.find(version).ok_or_else(|| {
            let what = format!("the node image of Kubernetes {version}");
            let remedy = format!("homelab assets build --kubernetes {version}");
            EngineError::Preflight(vec![MissingRequirement { what, remedy }])
        })?;
        let folder = node_folder(&plan.folder, &node.name);
        folder::prepare(&folder, &image.containerd_store).await?;
        let overlaid = folder::prepare_root(&folder, &image.root).await?;
        hook::write(plan, node, &folder)?;
        confinement::write(&folder)?;
        let limits = NodeLimits::here().map_err(EngineError::Limits)?;
        let command = run(plan, node, &image, &folder, &overlaid, limits);
        let failed = |source| EngineError::Start { node: node.name.clone(), source };
        self.host.run(&command).await.map_err(failed)?;
        self.events.publish(Event::StageCompleted {
            instance: plan.id.name.clone(),
            stage: Stage::Nodes,
            node: Some(node.name.clone()),
            took: started.elapsed(),
            error: None,
        });
        Ok(())
    }

    /// Starts a node again that has ended. Its files are still on the disk.
    async fn start_again(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<(), EngineError> {
        let folder = node_folder(&plan.folder, &node.name);
        let command = hooked(plan, node, &folder).args(["start", &plan.id.node_scope(&node.name)]);
        let failed = |source| EngineError::Start { node: node.name.clone(), source };
        self.host.run(&command).await.map(drop).map_err(failed)
    }

    /// All containers of this home, running or not.
    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.labelled(&format!("label={HOME_LABEL}={}", self.home)).await
    }

    /// All containers with a label, running or not. `filter` is podman's: `label=homelab.home=8fc76b`.
    async fn labelled(&self, filter: &str) -> Result<Vec<Container>, EngineError> {
        let ask = podman(20).args(["ps", "--all", "--format", "json", "--filter", filter]);
        self.ask("list containers", &ask).await
    }

    async fn ask<T: DeserializeOwned>(&self, what: &'static str, ask: &Command) -> Result<T, EngineError> {
        let answer = self.host.run(ask).await.map_err(|source| EngineError::Ask { what, source })?;
        serde_json::from_slice(&answer.stdout).map_err(|error| EngineError::Answer {
            what,
            answer: format!("{error}: {}", answer.text().chars().take(200).collect::<String>()),
        })
    }

    /// The names of other homes' containers that have a volume in this folder.
    async fn volumes_in(&self, id: &InstanceId, folder: &Utf8Path) -> Result<Vec<String>, EngineError> {
        let all = self.labelled(&format!("label={HOME_LABEL}")).await?;
        // Containers of this home cannot be meant: its other instances have other folders.
        let others = all.into_iter().filter(|it| it.labels.get(HOME_LABEL) != Some(&id.home));
        let others: Vec<String> = others.map(|container| container.id).collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = podman(20).args(["container", "inspect"]).args(&others);
        let inspected: Vec<Inspected> = self.ask("inspect containers", &inspect).await?;
        let is_in = |mount: &Mount| canonical(&mount.source).starts_with(folder);
        let users = inspected.into_iter().filter(|container| container.mounts.iter().any(is_in));
        Ok(users.map(|container| format!("container {}", container.name)).collect())
    }

    /// Pauses, resumes, halts or starts a node that is in this state; see [`verb`].
    async fn obey(
        &self,
        plan: &ClusterPlan,
        node: &NodePlan,
        power: Power,
        state: &str,
    ) -> Result<(), EngineError> {
        let Some(verb) = verb(power, state) else { return Ok(()) };
        let folder = node_folder(&plan.folder, &node.name);
        let command =
            hooked(plan, node, &folder).args(verb.iter().copied()).arg(plan.id.node_scope(&node.name));
        let failed = |source| EngineError::Power { power, node: node.name.clone(), source };
        self.host.run(&command).await.map(drop).map_err(failed)
    }

    /// The states of this home's containers by their names, in podman's words: `running`, `paused`, `exited` …
    async fn states(&self) -> Result<HashMap<String, String>, EngineError> {
        let containers = self.containers().await?.into_iter();
        let named = containers.flat_map(|container| {
            container.names.into_iter().map(move |name| (name, container.state.clone()))
        });
        Ok(named.collect())
    }

    async fn handles(&self, plan: &ClusterPlan) -> Result<Vec<Node>, EngineError> {
        let running: HashMap<String, u32> = self
            .containers()
            .await?
            .into_iter()
            .filter(|container| container.state == "running")
            .flat_map(|container| container.names.into_iter().map(move |name| (name, container.pid)))
            .collect();
        let handle = |node: &NodePlan| match running.get(&plan.id.node_scope(&node.name)) {
            Some(pid) => {
                let runner = InContainer::new(&node.name, *pid, Arc::clone(&self.host));
                Ok(Node::new(node.clone(), Arc::new(runner)))
            }
            None => Err(EngineError::Absent { node: node.name.clone() }),
        };
        plan.nodes.iter().map(handle).collect()
    }

    /// Removes the containers of this home for which `meant` is true, and returns whether there were any.
    async fn remove_containers(&self, meant: impl Fn(&Container) -> bool) -> Result<bool, EngineError> {
        let ids: Vec<String> =
            self.containers().await?.into_iter().filter(meant).map(|container| container.id).collect();
        if ids.is_empty() {
            return Ok(false);
        }
        // No grace period: etcd's log is on the disk or, in a throw-away cluster, is not needed.
        let remove = podman(60).args(["rm", "--force", "--time", "0", "--ignore"]).args(&ids);
        let what = "remove containers";
        self.host.run(&remove).await.map_err(|source| EngineError::Ask { what, source })?;
        monitor::ended(&ids).await;
        Ok(true)
    }
}

impl Engine for ContainerEngine {
    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>> {
        Box::pin(super::preflight::container(self.host.as_ref()))
    }

    fn create<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(async move {
            self.wire(plan).await?;
            let there = self.states().await?;
            // Boxed one by one: the compiler does not accept a stream of borrowing futures otherwise.
            let mut starts: Vec<BoxFuture<'_, Result<(), EngineError>>> = Vec::new();
            for node in &plan.nodes {
                match there.get(&plan.id.node_scope(&node.name)).map(String::as_str) {
                    None => starts.push(self.start(plan, node).boxed()),
                    Some("running") => {}
                    Some("paused") => starts.push(self.obey(plan, node, Power::Resume, "paused").boxed()),
                    Some(_) => starts.push(self.start_again(plan, node).boxed()),
                }
            }
            stream::iter(starts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
            let nodes = self.handles(plan).await?;
            let looks: Vec<BoxFuture<'_, Result<(), EngineError>>> =
                nodes.iter().map(|node| usable(node).boxed()).collect();
            futures::future::try_join_all(looks).await?;
            Ok(nodes)
        })
    }

    fn attach<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<Vec<Node>, EngineError>> {
        Box::pin(self.handles(plan))
    }

    fn destroy<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let ours = |container: &Container| container.labels.get(INSTANCE_LABEL) == Some(&id.name);
            let mut removal = Removal::default();
            removal.note(self.remove_containers(ours).await);
            removal.note_all(fabric::cut(id, self.host.as_ref()).await);
            removal.note(remove_unused(&folder.join("nodes")).await);
            removal.end(&id.name)
        })
    }

    fn destroy_node<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        node: &'a NodePlan,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let scope = plan.id.node_scope(&node.name);
            let mut removal = Removal::default();
            removal.note(self.remove_containers(|container| container.names.contains(&scope)).await);
            removal.note_all(fabric::cut_node(&plan.id, node).await);
            removal.note(remove_unused(&node_folder(&plan.folder, &node.name)).await);
            removal.end(&plan.id.name)
        })
    }

    fn power<'a>(&'a self, plan: &'a ClusterPlan, power: Power) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let states = self.states().await?;
            let state = |node: &NodePlan| match states.get(&plan.id.node_scope(&node.name)) {
                Some(state) => Ok(state.as_str()),
                None => Err(EngineError::Absent { node: node.name.clone() }),
            };
            let found: Vec<&str> = plan.nodes.iter().map(state).collect::<Result<_, _>>()?;
            if power == Power::Start && !found.contains(&"running") {
                self.wire(plan).await?; // a reboot of the host has removed the instance's network
            }
            for (node, state) in plan.nodes.iter().zip(found) {
                self.obey(plan, node, power, state).await?;
            }
            Ok(())
        })
    }

    fn sightings(&self) -> BoxFuture<'_, Result<Vec<Sighting>, EngineError>> {
        Box::pin(async move {
            let wires = fabric::sightings(&self.home).await.map_err(|source| EngineError::Wires {
                instance: "all instances".to_owned(),
                source: Box::new(source),
            })?;
            let containers = self.containers().await?.into_iter().flat_map(|container| {
                let instance = container.labels.get(INSTANCE_LABEL).cloned().unwrap_or_default();
                container.names.into_iter().map(move |name| Sighting {
                    instance: instance.clone(),
                    kind: SightingKind::Container,
                    name,
                })
            });
            Ok(containers.chain(wires).collect())
        })
    }

    fn strangers<'a>(
        &'a self,
        id: &'a InstanceId,
        folder: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        Box::pin(self.volumes_in(id, folder))
    }

    fn cgroups<'a>(
        &'a self,
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, EngineError>> {
        Box::pin(async move {
            let containers = self.containers().await?;
            let id = |node: &NodePlan| {
                let scope = plan.id.node_scope(&node.name);
                let container = containers.iter().find(|container| container.names.contains(&scope))?;
                Some((node.name.clone(), container.id.clone()))
            };
            Ok(plan.nodes.iter().filter_map(id).collect())
        })
    }

    fn collect_logs<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        into: &'a Utf8Path,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            for node in &plan.nodes {
                let logs = node_folder(&plan.folder, &node.name).join("var/log");
                folder::copy(&logs, &into.join(&node.name)).await?;
            }
            Ok(())
        })
    }
}

/// Reads an answer of podman in each form that the engine asks for.
#[cfg(feature = "fuzzing")]
pub fn read_podman(answer: &[u8]) {
    drop(serde_json::from_slice::<Vec<Container>>(answer));
    drop(serde_json::from_slice::<Vec<Inspected>>(answer));
}

/// The path without symbolic links; as it is if it does not exist.
fn canonical(path: &Utf8Path) -> Utf8PathBuf {
    path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned())
}

/// Removes a folder of nodes whose containers are gone, and returns whether it existed. A folder that another container
/// or a VM uses stays: [`EngineError::Used`].
async fn remove_unused(folder: &Utf8Path) -> Result<bool, EngineError> {
    let users = users_of(folder).await;
    if !users.is_empty() {
        return Err(EngineError::Used { folder: folder.to_owned(), users });
    }
    folder::remove(folder).await
}

/// Waits until a node's containerd answers on its socket.
async fn usable(node: &Node) -> Result<(), EngineError> {
    const SOCKET: &str = "/run/containerd/containerd.sock";
    let wait = format!("until ctr --address {SOCKET} version >/dev/null 2>&1; do sleep 0.05; done");
    let wait = Command::within(Duration::from_secs(60), "sh").args(["-c", &wait]);
    let outcome = node.run(&wait).await;
    outcome.map(drop).map_err(|error| EngineError::Unusable {
        node: node.name().to_owned(),
        why: format!("containerd does not answer: {error}"),
    })
}
