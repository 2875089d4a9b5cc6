//! `homelab instance list`: what runs here, by the registry alone.

use clap::Args;
use jiff::Timestamp;
use provisioner::registry::{Entry, Instance};

use super::view::{ListView, status, uptime};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::table::table;
use crate::values::Format;
use crate::words;

/// List the instances of this host
///
/// Reads the registry and asks nobody else, so it takes milliseconds and needs no root. An entry that cannot
/// be understood is shown with its error; an instance whose owner died is abandoned. `homelab status NAME` looks
/// at the cluster itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab instance list
  homelab instance list --format json | jq -r '.instances[].name'")]
pub(crate) struct List {
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let entries = app.provisioner.registry().list()?;
        let now = Timestamp::now();
        match self.format {
            Format::Text => {
                app.printer.result(&text(&entries, Instance::is_abandoned, now));
                if entries.is_empty() {
                    app.printer.hint("there are no instances yet: `homelab up NAME` makes one");
                }
            }
            Format::Json => {
                app.printer.result(&json(&ListView::of(&entries, Instance::is_abandoned, now)));
            }
        }
        Ok(Exit::Ok)
    }
}

/// `abandoned` says whose owner is dead. Pure otherwise.
pub(super) fn text(entries: &[Entry], abandoned: impl Fn(&Instance) -> bool, now: Timestamp) -> String {
    let header = ["NAME", "TOPOLOGY", "SUBNET", "STATUS", "UPTIME"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| match entry {
        Entry::Sound(instance) => vec![
            instance.name.clone(),
            instance.topology.to_string(),
            words::octets(instance.subnet),
            status(instance, abandoned(instance)),
            uptime(instance, now).map_or_else(|| "-".to_owned(), words::uptime),
        ],
        Entry::Broken { name, error } => {
            let name = name.clone().unwrap_or_else(|| "?".to_owned());
            let dash = || "-".to_owned();
            vec![name, dash(), dash(), "broken".to_owned(), dash(), error.clone()]
        }
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}
