//! `homelab instance list`: what runs here, by the registry alone.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use provisioner::registry::{Entry, Instance, State};
use serde::Serialize;

use crate::app::App;
use crate::args::Format;
use crate::exit::{CliError, Exit};
use crate::table::table;
use crate::words;

/// Verbs over instances.
#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    List(List),
}

impl InstanceCommand {
    pub(crate) fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::List(list) => list.run(app),
        }
    }
}

/// List the instances of this host
///
/// Reads the registry and asks nobody else, so it takes milliseconds and needs no root. An entry that cannot
/// be understood is shown with its error. `homelab status NAME` looks at the cluster itself.
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
    fn run(self, app: &App) -> Result<Exit, CliError> {
        let entries = app.provisioner.registry().list()?;
        let now = Timestamp::now();
        match self.format {
            Format::Text => {
                app.printer.result(&text(&entries, now));
                if entries.is_empty() {
                    app.printer.hint("there are no instances yet: `homelab up NAME` makes one");
                }
            }
            Format::Json => app.printer.result(&super::json(&ListView::of(&entries, now))),
        }
        Ok(Exit::Ok)
    }
}

fn text(entries: &[Entry], now: Timestamp) -> String {
    let header = ["NAME", "TOPOLOGY", "SUBNET", "STATUS", "UPTIME"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| match entry {
        Entry::Sound(instance) => vec![
            instance.name.clone(),
            instance.topology.to_string(),
            words::octets(instance.subnet),
            instance.state.to_string(),
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

/// Seconds since it was claimed, while it runs.
pub(crate) fn uptime(instance: &Instance, now: Timestamp) -> Option<i64> {
    (instance.state == State::Running).then(|| now.duration_since(instance.created_at).as_secs())
}

/// What `--format json` prints.
#[derive(Debug, Serialize)]
struct ListView {
    version: u32,
    instances: Vec<EntryView>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EntryView {
    Sound(Box<InstanceView>),
    Broken { name: Option<String>, status: &'static str, error: String },
}

/// An instance for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceView {
    pub(super) name: String,
    pub(super) topology: String,
    pub(super) workers: u8,
    pub(super) subnet: String,
    pub(super) status: String,
    pub(super) uptime_seconds: Option<i64>,
    pub(super) created_at: String,
    pub(super) tld_prefix: String,
    pub(super) kubernetes: String,
    pub(super) pod_cidr: String,
    pub(super) service_cidr: String,
    pub(super) context: String,
    pub(super) cni: String,
    pub(super) engine: String,
    pub(super) owner_pid: Option<u32>,
}

impl InstanceView {
    pub(crate) fn of(instance: &Instance, now: Timestamp) -> Self {
        Self {
            name: instance.name.clone(),
            topology: instance.topology.to_string(),
            workers: instance.workers,
            subnet: instance.subnet.to_string(),
            status: instance.state.to_string(),
            uptime_seconds: uptime(instance, now),
            created_at: instance.created_at.to_string(),
            tld_prefix: instance.tld_prefix.clone(),
            kubernetes: instance.k8s.version.clone(),
            pod_cidr: instance.k8s.pod_cidr.to_string(),
            service_cidr: instance.k8s.service_cidr.to_string(),
            context: instance.k8s.kubeconfig_context.clone(),
            cni: instance.k8s.cni.to_string(),
            engine: instance.engine.to_string(),
            owner_pid: instance.owner.as_ref().map(|owner| owner.pid),
        }
    }
}

impl ListView {
    fn of(entries: &[Entry], now: Timestamp) -> Self {
        let view = |entry: &Entry| match entry {
            Entry::Sound(instance) => EntryView::Sound(Box::new(InstanceView::of(instance, now))),
            Entry::Broken { name, error } => {
                EntryView::Broken { name: name.clone(), status: "broken", error: error.clone() }
            }
        };
        Self { version: 1, instances: entries.iter().map(view).collect() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An instance as the registry has it.
    pub(crate) fn running(name: &str) -> Instance {
        match instance(name, "k8s-single", 60, "running") {
            Entry::Sound(instance) => instance,
            broken @ Entry::Broken { .. } => panic!("{broken:?}"),
        }
    }

    fn instance(name: &str, topology: &str, third: u8, state: &str) -> Entry {
        let json = serde_json::json!({
            "name": name, "subnet": format!("192.168.{third}.0/24"), "tldPrefix": name,
            "createdAt": "2026-11-18T00:00:00Z", "topology": topology, "workers": 3,
            "engine": "container", "durability": "durable", "state": state, "owner": null,
            "k8s": {
                "distribution": "kubeadm", "version": "v1.36.3", "podCidr": format!("10.{third}.0.0/16"),
                "serviceCidr": format!("10.1{third}.0.0/16"), "kubeconfigContext": name,
                "caName": format!("HomeLab CA - {name}"), "cni": "routed",
            },
        });
        Entry::Sound(serde_json::from_value(json).expect("an entry as the registry writes it"))
    }

    fn some() -> Vec<Entry> {
        vec![
            instance("acme", "k8s-multi", 60, "running"),
            Entry::Broken { name: Some("globex".to_owned()), error: "missing field `subnet`".to_owned() },
            instance("personal", "k8s-single", 62, "creating"),
        ]
    }

    fn now() -> Timestamp {
        "2026-11-20T14:00:00Z".parse().expect("a time")
    }

    #[test]
    fn the_list_is_as_documented_and_shows_a_broken_entry_with_its_error() {
        insta::assert_snapshot!(text(&some(), now()));
    }

    #[test]
    fn programs_get_every_field_by_name() {
        insta::assert_json_snapshot!(ListView::of(&some(), now()));
    }
}
