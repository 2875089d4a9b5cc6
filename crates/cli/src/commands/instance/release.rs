//! `homelab instance release NAME`: gives back what an instance has claimed, once its machines are gone.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::values::name;

/// Give back the claim of an instance whose machines are gone
///
/// Removes what is left beside machines: certificates, kubeconfig context and, last, the registry entry. Refuses
/// if this host has anything of the instance, or if the process that makes it still runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab instance release acme      its machines were removed by other means
  sudo homelab down acme                  machines and claim")]
pub(crate) struct Release {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

impl Release {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        if app.provisioner.release(&self.name).await?.is_empty() {
            return Err(app.unknown(&self.name));
        }
        app.printer.done(&format!("the claim of {} is given back", self.name));
        Ok(Exit::Ok)
    }
}
