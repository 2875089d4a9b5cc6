//! `homelab down NAME`, also spelled `homelab destroy --instance NAME`: takes a cluster down.

use clap::Args;

use super::name;
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;

/// Take a cluster down
///
/// Removes its nodes, networks, certificates, kubeconfig context and, last, its registry entry; its data is
/// lost. Steps that fail are reported, the others are done all the same, and the command may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab down acme
  sudo homelab destroy --instance acme      the same")]
pub(crate) struct Down {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

/// Take a cluster down, spelled in full: the same as `homelab down NAME`
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The instance
    #[arg(long, value_name = "NAME", value_parser = name)]
    instance: String,
}

impl Down {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        take_down(app, &self.name).await
    }
}

impl Destroy {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        take_down(app, &self.instance).await
    }
}

async fn take_down(app: &App, name: &str) -> Result<Exit, CliError> {
    app.must_be_root()?;
    let before = app.provisioner.registry().find(name)?;
    let sightings = app.provisioner.engine().sightings().await?;
    let sightings: Vec<String> =
        sightings.iter().filter(|one| one.instance == name).map(ToString::to_string).collect();
    if before.is_none() && sightings.is_empty() && !app.home().instance(name).exists() {
        return Err(app.unknown(name));
    }
    let mut signals = Signals::listen()?;
    let progress = Progress::of(app.provisioner.events(), &app.printer);
    let destroyed = tokio::select! {
        destroyed = app.provisioner.destroy(name) => destroyed,
        signal = signals.next() => {
            app.printer.line(Mark::Bad, &format!("{signal}: parts of {name} are left"));
            app.printer.hint(&format!("`homelab down {name}` goes on where this stopped"));
            return Ok(Exit::Interrupted);
        }
    };
    progress.finish().await;
    destroyed?;
    let mut removed = sightings;
    removed.extend(
        before.map(|instance| {
            format!("context {}, subnet {}", instance.k8s.kubeconfig_context, instance.subnet)
        }),
    );
    app.printer.done(&format!("{name} is down; removed:"));
    app.printer.result(&removed.iter().map(|what| format!("  {what}\n")).collect::<String>());
    Ok(Exit::Ok)
}
