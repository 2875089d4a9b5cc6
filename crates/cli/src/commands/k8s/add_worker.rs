//! `homelab k8s add-worker NAME`: adds workers to a running cluster.

use std::num::NonZeroU8;

use clap::Args;
use provisioner::Residue;
use provisioner::WorkersError;

use crate::app::App;
use crate::commands::up::save_evidence;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Add workers to a running cluster
///
/// A new worker gets the lowest free number, and with it its name, address and pod CIDR: after the removal of acme-w-2,
/// the next worker is acme-w-2 again. The command waits until Kubernetes reports the new workers Ready. Pods on other
/// nodes keep running where they are.
///
/// Ctrl-C removes the new workers again. A failure does the same, after logs and plan are saved below
/// ~/.homelab/evidence. Unfinished workers of a killed command are removed by the next add-worker, remove-worker, pause
/// or halt, or by down.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab k8s add-worker acme
  sudo homelab k8s add-worker acme --count 2
  homelab kubectl acme -- get nodes")]
pub(crate) struct AddWorker {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Number of workers to add
    #[arg(long, value_name = "N", default_value = "1")]
    count: NonZeroU8,
}

impl AddWorker {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.find(&self.name)?;
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let added = tokio::select! {
            added = app.provisioner.add_workers(&self.name, self.count.get()) => Some(added),
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: removing the new workers again"));
                None
            }
        };
        let outcome = match added {
            None => self.undo(app, &mut signals).await.map(|_| Exit::Interrupted),
            Some(Ok(cluster)) => {
                let nodes = words::count(cluster.nodes.len(), "node");
                app.printer.done(&format!("{} has {nodes}, and the new ones are Ready", self.name));
                Ok(Exit::Ok)
            }
            Some(Err(error)) => self.fail(app, error, &mut signals).await,
        };
        progress.finish().await;
        outcome
    }

    /// Saves evidence of the failure, then removes the new workers.
    async fn fail(&self, app: &App, error: WorkersError, signals: &mut Signals) -> Result<Exit, CliError> {
        let WorkersError::Stage { instance, stage, residue: Residue::Recorded, source } = error else {
            return Err(error.into());
        };
        save_evidence(app, &self.name, signals).await;
        match self.undo(app, signals).await? {
            true => Err(WorkersError::Stage { instance, stage, residue: Residue::Nothing, source }.into()),
            false => Ok(Exit::Interrupted),
        }
    }

    /// Removes the new workers. Returns whether that finished before another signal.
    async fn undo(&self, app: &App, signals: &mut Signals) -> Result<bool, CliError> {
        tokio::select! {
            settled = app.provisioner.settle_workers(&self.name) => {
                settled?;
                app.printer.line(Mark::Good, &format!("{} is unchanged: the new workers are removed", self.name));
                Ok(true)
            }
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal} again: parts of new workers are left"));
                app.printer.hint("the next `add-worker`, `remove-worker`, `pause` or `halt` removes them, and so does `down`");
                Ok(false)
            }
        }
    }
}
