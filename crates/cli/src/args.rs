//! The whole command line as one type. Its doc comments are the help texts.

use std::fmt::Write;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app::App;
use crate::commands::{
    assets::Assets, audit::Audit, completions::Completions, demo::Demo, dns::DnsCommand, doctor::Doctor,
    down::Destroy, down::Down, events::Events, help::Help, instance::InstanceCommand, k8s::K8s,
    kubectl::Kubectl, power::Halt, power::Pause, power::Resume, power::Start, reap::Reap, status::Status,
    tls::Tls, up::Up, watch::Watch,
};
use crate::exit::{CliError, Exit};
use crate::guard;

/// Real Kubernetes clusters side by side on one Linux host, one per client, isolated.
///
/// Each instance has its own nodes, network, API server, etcd and certificate authorities. No route leads from one
/// instance to another. Nodes are podman containers, which share the host's kernel, or, with `--engine vagrant`,
/// virtual machines (VMs) with their own kernels.
#[derive(Debug, Parser)]
#[command(
    name = "homelab",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    help_template = template(),
    after_help = AFTER_HELP
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER_HELP: &str = "\
Start here:
  homelab doctor                     check this host, and list what is missing
  sudo homelab up acme               create an instance: one control plane, three workers
  homelab kubectl acme -- get nodes
  sudo homelab audit                 prove that no instance reaches another
  sudo homelab down acme             remove the instance with its data

Exit codes:
  0 ok                 1 leak              2 usage             3 inconclusive
  4 could not run      5 provision failed  6 teardown failed   7 problems found
  130 interrupted

Files:  ~/.homelab (or HOMELAB_HOME), node image in ~/.cache/homelab (or HOMELAB_CACHE).
Logs:   HOMELAB_LOG=debug shows every command that homelab runs.
Topics: `homelab help TOPIC` explains isolation, networks, engines, exit-codes, files, environment.";

/// The groups of verbs in the help.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Clusters", &["up", "down", "instance", "status", "demo"]),
    ("Day to day", &["kubectl", "k8s", "pause", "resume", "halt", "start", "events"]),
    ("Isolation", &["audit", "watch"]),
    ("Names and certificates", &["dns", "tls"]),
    ("Host", &["doctor", "assets", "reap", "completions", "help"]),
];

/// The help of the whole program, for clap, which has no groups of subcommands.
fn template() -> String {
    let verbs = Verb::augment_subcommands(clap::Command::new("verbs"));
    let style = *clap::builder::Styles::default().get_header();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        writeln!(groups, "{style}{title}:{style:#}").expect("a string can be written");
        for name in names {
            let about = verbs.find_subcommand(name).and_then(clap::Command::get_about);
            writeln!(groups, "  {name:<13}{}", about.cloned().unwrap_or_default())
                .expect("a string can be written");
        }
        groups.push('\n');
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{style}Options:{style:#}\n{{options}}{{after-help}}"
    )
}

/// A command for this host, or help, which needs no home.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    Command(Command),
    Help(Help),
}

/// The verbs, in the order in which a new user needs them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Doctor(Doctor),
    Up(Up),
    Down(Down),
    #[command(hide = true)]
    Destroy(Destroy),
    /// List, show and release instances
    #[command(subcommand)]
    Instance(InstanceCommand),
    Status(Status),
    Pause(Pause),
    Resume(Resume),
    Halt(Halt),
    Start(Start),
    Watch(Watch),
    Events(Events),
    /// Manage workers, contexts, kubeconfigs and cluster certificates
    #[command(subcommand)]
    K8s(K8s),
    Kubectl(Kubectl),
    /// Manage TLS certificates for names below an instance's DNS suffix
    #[command(subcommand)]
    Tls(Tls),
    /// Manage the DNS names of instances on this host
    ///
    /// api.acme.lab resolves to the API server of acme; acme.lab and every other name below it resolve to its
    /// workloads. `up` records the names and `down` removes them: in /etc/hosts, or in a drop-in for dnsmasq if
    /// ~/.homelab/config.yaml says so. Only dnsmasq resolves every name below a suffix. Inside a cluster, its own
    /// suffix always resolves, and no suffix of another instance does.
    #[command(subcommand)]
    Dns(DnsCommand),
    Audit(Box<Audit>),
    Reap(Reap),
    /// Build, export, import and prune the node image and Vagrant boxes
    #[command(subcommand)]
    Assets(Assets),
    Demo(Demo),
    Completions(Completions),
}

impl Command {
    /// Whether the verb works with instances on this host. As root, such a verb restores the host guard first. `doctor`
    /// only reports on the guard, `status` and `watch` restore it themselves, and the other verbs touch no cluster.
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

    /// The help of a verb as `homelab … --help` prints it, 100 columns wide.
    fn help(path: &[&str]) -> String {
        let mut command = Args::command().term_width(100);
        command.build();
        let found = path
            .iter()
            .fold(&mut command, |command, name| command.find_subcommand_mut(name).expect("the verb exists"));
        found.render_long_help().to_string()
    }

    #[test]
    fn every_verb_is_in_one_group_of_the_help() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Args::command();
        let visible = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut visible: Vec<&str> = visible.map(clap::Command::get_name).collect();
        let mut sorted = grouped.clone();
        sorted.sort_unstable();
        visible.sort_unstable();
        assert_eq!(sorted, visible);
    }

    #[test]
    fn the_page_of_verbs_is_the_command_line() {
        let options = clap_markdown::MarkdownOptions::new().title("Verbs".to_owned()).show_footer(false);
        let page = clap_markdown::help_markdown_command_custom(&Args::command(), &options);
        published::is_page("reference/verbs.md", &page);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_verb_is_as_published() {
        let paths: [&[&str]; 42] = [
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
            &["help"],
        ];
        for path in paths {
            let name = if path.is_empty() { "homelab".to_owned() } else { path.join("-") };
            insta::assert_snapshot!(format!("help-{name}"), help(path));
        }
    }

    #[test]
    fn invalid_values_are_refused_with_the_values_that_are_allowed() {
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
    fn arguments_after_the_instance_are_passed_to_kubectl_with_or_without_dashes() {
        for line in [
            ["homelab", "kubectl", "acme", "--", "get", "pods", "-A"].as_slice(),
            ["homelab", "kubectl", "acme", "get", "pods", "-A"].as_slice(),
        ] {
            let Verb::Command(Command::Kubectl(kubectl)) =
                Args::try_parse_from(line).expect("a good line").verb
            else {
                panic!("not kubectl")
            };
            assert_eq!(kubectl.arguments, ["get", "pods", "-A"]);
        }
    }
}
