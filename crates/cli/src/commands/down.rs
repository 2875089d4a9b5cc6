//! `homelab down NAMES`, also spelled `homelab destroy --instance NAME`: removes instances with their clusters.

use clap::Args;
use provisioner::Removed;
use provisioner::error::chain;
use provisioner::registry::{Entry, Instance, Keeper, Need, OperationKind};

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::name;
use crate::words;

/// Take clusters down and remove their data
///
/// Removes the nodes of an instance, its networks, certificates, DNS names, kubeconfig context and, last, its registry
/// entry. The data is lost, so on a terminal the command asks first. It does not ask for instances of tests, for
/// instances whose `up` did not finish, or without a terminal.
///
/// A step that fails is reported, the other steps are done all the same, and the command may be repeated. Several
/// instances are removed one after the other; a failure of one does not stop the next. An unknown name is an error.
///
/// The command stops if the kubeconfig leads to another cluster than the one that came up under this name, or if
/// another cluster's API server answers. A cluster that is halted or broken does not answer: this is reported, and
/// everything with the instance's name and labels is removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab down acme
  sudo homelab down acme globex --yes
  sudo homelab down --all
  sudo homelab destroy --instance acme      the same as down acme")]
pub(crate) struct Down {
    /// Names of the instances
    #[arg(value_name = "NAMES", value_parser = name, required_unless_present = "all")]
    names: Vec<String>,
    /// All instances, except those that a running test or command still needs
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

/// Take a cluster down and remove its data: the same as `homelab down NAME`
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// Name of the instance
    #[arg(long, value_name = "NAME", value_parser = name)]
    instance: String,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

impl Down {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        if !self.all {
            return take_down(app, &once(self.names), self.yes).await;
        }
        let (names, needed) =
            all(app.provisioner.registry().list()?, |instance| match instance.need(app.home()) {
                Need::Process(owner) => Some(owner.pid),
                Need::Operator | Need::Unknown(..) | Need::Abandoned(_) => None,
            });
        for (name, pid) in &needed {
            app.printer.line(Mark::Busy, &format!("{name} is not taken down: process {pid} still needs it"));
        }
        if names.is_empty() {
            app.printer.done("there is no instance to take down");
        }
        take_down(app, &names, self.yes).await
    }
}

impl Destroy {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        take_down(app, &[self.instance], self.yes).await
    }
}

/// Each name once, in the order in which they were first typed.
fn once(names: Vec<String>) -> Vec<String> {
    let mut each = Vec::new();
    for name in names {
        if !each.contains(&name) {
            each.push(name);
        }
    }
    each
}

/// The names of all instances to take down, and those that a living process needs, with its pid. A broken entry without
/// a legible name is left out.
fn all(
    entries: Vec<Entry>,
    needed_by: impl Fn(&Instance) -> Option<u32>,
) -> (Vec<String>, Vec<(String, u32)>) {
    let (mut names, mut needed) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Sound(instance) => match needed_by(&instance) {
                Some(pid) => needed.push((instance.name, pid)),
                None => names.push(instance.name),
            },
            Entry::Broken { name, .. } => names.extend(name),
        }
    }
    (names, needed)
}

/// The question before these instances are taken down; `None` if no data of an operator would be lost.
fn question(instances: &[Instance]) -> Option<String> {
    let is_unfinished = |instance: &Instance| {
        instance.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Create)
    };
    let keeps_data = |instance: &&Instance| {
        instance.keeper == Keeper::Operator && instance.handling.fsync && !is_unfinished(instance)
    };
    let kept: Vec<String> =
        instances.iter().filter(keeps_data).map(|instance| instance.name.clone()).collect();
    let whose = if kept.len() == 1 { "Its" } else { "Their" };
    (!kept.is_empty()).then(|| format!("Take {} down? {whose} data will be lost. [y/N] ", words::list(&kept)))
}

async fn take_down(app: &App, names: &[String], is_agreed: bool) -> Result<Exit, CliError> {
    if !is_agreed && app.printer.can_ask() {
        let instances = app.provisioner.registry().instances().unwrap_or_default().into_iter();
        let meant: Vec<Instance> = instances.filter(|instance| names.contains(&instance.name)).collect();
        if question(&meant).is_some_and(|question| !app.printer.confirms(&question)) {
            app.printer.line(Mark::Bad, "nothing was taken down");
            return Ok(Exit::Interrupted);
        }
    }
    let mut signals = Signals::listen()?;
    let mut worst = Exit::Ok;
    for name in names {
        match take_one_down(app, name, &mut signals).await {
            Ok(Exit::Interrupted) => return Ok(Exit::Interrupted),
            Ok(_) => {}
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => {
                app.printer.error(error.cause(), error.hint());
                // An instance that is left outweighs a name that does not exist.
                worst = if worst == Exit::Ok || worst == Exit::Usage { error.exit() } else { worst };
            }
        }
    }
    Ok(worst)
}

