//! `homelab dns …`: the names of instances on this host.

mod view;

use clap::{Args, Subcommand};
use provisioner::dns::Effect;
use provisioner::error::{Hint, chain};
use provisioner::{Change, NamesChange};

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::{Mark, json};
use crate::sudo;
use crate::values::{Format, name};

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
                app.printer.result(&view::text(&names));
                for hint in view::hints(&names, dns) {
                    app.printer.hint(&hint);
                }
            }
            Format::Json => app.printer.result(&json(&view::ListView::of(&names, dns))),
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
        if failed.is_empty() { Ok(Exit::Ok) } else { Err(Refusal::Unrecorded { instances: failed }.into()) }
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
            None => {
                app.find(&self.name)?;
                app.printer.line(Mark::Good, &format!("no names of '{}' are recorded", self.name));
            }
        }
        Ok(Exit::Ok)
    }
}

/// Refuses to begin where the first write would fail, and says what to type instead.
fn must_be_writable(app: &App) -> Result<(), CliError> {
    let dns = app.provisioner.dns();
    match dns.place() {
        Some(place) if !dns.is_writable() && !rustix::process::geteuid().is_root() => {
            Err(Refusal::NotWritable { path: place.to_owned(), command: sudo::command_from_env() }.into())
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
