//! `homelab down NAME`, also spelled `homelab destroy --instance NAME`: takes a cluster down.

use clap::Args;
use provisioner::Removed;
use provisioner::registry::Instance;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Take a cluster down
///
/// Removes its nodes, networks, certificates, kubeconfig context and, last, its registry entry; its data is
/// lost. Steps that fail are reported, the others are done all the same, and the command may be repeated: nothing
/// being left is a success. A kubeconfig that leads to another cluster than the one that came up stops it, and so does
/// an API server that is another one. Where nobody answers, that is said, and what carries the instance's name and labels
/// is removed: a cluster that is halted or broken cannot say who it is.
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
    let sightings = app.provisioner.engines().sightings().await?;
    let sightings: Vec<String> =
        sightings.iter().filter(|one| one.instance == name).map(ToString::to_string).collect();
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
    let removed = match destroyed {
        Ok(removed) => removed,
        Err(error) => {
            app.printer.result(&listed(&error.removed, before.as_ref(), &[]));
            return Err(error.into());
        }
    };
    if removed.is_empty() {
        app.printer.done(&format!("there is no '{name}': nothing to remove"));
        app.printer.hint(&words::there_are(&app.names()?));
        return Ok(Exit::Ok);
    }
    app.printer.done(&format!("{name} is down; removed:"));
    app.printer.result(&listed(&removed, before.as_ref(), &sightings));
    Ok(Exit::Ok)
}

/// What was removed, a line each, with the names that people know it by.
fn listed(removed: &[Removed], instance: Option<&Instance>, sightings: &[String]) -> String {
    let line = |removed: &Removed| match (removed, instance) {
        (Removed::Machines, _) if !sightings.is_empty() => sightings.join("\n  "),
        (Removed::Context, Some(instance)) => format!("{removed}: {}", instance.k8s.kubeconfig_context),
        (Removed::Entry, Some(instance)) => {
            let (subnet, k8s) = (instance.subnet, &instance.k8s);
            format!("{removed}: subnet {subnet}, pods {}, services {}", k8s.pod_cidr, k8s.service_cidr)
        }
        _ => removed.to_string(),
    };
    removed.iter().map(|removed| format!("  {}\n", line(removed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::instance::tests::running;

    #[test]
    fn everything_that_was_removed_is_listed_layer_by_layer() {
        let sightings = ["container homelab-0f.acme.acme-main", "link hl-0123456789"].map(str::to_owned);
        use Removed::{Context, Entry, Folder, Machines, Marker, Names, Trust};
        let all = [Marker, Context, Trust, Machines, Folder, Names, Entry];
        let known = listed(&all, Some(&running("acme")), &sightings);
        insta::assert_snapshot!(format!("{known}without an entry:\n{}", listed(&all, None, &[])));
    }
}