async fn take_one_down(app: &App, name: &str, signals: &mut Signals) -> Result<Exit, CliError> {
    let before = app.provisioner.registry().find(name)?;
    let sightings = match &before {
        // Only for the list of removed things. If the engine cannot be asked, `destroy` below reports it.
        Some(instance) => {
            app.provisioner.engines().sightings_of(Some(instance.engine)).await.unwrap_or_default()
        }
        None => app.provisioner.engines().look().await.sightings,
    };
    let sightings: Vec<String> =
        sightings.iter().filter(|one| one.instance == name).map(ToString::to_string).collect();
    let progress = Progress::of(app.provisioner.events(), &app.printer);
    let destroyed = tokio::select! {
        destroyed = app.provisioner.destroy(name) => destroyed,
        signal = signals.next() => {
            app.printer.line(Mark::Bad, &format!("{signal}: parts of {name} are left"));
            app.printer.hint(&format!("`sudo homelab down {name}` continues where this stopped"));
            return Ok(Exit::Interrupted);
        }
    };
    progress.finish().await;
    let removed = match destroyed {
        Ok(removed) => removed,
        Err(error) if before.is_none() && sightings.is_empty() && error.removed.is_empty() => {
            app.printer.line(Mark::Bad, &chain(&error));
            return Err(app.unknown(name));
        }
        Err(error) => {
            app.printer.result(&listed(&error.removed, before.as_ref(), &[]));
            return Err(error.into());
        }
    };
    if removed.is_empty() {
        return Err(app.unknown(name));
    }
    app.printer.done(&format!("{name} is down; removed:"));
    app.printer.result(&listed(&removed, before.as_ref(), &sightings));
    Ok(Exit::Ok)
}

/// The removed things, one a line, with their names if they are known.
fn listed(removed: &[Removed], instance: Option<&Instance>, sightings: &[String]) -> String {
    let line = |removed: &Removed| match (removed, instance) {
        (Removed::Nodes, _) if !sightings.is_empty() => sightings.join("\n  "),
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
    use provisioner::request::Handling;

    use super::*;
    use crate::commands::instance::tests::{orphan, running};

    #[test]
    fn only_the_data_of_an_operators_instance_needs_a_confirmation() {
        let throw_away = Instance { handling: Handling::TEST, ..running("test") };
        assert_eq!(question(&[throw_away.clone(), orphan()]), None);
        let asked = question(&[running("acme"), throw_away]).expect("acme is an operator's");
        assert_eq!(asked, "Take acme down? Its data will be lost. [y/N] ");
        let asked = question(&[running("acme"), running("globex")]).expect("both are an operator's");
        assert_eq!(asked, "Take acme, globex down? Their data will be lost. [y/N] ");
    }

    #[test]
    fn all_selects_the_instances_that_no_living_process_needs() {
        let broken =
            |name: Option<&str>| Entry::Broken { name: name.map(str::to_owned), error: String::new() };
        let entries = || {
            vec![Entry::Sound(running("acme")), broken(Some("globex")), broken(None), Entry::Sound(orphan())]
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(all(entries(), |_| None), (names(&["acme", "globex", "orphan"]), vec![]));
        let of_orphan = |instance: &Instance| (instance.name == "orphan").then_some(4711);
        let needed = vec![("orphan".to_owned(), 4711)];
        assert_eq!(all(entries(), of_orphan), (names(&["acme", "globex"]), needed));
    }

    #[test]
    fn a_name_that_is_typed_twice_is_taken_down_once() {
        let names = ["acme", "globex", "acme"].map(str::to_owned).to_vec();
        assert_eq!(once(names), ["acme", "globex"]);
    }

    #[test]
    fn everything_that_was_removed_is_listed_layer_by_layer() {
        let sightings = ["container homelab-0f.acme.acme-main", "link hl-0123456789"].map(str::to_owned);
        use Removed::{Context, Entry, Folder, Marker, Names, Nodes, Trust};
        let all = [Marker, Context, Trust, Nodes, Folder, Names, Entry];
        let known = listed(&all, Some(&running("acme")), &sightings);
        insta::assert_snapshot!(format!("{known}without an entry:\n{}", listed(&all, None, &[])));
    }
}
