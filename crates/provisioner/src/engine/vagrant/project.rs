//! The Vagrant project of an instance: a folder with a Vagrantfile, and the `vagrant` commands that run in it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::assets::NodeBox;
use crate::exec::{Command, CommandError, Failure, Login, Runner};
use crate::files::FileError;
use crate::plan::NodePlan;
use crate::request::Provider;

use super::super::{EngineError, MissingRequirement};
use super::preflight;

/// Time-out for `vagrant up`, before stretching. It makes one VM after the other; each boots and gets its key, its host
/// name and its networks. 60 s are usual under emulation for a single VM.
const UP: Duration = Duration::from_secs(1200);

/// The Vagrant project of one instance.
#[derive(Debug, Clone)]
pub(super) struct Project {
    folder: Utf8PathBuf,
    provider: Provider,
    vagrant: Vagrant,
}

/// Vagrant with a `VAGRANT_HOME` that only homelab uses, for boxes and plugins. So neither `~/.vagrant.d/Vagrantfile`
/// nor the caller's variables affect the projects.
#[derive(Debug, Clone)]
pub(super) struct Vagrant {
    home: Utf8PathBuf,
    host: Arc<dyn Runner>,
}

impl Vagrant {
    /// Vagrant with its home in the cache of assets. Boxes are made there, and all homes that use the cache share them.
    pub(super) fn in_cache(cache: &Utf8Path, host: Arc<dyn Runner>) -> Self {
        Self { home: cache.join("vagrant"), host }
    }

    /// `vagrant` without colours and without its check for new versions.
    pub(super) fn command(&self, within: Duration) -> Command {
        Command::within(within, "vagrant")
            .env("VAGRANT_HOME", self.home.as_str())
            .env("VAGRANT_NO_COLOR", "1")
            .env("VAGRANT_CHECKPOINT_DISABLE", "1")
    }

    /// The missing requirement, if Vagrant has no plugin for libvirt. To be checked last, because it takes Vagrant one
    /// or two seconds.
    pub(super) async fn lacks_plugin(&self) -> Option<MissingRequirement> {
        let ask = self.command(Duration::from_secs(120)).args(["plugin", "list", "--machine-readable"]);
        let answer = self.host.run(&ask).await.map(|output| output.text()).unwrap_or_default();
        preflight::plugin(&answer, &self.home)
    }

    /// Adds a box to Vagrant's store, once for all instances.
    pub(super) async fn add_box(&self, node_box: &NodeBox, provider: Provider) -> Result<(), EngineError> {
        let what = "add the box to Vagrant";
        let list = self.command(Duration::from_secs(60)).args(["box", "list", "--machine-readable"]);
        let known = self.host.run(&list).await.map_err(|source| EngineError::Ask { what, source })?.text();
        if has_box(&known, node_box, provider) {
            return Ok(());
        }
        let add = self.command(Duration::from_secs(600));
        let add = add.args(["box", "add", "--provider", provider.as_str(), node_box.catalogue.as_str()]);
        self.host.run(&mortal(&add)).await.map(drop).map_err(|source| EngineError::Ask { what, source })
    }
}

impl Project {
    /// The project in an instance's folder.
    pub(super) fn of(instance: &Utf8Path, provider: Provider, vagrant: Vagrant) -> Self {
        Self { folder: instance.join("vagrant"), provider, vagrant }
    }

    /// Whether the project exists.
    pub(super) fn is_there(&self) -> bool {
        self.vagrantfile().exists()
    }

