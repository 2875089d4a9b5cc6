//! `homelab instance release NAME`: removes the registry entry of an instance whose nodes are gone.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::values::name;

/// Release the claim of an instance whose nodes are gone
///
/// Removes everything but nodes and networks: certificates, DNS names, kubeconfig context and, last, the registry entry
/// with the claimed name, networks and CIDRs. Refuses if this host still has nodes or networks of the instance, or if a
/// process that needs the instance still runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab instance release acme      its nodes were removed by other means
  sudo homelab down acme                  remove nodes and claim")]
pub(crate) struct Release {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

impl Release {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        if app.provisioner.release(&self.name).await?.is_empty() {
            return Err(app.unknown(&self.name));
        }
        app.printer.done(&format!("the claim of {} is released", self.name));
        Ok(Exit::Ok)
    }
}
