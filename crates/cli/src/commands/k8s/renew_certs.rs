//! `homelab k8s renew-certs NAME`: renews all certificates of a cluster's nodes.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Renew all certificates of a cluster's nodes
///
/// kubeadm's certificates are valid for a year: those of the API server, of etcd and of the kubelets, and those in
/// kubeconfigs, yours included. The command issues all of them for another year, also those that have ended. The
/// authorities stay, and with them the trust in them. The API server does not answer for some seconds.
///
/// `homelab status NAME` shows when certificates end. `start` and `resume` renew certificates that have ended or end
/// within 30 days, so only a cluster that runs for a year without a pause or a halt needs this command.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab k8s renew-certs acme")]
pub(crate) struct RenewCerts {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

impl RenewCerts {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        app.find(name)?;
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        let cluster = tokio::select! {
            renewed = app.provisioner.renew_certificates(name) => renewed?,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: some nodes of {name} may have new certificates already"));
                app.printer.hint(&format!("`sudo homelab k8s renew-certs {name}` finishes the operation"));
                return Ok(Exit::Interrupted);
            }
        };
        let nodes = words::count(cluster.nodes.len(), "node");
        app.printer.done(&format!("{name} has new certificates on {nodes}, and a new kubeconfig"));
        app.printer.hint(&format!("`sudo homelab status {name}` shows when they end"));
        Ok(Exit::Ok)
    }
}