    /// Writes its Vagrantfile.
    pub(super) fn write(&self, text: &str) -> Result<(), EngineError> {
        let path = self.vagrantfile();
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, text));
        written.map_err(|source| EngineError::File(FileError { attempt: "write", path, source }))
    }

    /// `vagrant up`: makes the VMs of these nodes. The error has Vagrant's output without Ruby's backtrace.
    pub(super) async fn up(&self, nodes: &[&NodePlan]) -> Result<(), EngineError> {
        let names = nodes.iter().map(|node| node.name.as_str());
        let provider = ["up", "--provider", self.provider.as_str()];
        let up = self.project(UP).args(provider.into_iter().chain(names.clone()));
        let failed = |source| EngineError::Start {
            node: names.clone().collect::<Vec<_>>().join(", "),
            source: without_backtrace(source),
        };
        self.vagrant.host.run(&mortal(&up)).await.map_err(failed)?;
        nodes.iter().try_for_each(|node| self.mark(node))
    }

    /// `vagrant destroy`: removes the VMs of these nodes and Vagrant's records of them. An empty list means all nodes.
    pub(super) async fn destroy(&self, nodes: &[&str]) -> Result<(), CommandError> {
        let destroy =
            self.project(Duration::from_secs(300)).args(["destroy", "--force"]).args(nodes.iter().copied());
        self.vagrant.host.run(&mortal(&destroy)).await.map(drop)
    }

    /// Whether `vagrant up` finished for a node. An interrupted `vagrant up` leaves VMs to which no login is possible.
    pub(super) fn is_whole(&self, node: &NodePlan) -> bool {
        self.machine(node).join("homelab-whole").exists() && self.key(node).exists()
    }

    /// The hypervisor's own id of a node's VM, if Vagrant has recorded one.
    pub(super) fn id(&self, node: &NodePlan) -> Option<String> {
        fs::read_to_string(self.machine(node).join("id")).ok().map(|id| id.trim().to_owned())
    }

    /// The ssh login to a node.
    pub(super) fn login(&self, node: &NodePlan) -> Login {
        Login {
            user: "vagrant".to_owned(),
            address: node.address,
            key: self.key(node),
            known_hosts: self.machine(node).join("known_hosts"),
            // In the folder of the guard's lock, which exists before any VM; in the instance's folder the path could be
            // too long for a socket (unix(7)). Each process has its own, so that no process meets another's leftovers.
            shared: format!("/run/homelab/ssh.{}.{}", std::process::id(), node.address).into(),
        }
    }

    /// Removes Vagrant's records of a node, and our own.
    pub(super) fn forget(&self, node: &str) -> Result<(), EngineError> {
        let path = self.folder.join(".vagrant/machines").join(node);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::File(FileError { attempt: "remove", path, source }))
            }
            _ => Ok(()),
        }
    }

    /// Removes the project, and returns whether it existed.
    pub(super) fn remove(&self) -> Result<bool, EngineError> {
        match fs::remove_dir_all(&self.folder) {
            Ok(()) => Ok(true),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => {
                Err(EngineError::File(FileError { attempt: "remove", path: self.folder.clone(), source }))
            }
        }
    }

    fn mark(&self, node: &NodePlan) -> Result<(), EngineError> {
        let path = self.machine(node).join("homelab-whole");
        fs::write(&path, "").map_err(|source| EngineError::File(FileError { attempt: "write", path, source }))
    }

    fn vagrantfile(&self) -> Utf8PathBuf {
        self.folder.join("Vagrantfile")
    }

    /// The folder with Vagrant's records of a node.
    fn machine(&self, node: &NodePlan) -> Utf8PathBuf {
        self.folder.join(".vagrant/machines").join(&node.name).join(self.provider.as_str())
    }

    /// The key that Vagrant made for a node, in place of its well-known insecure key.
    fn key(&self, node: &NodePlan) -> Utf8PathBuf {
        self.machine(node).join("private_key")
    }

    /// `vagrant` in the project.
    fn project(&self, within: Duration) -> Command {
        self.vagrant.command(within).in_directory(self.folder.as_str())
    }
}

