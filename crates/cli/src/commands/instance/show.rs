//! `homelab instance show NAME`: shows everything that the registry records of one instance.

use clap::Args;
use jiff::Timestamp;
use provisioner::registry::Owner;

use super::view::{OwnerView, ShowView};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::table::table;
use crate::values::{Format, name};
use crate::words;

/// Show the registry entry of one instance
///
/// Shows networks, names, the keeper and the operation in progress. Reads only the registry, so it takes milliseconds
/// and needs no root. `homelab status NAME` inspects the cluster itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab instance show acme
  homelab instance show acme --format json | jq -r .instance.podCidr")]
pub(crate) struct Show {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Show {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let liveness = |owner: &Owner| owner.liveness(app.home());
        let view = ShowView::of(&instance, instance.standing(app.home()), liveness, Timestamp::now());
        app.printer.result(&match self.format {
            Format::Text => text(&view),
            Format::Json => json(&view),
        });
        Ok(Exit::Ok)
    }
}

/// The entry as a table. Pure.
pub(super) fn text(view: &ShowView) -> String {
    let instance = &view.instance;
    let since = instance.uptime_seconds.map(|seconds| format!(" for {}", words::uptime(seconds)));
    let status = match instance.status == view.state {
        true => format!("{}{}", view.state, since.unwrap_or_default()),
        false => format!("{}, recorded as {}", instance.status, view.state),
    };
    let keeper = view.owner.as_ref().map_or_else(
        || "operator, until `homelab down`".to_owned(),
        |owner| format!("test run, {}", process(owner)),
    );
    let operation = view.operation.as_ref().map_or_else(
        || "none".to_owned(),
        |it| format!("{} since {}, by {}", it.kind, it.since, process(&it.owner)),
    );
    let data = if view.fsync { "survives a power cut" } else { "is lost with a power cut" };
    let workers = match view.worker_numbers.as_slice() {
        [] => words::count(0, "worker"),
        numbers => format!("{}: {}", words::count(numbers.len(), "worker"), numbered(numbers)),
    };
    let transit = match view.workers_in_transit.as_slice() {
        [] => String::new(),
        numbers => format!("; being added or removed: {}", numbered(numbers)),
    };
    let size = view.size.as_ref().map_or_else(String::new, |size| {
        format!(", {} with {} MiB a node", words::count(size.cpus.into(), "processor"), size.memory_mib)
    });
    let management = view.management.clone();
    let rows = [
        ("instance", &instance.name),
        ("status", &status),
        ("keeper", &keeper),
        ("operation", &operation),
        ("claimed", &instance.created_at),
        ("topology", &format!("{}, {workers}{transit}", instance.topology)),
        ("kubernetes", &format!("{}, {}, {}", instance.kubernetes, view.distribution, instance.cni)),
        ("engine", &format!("{}{size}", instance.engine)),
        ("data", &data.to_owned()),
        ("subnet", &instance.subnet),
        ("pods", &instance.pod_cidr),
        ("services", &instance.service_cidr),
        ("names", &format!("*.{}", view.dns_suffix)),
        ("authority", &view.ca_name),
        ("context", &instance.context),
    ];
    let mut rows = rows.map(|(key, value)| vec![key.to_owned(), value.clone()]).to_vec();
    if let Some(management) = management {
        let place = rows.iter().position(|row| row[0] == "pods").unwrap_or(rows.len());
        rows.insert(place, vec!["management".to_owned(), management]);
    }
    table(&rows)
}

fn process(owner: &OwnerView) -> String {
    let how = match owner.alive {
        Some(true) => "which runs",
        Some(false) => "which has ended",
        None => "which may have ended, but that cannot be found out here",
    };
    format!("process {}, {how}", owner.pid)
}

fn numbered(workers: &[u8]) -> String {
    words::list(&workers.iter().map(|number| format!("w-{number}")).collect::<Vec<_>>())
}
