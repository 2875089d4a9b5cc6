//! `homelab k8s use-context`: chooses the instance that plain kubectl uses.

use clap::Args;
use provisioner::events::Event;
use provisioner::identity;
use provisioner::kubeconfig;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::values::name;
use crate::words;

/// Choose the instance that plain kubectl uses
///
/// Switches the current context of your kubeconfig and writes the name to ~/.homelab/active-context, where a shell
/// prompt can read it. Foreign contexts do not change. A context with another API server or certificate authority than
/// that of the cluster that came up under this name is refused; the cluster itself is not contacted.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homelab k8s use-context acme && kubectl get nodes")]
pub(crate) struct UseContext {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

impl UseContext {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let home = app.home();
        if !home.isolated_kubeconfig(&self.name).exists() {
            return Err(Refusal::NoKubeconfig { name: self.name, state: instance.state.to_string() }.into());
        }
        identity::check_merged(home, &instance)?;
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

/// The three lines about a switch.
fn switched(name: &str, active: &str, merged: &str, contexts: &[String]) -> [String; 3] {
    let (count, names) = (words::count(contexts.len(), "context"), words::list(contexts));
    [
        format!("kubectl context switched to '{name}'"),
        format!("active context written to {active}"),
        format!("kubeconfig at {merged} now has {count} ({names})"),
    ]
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
