//! `homelab k8s …`: contexts and kubeconfigs, and the long spelling of `up`.

use clap::{Args, Subcommand};
use provisioner::events::Event;
use provisioner::kubeconfig;

use super::{name, up::Up};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::words;

/// Verbs of the long spelling.
#[derive(Debug, Subcommand)]
pub(crate) enum K8s {
    /// Bring a cluster up: the same as `homelab up`
    Create(Box<Up>),
    UseContext(UseContext),
    Kubeconfig(Kubeconfig),
}

impl K8s {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Create(verb) => verb.run(app).await,
            Self::UseContext(verb) => verb.run(app),
            Self::Kubeconfig(verb) => verb.run(app),
        }
    }
}

/// Make an instance the one that plain kubectl talks to
///
/// Switches the current context of your kubeconfig and writes the name to ~/.homelab/active-context, where a
/// shell prompt can read it. Other people's contexts stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homelab k8s use-context acme && kubectl get nodes")]
pub(crate) struct UseContext {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

impl UseContext {
    fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let home = app.home();
        if !home.isolated_kubeconfig(&self.name).exists() {
            return Err(CliError::NoKubeconfig { name: self.name, state: instance.state.to_string() });
        }
        let contexts = kubeconfig::use_context(home, &self.name)?;
        app.provisioner.events().publish(Event::KubeconfigContextSwitched { instance: self.name.clone() });
        let (active, merged) =
            (words::own_path(&home.active_context()), words::own_path(home.merged_kubeconfig()));
        for line in switched(&self.name, &active, &merged, &contexts) {
            app.printer.done(&line);
        }
        Ok(Exit::Ok)
    }
}

fn switched(name: &str, active: &str, merged: &str, contexts: &[String]) -> [String; 3] {
    let (count, names) = (words::count(contexts.len(), "context"), words::list(contexts));
    [
        format!("kubectl context switched to '{name}'"),
        format!("active context written to {active}"),
        format!("kubeconfig at {merged} now has {count} ({names})"),
    ]
}

/// Print the kubeconfig that knows this instance and no other
///
/// Prints its contents, or with --path where it is. Nothing else is in it, so a tool that gets it cannot
/// reach the wrong client.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export KUBECONFIG=$(homelab k8s kubeconfig acme --path)
  homelab k8s kubeconfig acme > acme.yaml")]
pub(crate) struct Kubeconfig {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// Print the path instead of the contents
    #[arg(long)]
    path: bool,
}

impl Kubeconfig {
    fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let path = app.home().isolated_kubeconfig(&self.name);
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Err(CliError::NoKubeconfig { name: self.name, state: instance.state.to_string() });
        };
        app.printer.result(&if self.path { format!("{path}\n") } else { text });
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_context_says_its_three_lines() {
        let contexts = ["acme", "globex", "personal"].map(str::to_owned);
        let lines = switched("acme", "~/.homelab/active-context", "~/.kube/config", &contexts);
        let expected = [
            "kubectl context switched to 'acme'",
            "active context written to ~/.homelab/active-context",
            "kubeconfig at ~/.kube/config now has 3 contexts (acme, globex, personal)",
        ];
        assert_eq!(lines, expected);
    }
}
