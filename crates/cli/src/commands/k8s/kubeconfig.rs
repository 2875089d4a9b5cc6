//! `homelab k8s kubeconfig`: prints the kubeconfig with one instance only.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::values::name;

/// Print the kubeconfig with this instance only
///
/// Prints its contents or, with --path, its path. The file has no other context, so a tool that uses it cannot reach
/// the cluster of another client.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export KUBECONFIG=$(homelab k8s kubeconfig acme --path)
  homelab k8s kubeconfig acme > acme.yaml
  sudo homelab k8s kubeconfig acme --renew --path      after it was lost or swapped")]
pub(crate) struct Kubeconfig {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Print the path instead of the contents
    #[arg(long)]
    path: bool,
    /// First write this file and the context in your kubeconfig again, from the instance's own nodes
    #[arg(long)]
    renew: bool,
}

impl Kubeconfig {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        if self.renew {
            app.must_be_root()?;
            app.provisioner.renew_kubeconfig(&self.name).await?;
        }
        let path = app.home().isolated_kubeconfig(&self.name);
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Err(Refusal::NoKubeconfig { name: self.name, state: instance.state.to_string() }.into());
        };
        app.printer.result(&if self.path { format!("{path}\n") } else { text });
        Ok(Exit::Ok)
    }
}