/// Whether a list of boxes has this box for this provider. The list has three lines for each box: name, provider and
/// version (Vagrant's documentation, "Vm readable output").
fn has_box(list: &str, node_box: &NodeBox, provider: Provider) -> bool {
    let values = |kind: &str| -> Vec<String> {
        let rows = list.lines().map(|line| line.split(',').collect::<Vec<_>>());
        rows.filter(|row| row.get(2) == Some(&kind))
            .filter_map(|row| row.get(3).map(ToString::to_string))
            .collect()
    };
    let boxes = values("box-name").into_iter().zip(values("box-provider")).zip(values("box-version"));
    boxes.into_iter().any(|((name, of), version)| {
        name == node_box.name && of == provider.as_str() && version == node_box.version
    })
}

/// Reads the answer of `vagrant box list --machine-readable`.
#[cfg(feature = "fuzzing")]
pub fn read_vagrant(list: &str) {
    let (name, version) = ("homelab/node".to_owned(), "1".to_owned());
    let node_box = NodeBox { name, version, catalogue: Utf8PathBuf::new(), disk: Utf8PathBuf::new() };
    has_box(list, &node_box, Provider::Libvirt);
}

/// The error without Ruby's backtrace, which is long. Vagrant's message comes before it.
fn without_backtrace(mut error: CommandError) -> CommandError {
    if let Failure::Status { stderr, .. } | Failure::Deadline { stderr, .. } = &mut error.failure {
        let told = stderr.lines().filter(|line| !line.trim_start().starts_with("from /"));
        *stderr = told.collect::<Vec<_>>().join("\n");
    }
    error
}

/// The command with `PDEATHSIG`: it is killed when the thread that started it ends. A Vagrant that outlives this
/// process would go on making VMs.
fn mortal(command: &Command) -> Command {
    command.wrapped_here_by("setpriv", ["--pdeathsig", "KILL"])
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::error::chain;
    use crate::exec::Output;
    use crate::plan::tests::acme_in_vms;

    /// A host on which every command fails like this.
    #[derive(Debug)]
    struct Fails(fn() -> Failure);

    impl Runner for Fails {
        fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
            let (command, place, failure) = (command.to_string(), String::new(), (self.0)());
            Box::pin(std::future::ready(Err(CommandError { command, place, failure })))
        }
    }

    /// The error text of a `vagrant up` of acme's first node that fails like this.
    async fn up(failure: fn() -> Failure) -> String {
        let project = Project::of(
            Utf8Path::new("/home/acme"),
            Provider::Libvirt,
            Vagrant::in_cache(Utf8Path::new("/cache"), Arc::new(Fails(failure))),
        );
        let plan = acme_in_vms();
        let error = project.up(&[&plan.nodes[0]]).await.unwrap_err();
        assert!(!project.is_whole(&plan.nodes[0]), "a node without login counts as made");
        chain(&error)
    }

    const STDERR: &str = "Waiting for machine to boot. This may take a few minutes...\n\
                          Timed out while waiting for the machine to boot.\n\
                          \tfrom /usr/share/ruby/vagrant/action/warden.rb:48:in `call'\n";

    #[tokio::test]
    async fn an_up_that_hangs_is_an_error_with_the_node_the_deadline_and_vagrants_last_lines() {
        let told = up(|| Failure::Deadline { within: UP, stdout: String::new(), stderr: STDERR.to_owned() });
        let told = told.await;
        for part in ["acme-cp-1", "1200", "Timed out while waiting for the machine to boot."] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert!(!told.contains("warden.rb"), "{told}");
    }

    #[tokio::test]
    async fn an_up_that_meets_another_vagrants_lock_says_so() {
        // Vagrant 2.3, `en.yml`, machine_locked.
        let locked = || Failure::Status {
            status: "exit status: 1".to_owned(),
            code: Some(1),
            stdout: String::new(),
            stderr: "Vagrant can't use the requested machine because it is locked! This\n\
                     means that another Vagrant process is currently reading or modifying\n\
                     the machine.\n"
                .to_owned(),
        };
        let told = up(locked).await;
        assert!(told.contains("another Vagrant process is currently reading or modifying"), "{told}");
    }
}
