//! `homelab k8s remove-worker NAME NODE`: removes a worker from a running cluster.

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

/// Remove a worker from a running cluster
///
/// Drains the node, so that its pods come up on other nodes, then removes the node from the host and from the cluster.
/// The other nodes keep their names, addresses and pod CIDRs. Data of pods on the node itself, such as emptyDir
/// volumes, is lost.
///
/// The drain fails if it does not finish in time, or if no controller would create a pod again on another node; the
/// error names the pods that are left. The node then stays, cordoned: it gets no new pods until you repeat the command
/// or type `homelab kubectl NAME -- uncordon NODE`. Ctrl-C during the drain does the same. After the drain, Ctrl-C does
/// not bring the node back: the rest of the node is removed.
///
/// --force skips the drain, for instance if the worker does not answer any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab k8s remove-worker acme acme-w-2
  sudo homelab k8s remove-worker acme acme-w-2 --timeout 600
  sudo homelab k8s remove-worker acme acme-w-2 --force      without a drain")]
pub(crate) struct RemoveWorker {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Name of the worker, as `homelab status NAME` lists it
    node: String,
    /// Time-out of the drain, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Remove the worker without a drain
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
                app.printer.done(&format!("{} is removed; {} has {nodes}", self.node, self.name));
                Ok(Exit::Ok)
            }
            Some(Err(error)) => Err(error.into()),
        };
        progress.finish().await;
        outcome
    }

    /// Removes the rest of a worker whose drain has finished. A worker whose drain was interrupted stays.
    async fn settle(&self, app: &App, signals: &mut Signals) -> Result<Exit, CliError> {
        let (printer, node) = (&app.printer, &self.node);
        tokio::select! {
            settled = app.provisioner.settle_workers(&self.name) => match settled?.contains(node) {
                true => printer.line(Mark::Good, &format!("{node} was already drained, and is removed")),
                false => {
                    printer.line(Mark::Busy, &format!("{node} stays, and may be cordoned"));
                    printer.hint(&format!("`homelab kubectl {} -- uncordon {node}` allows new pods again", self.name));
                }
            },
            signal = signals.next() => {
                printer.line(Mark::Bad, &format!("{signal} again: parts of {node} may be left"));
                printer.hint("the next `add-worker`, `remove-worker`, `pause` or `halt` removes them, and so does `down`");
            }
        }
        Ok(Exit::Interrupted)
    }
}
