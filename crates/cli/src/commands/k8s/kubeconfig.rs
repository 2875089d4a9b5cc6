//! `homelab k8s kubeconfig`: the kubeconfig that knows one instance.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::values::name;

/// Print the kubeconfig that knows this instance and no other
///
/// Prints its contents, or with --path where it is. Nothing else is in it, so a tool that gets it cannot
/// reach the wrong client.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export KUBECONFIG=$(homelab k8s kubeconfig acme --path)
  homelab k8s kubeconfig acme > acme.yaml
  sudo homelab k8s kubeconfig acme --renew --path      after it was lost or swapped")]
pub(crate) struct Kubeconfig {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// Print the path instead of the contents
    #[arg(long)]
    path: bool,
    /// Write it anew first, and its context in your kubeconfig, from what the instance's own nodes have
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
