//! A simulated node: its files, its state, and its answers to commands.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::BoxFuture;
use k8s_openapi::ByteString;

use crate::exec::{Command, CommandError, Failure, Output, Runner};
use crate::kubernetes::{ADMIN, CA, SUPER_ADMIN};
use crate::plan::{API_PORT, ClusterPlan, InstanceId, Power};
use crate::slowdown::Slowdown;

use super::{Fault, Shared, SimulatedState, meant};

/// The contents and the state of a node.
#[derive(Debug)]
pub(super) struct SimulatedNode {
    api: String,
    /// The addresses of all nodes of the instance, which `ping` reaches.
    network: BTreeSet<String>,
    state: Power,
    slowdown: Slowdown,
    /// Contents by absolute path.
    files: BTreeMap<String, Vec<u8>>,
    /// The instance's folder, where a real node has its disk.
    folder: Utf8PathBuf,
}

impl SimulatedNode {
    /// A node as an engine makes it: it runs and has no files of Kubernetes.
    pub(super) fn new(plan: &ClusterPlan) -> Self {
        let network = plan.nodes.iter().map(|node| node.address.to_string()).collect();
        Self {
            api: plan.api_name.clone(),
            network,
            state: Power::Start,
            slowdown: plan.platform.slowdown,
            files: BTreeMap::new(),
            folder: plan.folder.clone(),
        }
    }

    /// Whether the node's disk would be in this folder.
    pub(super) fn is_in(&self, folder: &Utf8Path) -> bool {
        self.folder.starts_with(folder)
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self.state, Power::Start | Power::Resume)
    }

    /// Changes the node's state if that is possible: a paused node can only be resumed, a halted node only started.
    pub(super) fn obey(&mut self, power: Power) {
        match (self.state, power) {
            (Power::Pause, Power::Resume) | (Power::Halt, Power::Start) => self.state = power,
            (Power::Start | Power::Resume, Power::Pause | Power::Halt) => self.state = power,
            _ => {}
        }
    }

    /// Makes the node run, whether it was paused or halted.
    pub(super) fn wake(&mut self) {
        self.state = Power::Start;
    }

    /// Writes the files that kubeadm's phase `kubeconfig` writes on a control plane.
    fn make_kubeconfigs(&mut self) {
        let authority = self.files.get(CA).cloned().unwrap_or_default();
        for (file, user) in [(ADMIN, "kubernetes-admin"), (SUPER_ADMIN, "kubernetes-super-admin")] {
            let text = kubeconfig(&self.api, &authority, user);
            self.files.insert(file.to_owned(), text.into_bytes());
        }
    }

    /// As `tar --extract --directory=/`.
    fn unpack(&mut self, archive: &[u8]) -> std::io::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = format!("/{}", entry.path()?.display());
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents)?;
            self.files.insert(path, contents);
        }
        Ok(())
    }

    /// A command's standard output, or its exit code and its standard error.
    fn answer(&mut self, command: &Command) -> Result<Vec<u8>, (i32, String)> {
        let arguments: Vec<&str> = command.arguments().collect();
        match (command.program(), &*arguments) {
            ("tar", ["--extract", ..]) => self
                .unpack(command.input_bytes())
                .map(|()| Vec::new())
                .map_err(|error| (2, format!("tar: {error}"))),
            ("cat", paths) => paths.iter().try_fold(Vec::new(), |mut all, path| {
                let missing = || (1, format!("cat: {path}: No such file or directory"));
                all.extend(self.files.get(*path).ok_or_else(missing)?);
                Ok(all)
            }),
            ("ping", [.., address]) if !self.network.contains(*address) => {
                Err((2, "ping: connect: Network is unreachable".to_owned()))
            }
            ("kubeadm", ["init", .., skipped]) if !skipped.split(',').any(|phase| phase == "kubeconfig") => {
                self.make_kubeconfigs();
                Ok(Vec::new())
            }
            ("kubectl", [.., "--output", "jsonpath={.metadata.uid}"]) => Ok(b"simulated-uid".to_vec()),
            ("false", _) => Err((1, String::new())),
            _ => Ok(Vec::new()),
        }
    }
}

/// A kubeconfig in the form of kubeadm's. API clients can be made from it, although no server answers them.
fn kubeconfig(server: &str, authority: &[u8], user: &str) -> String {
    let own = rcgen::generate_simple_self_signed([user.to_owned()]).expect("a user's name can be certified");
    let bytes = |bytes: Vec<u8>| serde_json::json!(ByteString(bytes));
    let authority = bytes(authority.to_vec());
    let (certificate, key) =
        (bytes(own.cert.pem().into_bytes()), bytes(own.signing_key.serialize_pem().into_bytes()));
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://{server}:{API_PORT}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {user}
  name: {user}@kubernetes
current-context: {user}@kubernetes
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    )
}

/// Runs commands on a simulated node.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) host: Shared,
    pub(super) key: (InstanceId, String),
}

impl Inside {
    fn decide(&self, state: &mut SimulatedState, command: &Command) -> Result<Output, Failure> {
        state.commands.push((self.key.1.clone(), command.to_string()));
        let status = |code: i32, stderr: String| Failure::Status {
            status: format!("exit status: {code}"),
            code: Some(code),
            stdout: String::new(),
            stderr,
        };
        if state.faults.iter().any(|fault| matches!(fault, Fault::Vanish(text) if meant(text, command))) {
            state.nodes.remove(&self.key);
        }
        let Some(node) = state.nodes.get_mut(&self.key).filter(|node| node.runs()) else {
            return Err(Failure::Start(std::io::Error::other("the node does not exist or does not run")));
        };
        let within = command.deadline(node.slowdown).on_clock();
        for fault in &state.faults {
            match fault {
                Fault::Command(text) if meant(text, command) => {
                    return Err(status(1, format!("injected failure of `{text}`")));
                }
                Fault::Hang(text) if meant(text, command) => {
                    let (stdout, stderr) = (String::new(), String::new());
                    return Err(Failure::Deadline { within, stdout, stderr });
                }
                _ => {}
            }
        }
        // An answer that a test gave replaces the output of the command, but not its effect on the node.
        let stdout = node.answer(command).map_err(|(code, stderr)| status(code, stderr));
        match state.answers.iter().rev().find(|(text, _)| meant(text, command)) {
            Some((_, canned)) => Ok(Output { stdout: canned.clone().into_bytes(), stderr: Vec::new() }),
            None => Ok(Output { stdout: stdout?, stderr: Vec::new() }),
        }
    }
}

impl Runner for Inside {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        Box::pin(async move {
            let outcome = self.decide(&mut self.host.state(), command);
            if let Err(Failure::Deadline { within, .. }) = &outcome {
                tokio::time::sleep(*within).await;
            }
            outcome.map_err(|failure| CommandError {
                command: command.to_string(),
                place: format!(" in {}", self.key.1),
                failure,
            })
        })
    }
}
