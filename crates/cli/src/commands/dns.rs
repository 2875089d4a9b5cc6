//! `homelab dns …`: the names of instances on this host.

use clap::{Args, Subcommand};
use provisioner::dns::{Dns, DnsError, Effect, Recorded};
use provisioner::error::chain;
use provisioner::{Change, Names, NamesChange, NamesState};
use serde::Serialize;

use super::name;
use crate::app::App;
use crate::args::Format;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::sudo;
use crate::table::table;
use crate::words;

/// Verbs over names.
#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    List(List),
    Sync(Sync),
    Remove(Remove),
}

impl DnsCommand {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::List(verb) => verb.run(app),
            Self::Sync(verb) => verb.run(app).await,
            Self::Remove(verb) => verb.run(app).await,
        }
    }
}

/// List the names of instances, as they should be and as they are
///
/// Every instance that `homelab up` made has a suffix of its own: api.acme.lab leads to its API server,
/// acme.lab and every other name below it to the node where NodePorts answer. RECORDS says `recorded`, or what
/// is wrong: `missing`, `outdated`, `stale` (no instance explains it) or `damaged`. Needs no root.
///
/// In /etc/hosts only api.acme.lab and acme.lab itself resolve, because a hosts file knows no wildcards. With
/// dnsmasq every name below the suffix does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab dns list
  homelab dns list --format json | jq -r '.names[] | select(.state != \"recorded\").instance'
  getent hosts api.acme.lab                          what this host really answers")]
pub(crate) struct List {
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    fn run(self, app: &App) -> Result<Exit, CliError> {
        let names = app.provisioner.dns_list()?;
        let dns = app.provisioner.dns();
        match self.format {
            Format::Text => {
                app.printer.result(&text(&names));
                for hint in hints(&names, dns) {
                    app.printer.hint(&hint);
                }
            }
            Format::Json => app.printer.result(&super::json(&ListView::of(&names, dns))),
        }
        Ok(Exit::Ok)
    }
}

/// Make the recorded names those of the instances that exist
///
/// Records what is missing or outdated and removes what no instance explains. Lines of others are never
/// touched; a name that somebody else's line leads elsewhere is refused, with that line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab dns sync      after a backup of /etc/hosts was restored
  homelab dns list           what it would do")]
pub(crate) struct Sync {}

impl Sync {
    async fn run(self, app: &App) -> Result<Exit, CliError> {
        must_be_writable(app)?;
        let synced = app.provisioner.dns_sync().await?;
        let mut failed = Vec::new();
        for NamesChange { instance, outcome } in &synced.changes {
            match outcome {
                Ok(change) => app.printer.done(&changed(instance, *change)),
                Err(error) => {
                    app.printer.line(Mark::Bad, &format!("{instance}: {}", chain(error)));
                    error.hint().into_iter().for_each(|hint| app.printer.hint(&hint));
                    failed.push(instance.clone());
                }
            }
        }
        match synced.effect {
            Some(effect) => say(app, effect?),
            None if synced.changes.is_empty() => app.printer.line(Mark::Good, "no instance has names here"),
            None => {}
        }
        if failed.is_empty() { Ok(Exit::Ok) } else { Err(CliError::Unrecorded { instances: failed }) }
    }
}

/// Remove the names of one instance from this host
///
/// The instance itself stays as it is, if there is one; `homelab down` removes its names anyway.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab dns remove acme
  sudo homelab dns sync             records them again")]
pub(crate) struct Remove {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
}

impl Remove {
    async fn run(self, app: &App) -> Result<Exit, CliError> {
        must_be_writable(app)?;
        match app.provisioner.dns_remove(&self.name).await? {
            Some(effect) => {
                app.printer.done(&format!("{}  names are removed", self.name));
                say(app, effect);
            }
            None => app.printer.line(Mark::Good, &format!("no names of '{}' are recorded", self.name)),
        }
        Ok(Exit::Ok)
    }
}

/// Refuses to begin where the first write would fail, and says what to type instead.
fn must_be_writable(app: &App) -> Result<(), CliError> {
    let dns = app.provisioner.dns();
    match dns.place() {
        Some(place) if !dns.is_writable() && !rustix::process::geteuid().is_root() => {
            Err(CliError::NotWritable { path: place.to_owned(), command: sudo::command_from_env() })
        }
        _ => Ok(()),
    }
}

fn say(app: &App, effect: Effect) {
    match effect {
        Effect::AtOnce => {}
        Effect::Restarted => app.printer.line(Mark::Good, "dnsmasq is restarted"),
        Effect::AfterRestart => {
            app.printer.hint("restart dnsmasq (`systemctl restart dnsmasq`): it reads its drop-ins only then")
        }
    }
}

fn changed(instance: &str, change: Change) -> String {
    let what = match change {
        Change::Recorded => "names are recorded",
        Change::Unchanged => "names were recorded already",
        Change::Removed => "names are removed: no instance explains them",
    };
    format!("{instance}  {what}")
}

