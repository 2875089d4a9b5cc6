//! A node as the modules after the engine use it: runs commands on it, writes and reads its files.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::exec::{Command, CommandError, Output, Runner};
use crate::plan::NodePlan;

/// A node of a cluster, container or VM.
#[derive(Debug, Clone)]
pub struct Node {
    plan: NodePlan,
    runner: Arc<dyn Runner>,
}

/// The nodes of a cluster, at least one control plane.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The control plane that `kubeadm init` runs on.
    pub first: Node,
    /// The others, in the plan's order: control planes, then workers.
    pub others: Vec<Node>,
}

impl Nodes {
    /// The nodes in the order of the plan. `None` when the list is empty.
    pub fn of(nodes: Vec<Node>) -> Option<Self> {
        let mut nodes = nodes.into_iter();
        Some(Self { first: nodes.next()?, others: nodes.collect() })
    }

    /// All nodes, the first control plane first.
    pub fn iter(&self) -> impl Iterator<Item = &Node> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The number of nodes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is always a first node")]
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// All nodes as a list, the first control plane first.
    pub fn all(&self) -> Vec<&Node> {
        self.iter().collect()
    }
}

/// A file to write on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its absolute path.
    pub path: String,
    /// Its permissions: `0o600`.
    pub mode: u32,
    /// Its contents.
    pub contents: Vec<u8>,
}

impl File {
    /// A file that all users may read (mode 0644).
    pub fn public(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, contents: contents.into() }
    }

    /// A file that only root may read (mode 0600).
    pub fn private(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o600, contents: contents.into() }
    }
}

impl Node {
    /// A node with this plan, on which `runner` runs commands.
    pub fn new(plan: NodePlan, runner: Arc<dyn Runner>) -> Self {
        Self { plan, runner }
    }

    /// The node's plan.
    pub fn plan(&self) -> &NodePlan {
        &self.plan
    }

    /// Its name: `acme-cp-1`.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its address in the instance's network.
    pub fn address(&self) -> Ipv4Addr {
        self.plan.address
    }

    /// Runs a command on the node.
    ///
    /// # Errors
    /// [`CommandError`] with the node's name.
    pub async fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.runner.run(command).await
    }

    /// Writes files on the node with one command, and makes missing folders.
    ///
    /// # Errors
    /// [`CommandError`] when the node's `tar` fails. Some of the files may have been written.
    pub async fn put(&self, files: &[File]) -> Result<(), CommandError> {
        let unpack = Command::within(Duration::from_secs(30), "tar")
            .args(["--extract", "--directory=/", "--no-same-owner", "--preserve-permissions"])
            .input(archive(files));
        self.run(&unpack).await.map(drop)
    }

    /// Reads a file of the node.
    ///
    /// # Errors
    /// [`CommandError`] when the node's `cat` fails.
    pub async fn read(&self, path: &str) -> Result<String, CommandError> {
        let cat = Command::within(Duration::from_secs(30), "cat").arg(path);
        Ok(self.run(&cat).await?.text())
    }
}

/// The files as a tar archive with paths relative to `/`.
fn archive(files: &[File]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.contents.len() as u64);
        header.set_mode(file.mode);
        builder
            .append_data(&mut header, file.path.trim_start_matches('/'), file.contents.as_slice())
            .expect("writing to memory cannot fail, and paths of ours fit a header");
    }
    builder.into_inner().expect("writing to memory cannot fail")
}
