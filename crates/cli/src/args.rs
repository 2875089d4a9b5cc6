//! What can be typed: the whole command line as one type. Help texts are the doc comments.

use clap::{CommandFactory, Parser, Subcommand};

use crate::app::App;
use crate::commands::{
    assets::Assets, audit::Audit, completions::Completions, demo::Demo, dns::DnsCommand, doctor::Doctor,
    down::Destroy, down::Down, events::Events, instance::InstanceCommand, k8s::K8s, kubectl::Kubectl,
    power::Halt, power::Pause, power::Resume, power::Start, reap::Reap, status::Status, tls::Tls, up::Up,
    watch::Watch,
};
use crate::exit::{CliError, Exit};
use crate::guard;

/// Real Kubernetes clusters side by side on one Linux host, one per client, kept apart.
///
/// Each instance has machines, a network, an API server, an etcd and certificate authorities of its own; no
/// route leads from one to another. Nodes are podman containers, which share the host's kernel, or, with
/// `--engine vagrant`, virtual machines with kernels of their own.
#[derive(Debug, Parser)]
#[command(name = "homelab", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  homelab doctor                     what this host lacks, all at once
  sudo homelab up acme               a control plane and three workers
  homelab kubectl acme -- get nodes
  sudo homelab audit                 that no instance reaches another, proven
  sudo homelab down acme             nothing of it is left

Exit codes:
  0 ok                 1 leak              2 usage             3 inconclusive
  4 could not run      5 provision failed  6 teardown failed   7 problems found
  130 interrupted

Files: ~/.homelab (HOMELAB_HOME moves it), node image in ~/.cache/homelab (HOMELAB_CACHE).
Logs:  HOMELAB_LOG=debug shows every command that is run.";

/// The verbs, in the order in which a newcomer needs them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Doctor(Doctor),
    Up(Up),
    Down(Down),
    #[command(hide = true)]
    Destroy(Destroy),
    /// The instances of this host
    #[command(subcommand)]
    Instance(InstanceCommand),
    Status(Status),
    Pause(Pause),
    Resume(Resume),
    Halt(Halt),
    Start(Start),
    Watch(Watch),
    Events(Events),
    /// Workers, contexts, kubeconfigs and certificates
    #[command(subcommand)]
    K8s(K8s),
    Kubectl(Kubectl),
    /// Certificates below an instance's DNS suffix
    #[command(subcommand)]
    Tls(Tls),
    /// The names of instances on this host
    ///
    /// api.acme.lab leads to the API server of acme, acme.lab and every other name below it to its workloads.
    /// `up` records them and `down` removes them, in /etc/hosts or, chosen in ~/.homelab/config.yaml, as a drop-in
    /// for dnsmasq, which answers for every name below a suffix. Inside a cluster its own suffix resolves always,
    /// and no other one.
    #[command(subcommand)]
    Dns(DnsCommand),
    Audit(Audit),
    Reap(Reap),
    /// What nodes are made of
    #[command(subcommand)]
    Assets(Assets),
    Demo(Demo),
    Completions(Completions),
}

