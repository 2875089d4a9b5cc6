//! A node: something that runs commands and takes files.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::exec::{Command, CommandError, Output, Runner};
use crate::plan::NodePlan;

/// One machine of a cluster, whatever engine made it.
#[derive(Debug, Clone)]
pub struct Node {
    plan: NodePlan,
    runner: Arc<dyn Runner>,
}

/// The nodes of a cluster: there is always a first control plane.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The control plane that `kubeadm init` runs on.
    pub first: Node,
    /// The others, in the plan's order: control planes, then workers.
    pub others: Vec<Node>,
}

impl Nodes {
    /// The nodes of a plan in its order; nothing where there are none.
    pub fn of(nodes: Vec<Node>) -> Option<Self> {
        let mut nodes = nodes.into_iter();
        Some(Self { first: nodes.next()?, others: nodes.collect() })
    }

    /// Each of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &Node> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many: one at the least.
    #[expect(clippy::len_without_is_empty, reason = "they are never empty")]
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// All of them as a list, the first one first.
    pub fn all(&self) -> Vec<&Node> {
        self.iter().collect()
    }
}

/// A file to be put on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its absolute path.
    pub path: String,
    /// Its permissions, `0o600`.
    pub mode: u32,
    /// What is in it.
    pub contents: Vec<u8>,
}

impl File {
    /// A file that everybody may read.
    pub fn public(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, contents: contents.into() }
    }

    /// A file for root alone.
    pub fn private(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o600, contents: contents.into() }
    }
}

impl Node {
    /// A node as planned, reached by this runner.
    pub fn new(plan: NodePlan, runner: Arc<dyn Runner>) -> Self {
        Self { plan, runner }
    }

    /// What was planned.
    pub fn plan(&self) -> &NodePlan {
        &self.plan
    }

    /// Its name, `acme-cp-1`.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its address in the instance's network.
    pub fn address(&self) -> Ipv4Addr {
        self.plan.address
    }

    /// Runs a command on it.
    ///
    /// # Errors
    /// [`CommandError`], with the node's name in it.
    pub async fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.runner.run(command).await
    }

    /// Puts files on it with one command, missing folders included.
    ///
    /// # Errors
    /// [`CommandError`] when the node's `tar` fails.
    pub async fn put(&self, files: &[File]) -> Result<(), CommandError> {
        let unpack = Command::within(Duration::from_secs(30), "tar")
            .args(["--extract", "--directory=/", "--no-same-owner", "--preserve-permissions"])
            .input(archive(files));
        self.run(&unpack).await.map(drop)
    }

    /// A file's contents.
    ///
    /// # Errors
    /// [`CommandError`] when it cannot be read.
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
