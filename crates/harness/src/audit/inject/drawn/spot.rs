//! [`Spot`]: a node or a pod by its place in a cluster, and [`Inside`]: its network namespace.

use std::fmt;
use std::path::PathBuf;

use provisioner::exec::Command;
use provisioner::fabric::namespace_path;

use crate::audit::inject::InjectError;
use crate::audit::inject::Pair;
use crate::audit::inject::bind_mount::process;
use crate::audit::inject::changes::{Changes, command};
use crate::cluster::{TestCluster, TestNode};

/// A node, or a pod on it, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// The place of the node, from 0. A cluster with fewer nodes takes its last one.
    pub(super) node: u8,
    /// The place of the pod among those of the node, modulo their number. `None` for the node itself.
    pub(super) pod: Option<u8>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pod {
            Some(pod) => write!(f, "pod {pod} of node {}", self.node + 1),
            None => write!(f, "node {}", self.node + 1),
        }
    }
}

/// The network namespace of a node or a pod.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub(super) node: TestNode,
    /// The path of the pod's network namespace on the node. `None` for the node's.
    pod: Option<String>,
    /// The path of the network namespace on the host.
    pub(super) path: String,
}

/// A cluster's node by its place.
pub(super) fn node(of: &TestCluster, place: u8) -> Result<&TestNode, InjectError> {
    let missing = || InjectError::Missing { what: "a node", cluster: of.name().to_owned() };
    of.nodes().get(usize::from(place)).or(of.nodes().last()).ok_or_else(missing)
}

impl Inside {
    /// A node's own network namespace.
    pub(super) fn node(of: &TestCluster, place: u8) -> Result<Self, InjectError> {
        let node = node(of, place)?.clone();
        let path = namespace_path(&of.inner().plan.id.node_scope(node.real_name())).to_string();
        Ok(Self { node, pod: None, path })
    }

    /// The network namespace at a spot. A node without pods is replaced by the next one that has some.
    pub(super) async fn at(pair: &Pair<'_>, of: &TestCluster, spot: Spot) -> Result<Self, InjectError> {
        let Some(pod) = spot.pod else { return Self::node(of, spot.node) };
        let changes = Changes::on(pair);
        for place in [spot.node, 0, 1] {
            let node = node(of, place)?;
            let listed = node.run(&command("sh", &["-c", "ls /run/netns 2>/dev/null; true"])).await?.text();
            let mut pods: Vec<&str> = listed.lines().filter(|name| name.starts_with("cni-")).collect();
            pods.sort_unstable();
            if let Some(name) = pods.get(usize::from(pod) % pods.len().max(1)) {
                let inside = format!("/run/netns/{name}");
                let root = process(of, node, &changes).await?.join("root");
                let path = format!("{}{inside}", root.display());
                return Ok(Self { node: node.clone(), pod: Some(inside), path });
            }
        }
        Err(InjectError::Missing { what: "a pod", cluster: of.name().to_owned() })
    }

    /// A shell script in this network namespace, with the programs and files of the node. `words` are `$0`, `$1`, ….
    pub(super) fn script(&self, text: &str, words: &[&str]) -> Command {
        let enter = self.pod.as_ref().map(|path| format!("--net={path}"));
        let shell = [&["-c", text][..], words].concat();
        match &enter {
            Some(enter) => command("nsenter", &[&[enter.as_str(), "sh"][..], &shell].concat()),
            None => command("sh", &shell),
        }
    }

    /// Runs a [`Self::script`] and returns its standard output.
    pub(super) async fn run(&self, text: &str, words: &[&str]) -> Result<String, InjectError> {
        Ok(self.node.run(&self.script(text, words)).await?.text().trim().to_owned())
    }

    /// The `/proc` folder, on the host, of a process in this network namespace: for a node its first process.
    pub(super) async fn process(&self, pair: &Pair<'_>, of: &TestCluster) -> Result<PathBuf, InjectError> {
        const FIND: &str = "wanted=$(stat --dereference --format=%i \"$0\"); for process in /proc/[0-9]*; do \
                            test \"$(stat --dereference --format=%i \"$process/ns/net\" 2>/dev/null)\" = \"$wanted\" && \
                            echo \"$process\" && break; done; true";
        let changes = Changes::on(pair);
        if self.pod.is_none() {
            return process(of, &self.node, &changes).await;
        }
        let found = changes.ask(&command("sh", &["-c", FIND, &self.path])).await?;
        match found.trim() {
            "" => Err(InjectError::Missing { what: "a process of the pod", cluster: of.name().to_owned() }),
            found => Ok(PathBuf::from(found)),
        }
    }
}
