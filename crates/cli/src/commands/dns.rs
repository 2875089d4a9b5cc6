//! `homelab dns …`: lists, records and removes the DNS names of instances on this host.

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

/// The verbs of `homelab dns`.
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

/// List the DNS names of instances, and whether this host has them
///
/// Every instance of `homelab up` has its own DNS suffix: api.acme.lab resolves to its API server; acme.lab and every
/// other name below it resolve to the node where NodePorts answer. RECORDS shows `recorded`, or what is wrong:
/// `missing`, `outdated`, `stale` (it belongs to no instance) or `damaged`. Needs no root.
///
/// A hosts file has no wildcards: with /etc/hosts, only api.acme.lab, acme.lab and the labels in ~/.homelab/config.yaml
/// resolve. With dnsmasq, every name below the suffix resolves.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab dns list
  homelab dns list --format json | jq -r '.names[] | select(.state != \"recorded\").instance'
  getent hosts api.acme.lab                          what this host really resolves")]
pub(crate) struct List {
    /// Output format
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

/// Record the DNS names of all instances, and remove stale ones
///
/// Records names that are missing or outdated, and removes names that belong to no instance. Foreign lines never
/// change. If a foreign line has one of the names with another address, the names of that instance are refused and the
/// line is named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab dns sync      after a backup of /etc/hosts was restored
  homelab dns list           what is missing, outdated or stale")]
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
            None if synced.changes.is_empty() => {
                app.printer.done("no instance has DNS names on this host");
            }
            None => {}
        }
        if failed.is_empty() { Ok(Exit::Ok) } else { Err(Refusal::Unrecorded { instances: failed }.into()) }
    }
}

/// Remove the DNS names of one instance from this host
///
/// The instance itself does not change. `homelab down` removes the names of an instance, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab dns remove acme
  sudo homelab dns sync             records them again")]
pub(crate) struct Remove {
    /// Name of the instance
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
                app.printer.done(&format!("no names of '{}' are recorded", self.name));
            }
        }
        Ok(Exit::Ok)
    }
}

/// Fails if the file or folder of the names cannot be written and this process is not root. The hint is the same
/// command line through sudo.
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
        Effect::AfterRestart => app
            .printer
            .hint("`sudo systemctl restart dnsmasq`: dnsmasq reads its drop-ins only when it starts"),
    }
}

fn changed(instance: &str, change: Change) -> String {
    let what = match change {
        Change::Recorded => "names are recorded",
        Change::Unchanged => "names were recorded already",
        Change::Removed => "names are removed: they belong to no instance",
    };
    format!("{instance}  {what}")
}
