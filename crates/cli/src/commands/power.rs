//! `homelab pause`, `resume`, `halt` and `start NAME`: a cluster comes to rest and goes on.

use clap::Args;
use provisioner::registry::Instance;
use provisioner::{PowerError, Provisioner};

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;

/// Stop a cluster where it is, with all that it has in memory
///
/// Its nodes get no processor until `homelab resume NAME`; nothing on them notices but by the clock. A reboot of this
/// host ends a pause: `homelab start NAME` then. May be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab pause acme
  sudo homelab resume acme")]
pub(crate) struct Pause {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

/// Have a paused cluster go on
///
/// Ends when its API server answers again. May be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab resume acme")]
pub(crate) struct Resume {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

/// Shut the nodes of a cluster down: they keep their disks
///
/// Takes no memory and no processor any more, until `homelab start NAME`. It keeps its name, its networks and its
/// place: what fits on this host is counted as if it ran. May be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab halt acme
  sudo homelab start acme")]
pub(crate) struct Halt {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

/// Start a cluster that was halted, with its data
///
/// Also after a reboot of this host, and after a pause. Ends when its API server answers again; pods come up after
/// that. Certificates that have ended, or will within 30 days, are issued anew, and the kubeconfig with them. May be
/// repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab start acme
  homelab kubectl acme -- get pods --all-namespaces")]
pub(crate) struct Start {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

impl Pause {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is paused: its nodes keep their memory and get no processor"),
            hint: format!("`homelab resume {name}` has it go on"),
            again: format!("homelab pause {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.pause(name).await).await
    }
}

impl Resume {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} goes on: its API server answers"),
            hint: format!("`homelab status {name}` shows its nodes"),
            again: format!("homelab resume {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.resume(name).await).await
    }
}

impl Halt {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} is halted: its nodes are off and keep their disks"),
            hint: format!("`homelab start {name}` starts it with its data"),
            again: format!("homelab halt {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.halt(name).await).await
    }
}

impl Start {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = &self.name;
        let end = End {
            done: format!("{name} has started: its API server answers"),
            hint: format!("`homelab status {name}` shows its nodes"),
            again: format!("homelab start {name}"),
        };
        obey(app, name, end, async |provisioner| provisioner.start(name).await).await
    }
}

/// What is said in the end.
struct End {
    done: String,
    hint: String,
    /// What finishes it after a signal.
    again: String,
}

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
            app.printer.line(Mark::Bad, &format!("{signal}: some nodes of {name} may have obeyed already"));
            app.printer.hint(&format!("`{}` finishes it", end.again));
            return Ok(Exit::Interrupted);
        }
    };
    progress.finish().await;
    done?;
    app.printer.done(&end.done);
    app.printer.hint(&end.hint);
    Ok(Exit::Ok)
}
