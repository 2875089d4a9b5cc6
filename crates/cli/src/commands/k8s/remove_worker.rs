//! `homelab k8s remove-worker NAME NODE`: a cluster loses a worker while it runs.

use std::time::Duration;

use clap::Args;
use provisioner::Drain;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Remove a worker from a cluster that runs
///
/// Drains the node, so that its pods come up elsewhere, then takes its machine away and has the cluster forget it. The
/// other nodes keep their names, addresses and pod CIDRs. What pods kept on the node itself, emptyDir volumes above
/// all, is lost.
///
/// A drain that does not finish in time names the pods that are left, and so does one that meets a pod which nobody
/// would make anew elsewhere. The node then stays, cordoned: new pods are kept from it until you try again or
/// `homelab kubectl NAME -- uncordon NODE`. Ctrl-C before the drain is over does the same, and later there is no way
/// back: what is left of the node is taken away.
///
/// --force does not drain: also for a worker that does not answer any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab k8s remove-worker acme acme-w-2
  sudo homelab k8s remove-worker acme acme-w-2 --timeout 600
  sudo homelab k8s remove-worker acme acme-w-2 --force      with all pods that it has")]
pub(crate) struct RemoveWorker {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// The worker, as `homelab status NAME` lists it
    node: String,
    /// How long its pods may take to leave, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Remove it without waiting for its pods to leave
    #[arg(long, conflicts_with = "timeout")]
    force: bool,
}

impl RemoveWorker {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.find(&self.name)?;
        app.must_be_root()?;
        let drain = match self.force {
            true => Drain::Skipped,
            false => Drain::Within(Duration::from_secs(self.timeout)),
        };
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let removed = tokio::select! {
            removed = app.provisioner.remove_worker(&self.name, &self.node, drain) => Some(removed),
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: {} is not removed yet", self.node));
                None
            }
        };
        let outcome = match removed {
            None => self.settle(app, &mut signals).await,
            Some(Ok(cluster)) => {
                let nodes = words::count(cluster.plan.nodes.len(), "node");
                app.printer.done(&format!("{} is gone; {} has {nodes}", self.node, self.name));
                Ok(Exit::Ok)
            }
            Some(Err(error)) => Err(error.into()),
        };
        progress.finish().await;
        outcome
    }

    /// Takes away what is left of a worker that has been drained; before, there is nothing to do.
    async fn settle(&self, app: &App, signals: &mut Signals) -> Result<Exit, CliError> {
        let (printer, node) = (&app.printer, &self.node);
        tokio::select! {
            settled = app.provisioner.settle_workers(&self.name) => match settled?.contains(node) {
                true => printer.line(Mark::Good, &format!("{node} was drained already, and is gone")),
                false => {
                    printer.line(Mark::Busy, &format!("{node} stays, and may be cordoned"));
                    printer.hint(&format!("`homelab kubectl {} -- uncordon {node}` lets pods onto it again", self.name));
                }
            },
            signal = signals.next() => {
                printer.line(Mark::Bad, &format!("{signal} again: parts of {node} may be left"));
                printer.hint("the next add-worker or remove-worker takes them away, and so does down");
            }
        }
        Ok(Exit::Interrupted)
    }
}
