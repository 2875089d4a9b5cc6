//! `homelab k8s add-worker NAME`: a cluster gets more workers while it runs.

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

/// Add workers to a cluster that runs
///
/// A new worker gets the lowest number that is free, and with it its name, address and pod CIDR: after the removal of
/// acme-w-2, the next one is acme-w-2 again. It is there when Kubernetes reports it Ready. What runs on other nodes
/// runs on, and stays where it is.
///
/// Ctrl-C takes the new workers away again. So does a failure, after logs and plan were saved below
/// ~/.homelab/evidence. What a killed command leaves half-made is taken away by the next add-worker or remove-worker.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab k8s add-worker acme
  sudo homelab k8s add-worker acme --count 2
  homelab kubectl acme -- get nodes")]
pub(crate) struct AddWorker {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// How many
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
                app.printer.line(Mark::Bad, &format!("{signal}: taking the new workers away again"));
                None
            }
        };
        let outcome = match added {
            None => self.undo(app, &mut signals).await.map(|_| Exit::Interrupted),
            Some(Ok(cluster)) => {
                let nodes = words::count(cluster.nodes.len(), "node");
                app.printer.done(&format!("{} has {nodes}, all of the new ones Ready", self.name));
                Ok(Exit::Ok)
            }
            Some(Err(error)) => self.fail(app, error, &mut signals).await,
        };
        progress.finish().await;
        outcome
    }

    /// Saves what explains the failure, then takes away what was made.
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

    /// Takes away what there is of the new workers; says whether it came to an end.
    async fn undo(&self, app: &App, signals: &mut Signals) -> Result<bool, CliError> {
        tokio::select! {
            settled = app.provisioner.settle_workers(&self.name) => {
                settled?;
                app.printer.line(Mark::Good, &format!("{} is as it was", self.name));
                Ok(true)
            }
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal} again: parts of new workers are left"));
                app.printer.hint("the next add-worker or remove-worker takes them away, and so does down");
                Ok(false)
            }
        }
    }
}