fn text(names: &[Names]) -> String {
    let header = ["NAME", "SUFFIX", "API", "WORKLOADS", "RECORDS"].map(str::to_owned).to_vec();
    let rows = names.iter().map(|one| {
        let dash = || "-".to_owned();
        let view = NameView::of(one);
        let cells = [Some(view.instance), view.suffix, view.api, view.workloads, Some(view.state)];
        let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(dash));
        cells.chain(view.problem).collect()
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// What to do about what the list shows.
fn hints(names: &[Names], dns: &Dns) -> Vec<String> {
    let mut hints = Vec::new();
    if names.iter().any(|one| !matches!(one.state(), NamesState::Recorded | NamesState::Damaged)) {
        hints.push("`sudo homelab dns sync` makes the records what they should be".to_owned());
    }
    match dns {
        Dns::None => {
            hints.push("no DNS provider is chosen: names resolve inside the clusters only".to_owned())
        }
        Dns::Hosts { file, .. } if !names.is_empty() => hints.push(format!(
            "{} knows no wildcards: choose dnsmasq for every name below a suffix (`homelab dns --help`)",
            words::own_path(file)
        )),
        Dns::Hosts { .. } | Dns::Dnsmasq { .. } => {}
    }
    hints
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct ListView {
    version: u32,
    provider: &'static str,
    place: Option<String>,
    names: Vec<NameView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NameView {
    instance: String,
    suffix: Option<String>,
    api: Option<String>,
    workloads: Option<String>,
    state: String,
    recorded_in: Option<String>,
    problem: Option<String>,
}

impl ListView {
    fn of(names: &[Names], dns: &Dns) -> Self {
        let provider = match dns {
            Dns::Hosts { .. } => "hosts",
            Dns::Dnsmasq { .. } => "dnsmasq",
            Dns::None => "none",
        };
        let place = dns.place().map(ToString::to_string);
        Self { version: 1, provider, place, names: names.iter().map(NameView::of).collect() }
    }
}

impl NameView {
    fn of(names: &Names) -> Self {
        let (found, place, why) = match &names.recorded {
            Some(Recorded::Sound { records, place }) => (Some(records), Some(place), None),
            Some(Recorded::Damaged { place, why, .. }) => (None, Some(place), Some(why)),
            None => (None, None, None),
        };
        let records = names.wanted.as_ref().or(found);
        Self {
            instance: names.instance.clone(),
            suffix: records.map(|records| records.suffix.clone()),
            api: records.map(|records| records.api_address.to_string()),
            workloads: records.map(|records| records.workload_address.to_string()),
            state: names.state().to_string(),
            recorded_in: place.cloned(),
            problem: why.zip(place).map(|(why, place)| format!("{place}: {why}")),
        }
    }
}

/// Names that somebody else has are a wrong wish; all else is the host.
pub(crate) fn exit(error: &DnsError) -> Exit {
    match error {
        DnsError::Taken { .. } | DnsError::Claimed { .. } => Exit::Usage,
        DnsError::File { .. } | DnsError::Damaged { .. } | DnsError::Restart(_) => Exit::CouldNotRun,
    }
}

#[cfg(test)]
mod tests {
    use provisioner::dns::Records;
    use provisioner::plan::InstanceId;

    use super::*;

    fn records(name: &str, third: u8) -> Records {
        Records {
            id: InstanceId { home: "012345".to_owned(), name: name.to_owned() },
            suffix: format!("{name}.lab"),
            api_address: [192, 168, third, 10].into(),
            workload_address: [192, 168, third, 21].into(),
        }
    }

    fn some() -> Vec<Names> {
        let place = |line: u8| format!("/etc/hosts:{line}");
        let sound = |records, line| Some(Recorded::Sound { records, place: place(line) });
        let damaged =
            Recorded::Damaged { instance: "torn".to_owned(), place: place(9), why: "it has no end" };
        let names = |name: &str, wanted, recorded| Names { instance: name.to_owned(), wanted, recorded };
        vec![
            names("acme", Some(records("acme", 60)), sound(records("acme", 60), 6)),
            names("globex", Some(records("globex", 61)), sound(records("globex", 99), 12)),
            names("personal", Some(records("personal", 62)), None),
            names("gone", None, sound(records("gone", 63), 18)),
            names("torn", None, Some(damaged)),
        ]
    }

    #[test]
    fn the_list_shows_what_should_be_and_what_is_wrong_and_what_to_do() {
        let names = some();
        let hints = hints(&names, &Dns::etc_hosts()).join("\n");
        insta::assert_snapshot!(format!("{}{hints}", text(&names)));
    }

    #[test]
    fn programs_get_every_field_by_name() {
        insta::assert_json_snapshot!(ListView::of(&some(), &Dns::etc_hosts()));
    }

    #[test]
    fn where_all_is_well_only_the_limits_of_the_provider_are_told() {
        let names = &some()[..1];
        let dnsmasq = Dns::Dnsmasq { folder: "/etc/dnsmasq.d".into(), restart: None };
        assert_eq!(hints(names, &dnsmasq), [""; 0]);
        assert_eq!(hints(names, &Dns::etc_hosts()).len(), 1);
        assert_eq!(hints(&[], &Dns::etc_hosts()), [""; 0]);
    }
}