impl Command {
    /// Whether it works with instances on this host, and so puts the host guard back first where it runs as root. `doctor`
    /// only reports, `status` puts it back itself, `watch` does nothing else, and the others touch no cluster.
    fn keeps_guard(&self) -> bool {
        match self {
            Self::Up(_) | Self::Down(_) | Self::Destroy(_) => true,
            Self::Pause(_) | Self::Resume(_) | Self::Halt(_) | Self::Start(_) => true,
            Self::K8s(verb) => verb.changes_nodes(),
            Self::Kubectl(_) | Self::Audit(_) | Self::Reap(_) | Self::Demo(_) => true,
            Self::Doctor(_) | Self::Status(_) | Self::Watch(_) => false,
            Self::Instance(_) | Self::Events(_) | Self::Tls(_) | Self::Dns(_) => false,
            Self::Assets(_) | Self::Completions(_) => false,
        }
    }

    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        if self.keeps_guard() {
            guard::keep(app).await;
        }
        match self {
            Self::Doctor(verb) => verb.run(app).await,
            Self::Up(verb) => verb.run(app).await,
            Self::Down(verb) => verb.run(app).await,
            Self::Destroy(verb) => verb.run(app).await,
            Self::Instance(verb) => verb.run(app).await,
            Self::Status(verb) => verb.run(app).await,
            Self::Pause(verb) => verb.run(app).await,
            Self::Resume(verb) => verb.run(app).await,
            Self::Halt(verb) => verb.run(app).await,
            Self::Start(verb) => verb.run(app).await,
            Self::Watch(verb) => verb.run(app).await,
            Self::Events(verb) => verb.run(app).await,
            Self::K8s(verb) => verb.run(app).await,
            Self::Kubectl(verb) => verb.run(app).await,
            Self::Tls(verb) => verb.run(app).await,
            Self::Dns(verb) => verb.run(app).await,
            Self::Audit(verb) => verb.run(app).await,
            Self::Reap(verb) => verb.run(app).await,
            Self::Assets(verb) => verb.run(app).await,
            Self::Demo(verb) => verb.run(app).await,
            Self::Completions(verb) => Ok(verb.run(app, Args::command())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a verb as `homelab … --help` prints it, at a fixed width.
    fn help(path: &[&str]) -> String {
        let mut command = Args::command().term_width(100);
        command.build();
        let found = path
            .iter()
            .fold(&mut command, |command, name| command.find_subcommand_mut(name).expect("the verb exists"));
        found.render_long_help().to_string()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_itself() {
        let paths: [&[&str]; 41] = [
            &[],
            &["doctor"],
            &["up"],
            &["down"],
            &["destroy"],
            &["instance", "list"],
            &["instance", "show"],
            &["instance", "release"],
            &["status"],
            &["pause"],
            &["resume"],
            &["halt"],
            &["start"],
            &["watch"],
            &["events"],
            &["k8s"],
            &["k8s", "add-worker"],
            &["k8s", "remove-worker"],
            &["k8s", "use-context"],
            &["k8s", "current"],
            &["k8s", "kubeconfig"],
            &["k8s", "renew-certs"],
            &["kubectl"],
            &["tls"],
            &["tls", "init"],
            &["tls", "issue"],
            &["tls", "list"],
            &["tls", "trust"],
            &["tls", "untrust"],
            &["tls", "rotate"],
            &["dns"],
            &["dns", "list"],
            &["dns", "sync"],
            &["dns", "remove"],
            &["audit"],
            &["reap"],
            &["assets", "build"],
            &["assets", "export"],
            &["assets", "import"],
            &["assets", "prune"],
            &["demo"],
        ];
        for path in paths {
            let name = if path.is_empty() { "homelab".to_owned() } else { path.join("-") };
            insta::assert_snapshot!(format!("help-{name}"), help(path));
        }
    }

    #[test]
    fn values_that_nobody_knows_are_refused_with_the_known_ones() {
        let refuse = |line: &[&str]| Args::try_parse_from(line).expect_err("nonsense is refused").to_string();
        let lines: [&[&str]; 12] = [
            &["homelab", "up", "acme", "--topology", "k8s-huge"],
            &["homelab", "up", "acme", "--cni", "weave"],
            &["homelab", "up", "acme", "--engine", "docker"],
            &["homelab", "up", "acme", "--provider", "hyperv"],
            &["homelab", "assets", "build", "--box", "vmware"],
            &["homelab", "down", "../etc"],
            &["homelab", "instance", "list", "--format", "yaml"],
            &["homelab", "audit", "--class", "N1,N99"],
            &["homelab", "audit", "--format", "pdf"],
            &["homelab", "audit", "--accept", "H11"],
            &["homelab", "audit", "--accept", "X1=it does not matter"],
            &["homelab", "tls", "issue", "--instance", "acme", "app.acme.lab", "--days", "398"],
        ];
        let said: Vec<String> =
            lines.iter().map(|line| format!("$ {}\n{}", line.join(" "), refuse(line))).collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_follows_the_name_goes_to_kubectl_with_or_without_dashes() {
        for line in [
            ["homelab", "kubectl", "acme", "--", "get", "pods", "-A"].as_slice(),
            ["homelab", "kubectl", "acme", "get", "pods", "-A"].as_slice(),
        ] {
            let Command::Kubectl(kubectl) = Args::try_parse_from(line).expect("a good line").command else {
                panic!("not kubectl")
            };
            assert_eq!(kubectl.arguments, ["get", "pods", "-A"]);
        }
    }
}
