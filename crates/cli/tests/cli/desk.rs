//! An operator's desk: a temporary home with instances, and the program.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::exec::{Command, Failure, Local, Runner};
use provisioner::home::Home;
use provisioner::kubeconfig;
use provisioner::plan::{self, ClusterPlan, Pools, Taken};
use provisioner::registry::{Identity, Instance, Keeper, Operation, OperationKind, Owner, Registry, State};
use provisioner::request::{ClusterSpec, Topology};

/// A home in a temporary folder. Dropping the desk removes the folder.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) home: Home,
}

/// As kubeadm writes it, certificates shortened.
const ADMIN: &str = "apiVersion: v1
clusters:
- cluster: {certificate-authority-data: Q0E=, server: 'https://api.lab:6443'}
  name: kubernetes
contexts:
- context: {cluster: kubernetes, user: kubernetes-admin}
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user: {client-certificate-data: Q0VSVA==, client-key-data: U0VDUkVU}
";

impl Desk {
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(Utf8Path::from_path(folder.path()).unwrap().join("lab"));
        Self { folder, home }
    }

    /// A desk with acme, globex and personal, recorded as running.
    pub(crate) fn with_three() -> Self {
        let desk = Self::empty();
        for (name, topology) in
            [("acme", Topology::Multi), ("globex", Topology::Multi), ("personal", Topology::Single)]
        {
            desk.add(&ClusterSpec::new(name).topology(topology));
        }
        desk
    }

    fn add(&self, spec: &ClusterSpec) {
        let registry = Registry::in_home(&self.home);
        let checked = spec.check().unwrap();
        let creation = Operation::begin(OperationKind::Create, Owner::current("test").unwrap());
        let decide = |instances: &[Instance]| {
            let taken = Taken { instances: instances.to_vec(), ..Taken::default() };
            plan::claim(&checked, &taken, &Pools::default(), Keeper::Operator, creation)
        };
        let instance = registry.claim(decide).unwrap();
        let plan = ClusterPlan::of(&instance, &self.home);
        let isolated = kubeconfig::isolated(ADMIN, &plan).unwrap();
        kubeconfig::write_isolated(&self.home, &instance.name, &isolated).unwrap();
        kubeconfig::merge(&self.home, &isolated).unwrap();
        let identity = Identity {
            server: format!("https://{}:6443", plan.api_address),
            authority: "missing".to_owned(), // the shortened authority is no certificate
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
        };
        let up = |instance: &mut Instance| {
            instance.state = State::Running;
            instance.operation = None;
            instance.k8s.identity = Some(identity);
        };
        registry.update(&instance.name, up).unwrap();
    }

    /// Writes `config.yaml`.
    pub(crate) fn settings(&self, text: &str) {
        std::fs::write(self.home.settings(), text).unwrap();
    }

    /// A path beside the home.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().join(name)
    }

    /// The output and the exit code of a command line, as in a terminal's scrollback.
    pub(crate) async fn homelab(&self, line: &str) -> String {
        let told = self.told(&self.command(line)).await;
        format!("$ homelab {line}\n{told}").replace(self.folder.path().to_str().unwrap(), "~")
    }

    /// The same with other folders in the environment, run in the parent folder of the home.
    pub(crate) async fn homelab_where(&self, folders: &[(&str, &str)], line: &str) -> String {
        let command = self.command(line).in_directory(self.path("."));
        let command = folders.iter().fold(command, |command, (name, value)| command.env(*name, *value));
        let told = self.told(&command).await;
        format!("$ homelab {line}\n{told}").replace(self.folder.path().to_str().unwrap(), "~")
    }

    /// A command line of the program, at this desk.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.runs(env!("CARGO_BIN_EXE_homelab")).args(line.split_whitespace())
    }

    /// The output and the exit code of a command.
    pub(crate) async fn told(&self, command: &Command) -> String {
        let (code, stdout, stderr) = ran(command).await;
        let mut text = stdout;
        if !stderr.is_empty() {
            text.push_str(&format!("(stderr)\n{stderr}"));
        }
        text.push_str(&format!("(exit {code})\n"));
        text
    }

    /// The exit code and the stderr of a command line whose stdout has this shell redirection.
    pub(crate) async fn redirected(&self, line: &str, redirection: &str) -> (i32, String) {
        let script = format!("{{ \"$0\" \"$@\"; echo $? >&3; }} {redirection}");
        let shell = ["-c", &format!("exec 3>&1; {script}"), env!("CARGO_BIN_EXE_homelab")];
        let (_, code, stderr) = ran(&self.runs("sh").args(shell).args(line.split_whitespace())).await;
        (code.trim().parse().unwrap(), stderr)
    }

    fn runs(&self, program: &str) -> Command {
        Command::within(Duration::from_secs(60), program)
            .env("HOMELAB_HOME", self.home.root().as_str())
            .env("KUBECONFIG", self.home.merged_kubeconfig().as_str())
            .env("HOME", self.folder.path().to_str().unwrap())
            .env("NO_COLOR", "1")
    }

    /// Several command lines, one after the other.
    pub(crate) async fn session(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            text.push_str(&self.homelab(line).await);
            text.push('\n');
        }
        text
    }
}

/// The exit code, the stdout and the stderr of a command.
async fn ran(command: &Command) -> (i32, String, String) {
    match Local.run(command).await {
        Ok(output) => (0, output.text(), String::from_utf8(output.stderr).unwrap()),
        Err(error) => match error.failure {
            Failure::Status { code: Some(code), stdout, stderr, .. } => (code, stdout, stderr),
            failure => panic!("{failure}"),
        },
    }
}

/// The filters for values that differ from run to run.
pub(crate) const FILTERS: [(&str, &str); 10] = [
    (r"[0-9A-F]{2}(:[0-9A-F]{2}){31}", "[fingerprint]"),
    (r"\b[0-9A-F]{32}\b", "[serial]"),
    (r"\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d", "[from] to [until]"),
    (r"\b20\d\d-\d\d-\d\d\b", "[date]    "),
    (r"\b[0-9A-F]{2}(:[0-9A-F]{2}){7}…", "[fingerprint]"),
    (r"homelab-[0-9a-f]{6}\.", "homelab-[home]."),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
    (r"\b\d+s\n", "[uptime]\n"),
    (r"\(\w+, pid \d+: \S*/homelab ", "(ada, pid 4711: homelab "),
    (r#""uptimeSeconds": \d+"#, r#""uptimeSeconds": "[uptime]""#),
];
