//! `homelab instance list`: lists the entries of the registry.

use clap::Args;
use jiff::Timestamp;
use provisioner::registry::{Entry, Instance, ObservedState};

use super::view::{ListView, status, uptime};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::table::table;
use crate::values::Format;
use crate::words;

/// List the instances of this host
///
/// Reads only the registry, so it takes milliseconds and needs no root. An entry that cannot be read is shown with its
/// error. An instance that `homelab reap` would remove is `abandoned`. An instance that ran before this host's last
/// reboot is `off`. `homelab status NAME` inspects the cluster itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab instance list
  homelab instance list --format json | jq -r '.instances[].name'")]
pub(crate) struct List {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let entries = app.provisioner.registry().list()?;
        let now = Timestamp::now();
        let standing = |instance: &Instance| instance.standing(app.home());
        match self.format {
            Format::Text => {
                app.printer.result(&text(&entries, standing, now));
                if let Some(hint) = hint(&entries, standing) {
                    app.printer.hint(&hint);
                }
            }
            Format::Json => {
                app.printer.result(&json(&ListView::of(&entries, standing, now)));
            }
        }
        Ok(Exit::Ok)
    }
}

/// The hint below the list: how to create the first instance, or how to start one that is off.
pub(super) fn hint(entries: &[Entry], standing: impl Fn(&Instance) -> ObservedState) -> Option<String> {
    let off = entries.iter().find_map(|entry| match entry {
        Entry::Sound(instance) if standing(instance) == ObservedState::Off => Some(&instance.name),
        _ => None,
    });
    match (entries, off) {
        ([], _) => Some("there are no instances yet: `sudo homelab up NAME` creates one".to_owned()),
        (_, Some(name)) => Some(format!(
            "{name} ran before this host's last reboot and is off: `sudo homelab start {name}` starts it with its data"
        )),
        _ => None,
    }
}

/// The list as a table. `standing` tells the state of each instance. Pure otherwise.
pub(super) fn text(
    entries: &[Entry],
    standing: impl Fn(&Instance) -> ObservedState,
    now: Timestamp,
) -> String {
    let header = ["NAME", "TOPOLOGY", "SUBNET", "STATUS", "UPTIME"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| match entry {
        Entry::Sound(instance) => vec![
            instance.name.clone(),
            instance.topology.to_string(),
            words::octets(instance.subnet),
            status(instance, standing(instance)),
            uptime(instance, standing(instance), now).map_or_else(|| "-".to_owned(), words::uptime),
        ],
        Entry::Broken { name, error } => {
            let name = name.clone().unwrap_or_else(|| "?".to_owned());
            let dash = || "-".to_owned();
            vec![name, dash(), dash(), "broken".to_owned(), dash(), error.clone()]
        }
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}
