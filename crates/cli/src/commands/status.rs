//! `homelab status NAME`: one instance as it was planned, as its cluster sees itself, as the host has it.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use provisioner::error::chain;
use provisioner::exec::Command;
use provisioner::node::Node;
use provisioner::plan::{API_PORT, ClusterPlan, Role};
use serde::Serialize;

use super::instance::{InstanceView, uptime};
use super::name;
use crate::app::App;
use crate::args::Format;
use crate::exit::{CliError, Exit};
use crate::table::table;
use crate::words;

/// Look at one instance
///
/// Shows what was planned, whether its nodes are Ready, and what this host really has of it. Works on a
/// broken cluster, too: what cannot be found out is said. Without root the nodes cannot be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab status acme
  sudo homelab status acme --format json | jq '.nodes[] | select(.ready != true)'")]
pub(crate) struct Status {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Status {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let plan = ClusterPlan::of(&instance, app.home());
        let now = Timestamp::now();
        let mut problems = Vec::new();
        let ready = match app.provisioner.attach(&self.name).await {
            Ok(cluster) => match cluster.nodes.first() {
                Some(first) => readiness(first).await,
                None => Ok(HashMap::new()),
            },
            Err(error) => Err(chain(&error)),
        };
        let ready = ready.unwrap_or_else(|error| {
            problems.push(error);
            HashMap::new()
        });
        let sightings = match app.provisioner.engine().sightings().await {
            Ok(sightings) => {
                sightings.iter().filter(|one| one.instance == self.name).map(ToString::to_string).collect()
            }
            Err(error) => {
                problems.push(chain(&error));
                Vec::new()
            }
        };
        let kubeconfig = app.home().isolated_kubeconfig(&self.name);
        let view = StatusView {
            version: 1,
            instance: InstanceView::of(&instance, instance.is_abandoned(), now),
            api: format!("https://{}:{API_PORT}", plan.api_address),
            api_name: plan.api_name.clone(),
            kubeconfig: kubeconfig.exists().then(|| words::own_path(&kubeconfig)),
            nodes: nodes(&plan, &ready),
            on_this_host: sightings,
            problems,
        };
        app.printer.result(&match self.format {
            Format::Text => text(&view, uptime(&instance, now)),
            Format::Json => super::json(&view),
        });
        Ok(Exit::Ok)
    }
}

/// What `--format json` prints, and the text is made of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    version: u32,
    instance: InstanceView,
    api: String,
    api_name: String,
    kubeconfig: Option<String>,
    nodes: Vec<NodeView>,
    on_this_host: Vec<String>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeView {
    name: String,
    role: &'static str,
    address: String,
    pod_cidr: String,
    /// None when nobody could be asked.
    ready: Option<bool>,
}

fn nodes(plan: &ClusterPlan, ready: &HashMap<String, bool>) -> Vec<NodeView> {
    let view = |node: &provisioner::plan::NodePlan| NodeView {
        name: node.name.clone(),
        role: match node.role {
            Role::ControlPlane => "control-plane",
            Role::Worker => "worker",
        },
        address: node.address.to_string(),
        pod_cidr: node.pod_cidr.to_string(),
        ready: ready.get(&node.name).copied(),
    };
    plan.nodes.iter().map(view).collect()
}

/// Asks the cluster itself, through its first node. A node that it does not know is in no answer.
async fn readiness(first: &Node) -> Result<HashMap<String, bool>, String> {
    let columns = "custom-columns=:.metadata.name,:.status.conditions[?(@.type=='Ready')].status";
    let kubectl = Command::within(Duration::from_secs(10), "kubectl")
        .args(["--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=5s", "get", "nodes"])
        .args(["--no-headers", "--output", columns]);
    let output = first.run(&kubectl).await.map_err(|error| chain(&error))?;
    Ok(parse_readiness(&output.text()))
}

fn parse_readiness(text: &str) -> HashMap<String, bool> {
    let parse = |line: &str| {
        let (name, status) = line.trim().split_once(char::is_whitespace)?;
        Some((name.to_owned(), status.trim() == "True"))
    };
    text.lines().filter_map(parse).collect()
}

fn text(view: &StatusView, uptime: Option<i64>) -> String {
    let pair = |key: &str, value: &str| vec![key.to_owned(), value.to_owned()];
    let instance = &view.instance;
    let since = uptime.map(|seconds| format!(" for {}", words::uptime(seconds))).unwrap_or_default();
    let mut text = table(&[
        pair("instance", &instance.name),
        pair("status", &format!("{}{since}", instance.status)),
        pair("kubernetes", &format!("{}, {}", instance.kubernetes, instance.topology)),
        pair("subnet", &instance.subnet),
        pair("pods", &instance.pod_cidr),
        pair("services", &instance.service_cidr),
        pair("api", &format!("{}  {}", view.api, view.api_name)),
        pair("context", &instance.context),
        pair("kubeconfig", view.kubeconfig.as_deref().unwrap_or("-")),
    ]);
    let header = ["NODE", "ROLE", "ADDRESS", "PODS", "READY"].map(str::to_owned).to_vec();
    let rows = view.nodes.iter().map(|node| {
        let ready = match node.ready {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let cells = [&node.name, node.role, &node.address, &node.pod_cidr, ready];
        cells.map(str::to_owned).to_vec()
    });
    text.push('\n');
    text.push_str(&table(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    for (title, lines) in [("on this host", &view.on_this_host), ("problems", &view.problems)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.extend(lines.iter().map(|line| format!("  {}\n", line.replace('\n', "\n  "))));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_read_from_two_columns() {
        let ready = parse_readiness("acme-cp-1   True\nacme-w-1    Unknown\n");
        assert_eq!(ready, HashMap::from([("acme-cp-1".to_owned(), true), ("acme-w-1".to_owned(), false)]));
    }

    #[test]
    fn a_status_shows_plan_nodes_host_and_problems() {
        let instance = serde_json::from_value(serde_json::json!({
            "name": "acme", "subnet": "192.168.60.0/24", "tldPrefix": "acme",
            "createdAt": "2026-11-18T00:00:00Z", "topology": "k8s-multi", "workers": 1,
            "engine": "container", "durability": "durable", "state": "running", "owner": null,
            "k8s": {
                "distribution": "kubeadm", "version": "v1.36.3", "podCidr": "10.244.0.0/16",
                "serviceCidr": "10.96.0.0/16", "kubeconfigContext": "acme",
                "caName": "HomeLab CA - acme", "cni": "routed",
            },
        }));
        let instance = instance.expect("an entry as the registry writes it");
        let plan = ClusterPlan::of(&instance, &provisioner::home::Home::at("/root/.homelab"));
        let view = StatusView {
            version: 1,
            instance: InstanceView::of(&instance, false, "2026-11-18T03:22:00Z".parse().expect("a time")),
            api: format!("https://{}:{API_PORT}", plan.api_address),
            api_name: plan.api_name.clone(),
            kubeconfig: Some("~/.homelab/instances/acme/kubeconfig".to_owned()),
            nodes: nodes(&plan, &parse_readiness("acme-cp-1 True")),
            on_this_host: vec!["link hl-0123456789".to_owned()],
            problems: vec!["node acme-w-1 does not run".to_owned()],
        };
        insta::assert_snapshot!(text(&view, Some(12_120)));
    }
}
