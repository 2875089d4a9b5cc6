//! `homelab k8s renew-certs NAME`: all certificates of a cluster's nodes are issued anew.

use clap::Args;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Issue all certificates of a cluster's nodes anew
///
/// kubeadm's live for a year: those of the API server, of etcd and of the kubelets, and those in kubeconfigs, yours
/// included. All get a further year, also those that have ended; the authorities stay, and so does everything that
/// trusts them. The API server is away for some seconds.
///
/// `homelab status NAME` says when they end. `start` does the same where they have ended or will within 30 days, so only
/// a cluster that runs for a year without a rest needs this.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab k8s renew-certs acme")]
pub(crate) struct RenewCerts {
    /// The instance
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
                app.printer.hint(&format!("`homelab k8s renew-certs {name}` finishes it"));
                return Ok(Exit::Interrupted);
            }
        };
        let nodes = words::count(cluster.nodes.len(), "node");
        app.printer.done(&format!("{name} has new certificates on {nodes}, and a new kubeconfig"));
        app.printer.hint(&format!("`homelab status {name}` says when they end"));
        Ok(Exit::Ok)
    }
}
