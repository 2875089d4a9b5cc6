//! `homelab pause`, `resume`, `halt` and `start NAME`: pause or shut down a cluster, and let it run again.

use clap::Args;
use provisioner::registry::Instance;
use provisioner::{PowerError, Provisioner};

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;

/// Pause a cluster: its nodes keep their memory and get no CPU time
///
/// The nodes get no CPU time until `homelab resume NAME`; their processes notice the pause only by the clock. After a
/// reboot of this host, a paused cluster is off: start it with `homelab start NAME`. The command may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab pause acme
  sudo homelab resume acme")]
pub(crate) struct Pause {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

/// Resume a paused cluster
///
/// Waits until its API server answers. Certificates that have ended, or end within 30 days, are renewed, and the
/// kubeconfig with them. The command may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab resume acme")]
pub(crate) struct Resume {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

/// Shut down the nodes of a cluster; they keep their disks
///
/// The cluster uses no memory and no CPU time until `homelab start NAME`. The instance keeps its name and its networks,
/// and still counts against the host's capacity. The command may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab halt acme
  sudo homelab start acme")]
pub(crate) struct Halt {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

/// Start a halted cluster with its data
///
/// Also starts a cluster that is off after a reboot of this host, and resumes a paused one. Waits until its API server
/// answers; pods come up after that. Certificates that have ended, or end within 30 days, are renewed, and the
/// kubeconfig with them. The command may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab start acme
  homelab kubectl acme -- get pods --all-namespaces")]
pub(crate) struct Start {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
}

impl Pause {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is paused: its nodes keep their memory and get no CPU time"),
            hint: format!("`sudo homelab resume {name}` resumes it"),
            again: format!("sudo homelab pause {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.pause(name).await).await
    }
}

impl Resume {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is resumed: its API server answers"),
            hint: format!("`sudo homelab status {name}` shows its nodes"),
            again: format!("sudo homelab resume {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.resume(name).await).await
    }
}

impl Halt {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is halted: its nodes are off and keep their disks"),
            hint: format!("`sudo homelab start {name}` starts it with its data"),
            again: format!("sudo homelab halt {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.halt(name).await).await
    }
}

impl Start {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is started: its API server answers"),
            hint: format!("`sudo homelab status {name}` shows its nodes"),
            again: format!("sudo homelab start {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.start(name).await).await
    }
}

/// The texts at the end of an operation.
struct End {
    done: String,
    hint: String,
    /// The command that finishes the operation after a signal.
    again: String,
}

/// Runs an operation with its progress, and prints how it ends.
async fn obey(
    app: &App,
    name: &str,
    end: End,
    deed: impl AsyncFnOnce(&Provisioner) -> Result<Instance, PowerError>,
) -> Result<Exit, CliError> {
    app.find(name)?;
    app.must_be_root()?;
    let mut signals = Signals::listen()?;
    let progress = Progress::of(app.provisioner.events(), &app.printer);
    let done = tokio::select! {
        done = deed(&app.provisioner) => done,
        signal = signals.next() => {
            app.printer.line(Mark::Bad, &format!("{signal}: some nodes of {name} may already have changed"));
            app.printer.hint(&format!("`{}` finishes the operation", end.again));
            return Ok(Exit::Interrupted);
        }
    };
    progress.finish().await;
    done?;
    app.printer.done(&end.done);
    app.printer.hint(&end.hint);
    Ok(Exit::Ok)
}
