//! `homelab status NAME`: one instance as it was planned, as its cluster sees itself, as the host has it.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use jiff::Timestamp;
use provisioner::AttachError;
use provisioner::cni::{self, Health};
use provisioner::engine::EngineError;
use provisioner::error::chain;
use provisioner::kubernetes::kubectl_as_admin;
use provisioner::node::Node;
use provisioner::plan::{API_PORT, ClusterPlan, Role};
use provisioner::registry::{Instance, State, Transit};
use serde::Serialize;

use super::instance::{InstanceView, uptime};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::table::table;
use crate::values::{Format, name};
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
        let plan = ClusterPlan::of(&instance.with_transit(), app.home());
        let now = Timestamp::now();
        let on_their_way = in_transit(&plan, &ClusterPlan::of(&instance, app.home()));
        let mut problems: Vec<String> =
            instance.transit.iter().map(|it| transit(&on_their_way, it)).collect();
        let mut seen = Seen::default();
        match app.provisioner.attach(&self.name).await {
            Ok(cluster) => {
                let (ready, health) = tokio::join!(readiness(&cluster.nodes), health(&plan, &cluster.nodes));
                seen.ready = ready.unwrap_or_else(|error| {
                    problems.push(error);
                    HashMap::new()
                });
                seen.health = health;
            }
            Err(error) => problems.push(at_rest(&instance, &error).unwrap_or_else(|| chain(&error))),
        }
        problems.extend(seen.unwell());
        let sightings = match app.provisioner.engines().sightings().await {
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
            nodes: nodes(&plan, &on_their_way, &seen),
            on_this_host: sightings,
            problems,
        };
        app.printer.result(&match self.format {
            Format::Text => text(&view, uptime(&instance, now)),
            Format::Json => json(&view),
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
    /// Whether the agent of its pod network says that all is well. None when nobody could be asked, and where the pod
    /// network has no agents.
    agent: Option<bool>,
    /// Whether new pods are kept from it. None when nobody could be asked.
    cordoned: Option<bool>,
    /// Whether it is on its way in or out.
    in_transit: bool,
}

/// What was found out about the nodes, by their names. A node of which nothing is known is in neither.
#[derive(Debug, Default)]
struct Seen {
    /// How it is, as the cluster says.
    ready: HashMap<String, Readiness>,
    /// How its agent of the pod network is.
    health: HashMap<String, Health>,
}

/// Whether a node runs pods, and takes new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Readiness {
    ready: bool,
    cordoned: bool,
}

impl Seen {
    /// The agents that are not well, in words.
    fn unwell(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .health
            .iter()
            .filter_map(|(node, health)| match health {
                Health::Bad(why) => Some(format!("the pod network's agent on {node} is not well: {why}")),
                Health::Good | Health::NoAgent => None,
            })
            .collect();
        lines.sort();
        lines
    }
}

/// The nodes on their way in or out, by their names: those of the plan that are not there for good.
fn in_transit(plan: &ClusterPlan, settled: &ClusterPlan) -> Vec<String> {
    let moving = plan.nodes.iter().filter(|node| !settled.nodes.contains(node));
    moving.map(|node| node.name.clone()).collect()
}

/// Why nobody can be asked of an instance that rests, and what to do about it.
fn at_rest(instance: &Instance, error: &AttachError) -> Option<String> {
    let name = &instance.name;
    match (instance.state, error) {
        (State::Paused, AttachError::Engine(EngineError::Absent { .. })) => {
            Some(format!("it is paused, its nodes get no processor: `homelab resume {name}` has it go on"))
        }
        (State::Halted, AttachError::Engine(EngineError::Absent { .. })) => {
            Some(format!("it is halted, its nodes are off: `homelab start {name}` starts it with its data"))
        }
        _ => None,
    }
}

/// What goes on with workers, or did not finish.
fn transit(workers: &[String], transit: &Transit) -> String {
    let workers = words::list(workers);
    match transit.owner.as_ref().filter(|owner| owner.is_alive()) {
        Some(owner) => format!("on the way in or out: {workers}; process {} sees to that", owner.pid),
        None => format!(
            "on the way in or out, and nobody sees to that: {workers}; the next add-worker, remove-worker or down \
             takes away what there is"
        ),
    }
}

fn nodes(plan: &ClusterPlan, on_their_way: &[String], seen: &Seen) -> Vec<NodeView> {
    let view = |node: &provisioner::plan::NodePlan| NodeView {
        name: node.name.clone(),
        role: match node.role {
            Role::ControlPlane => "control-plane",
            Role::Worker => "worker",
        },
        address: node.address.to_string(),
        pod_cidr: node.pod_cidr.to_string(),
        in_transit: on_their_way.contains(&node.name),
        cordoned: seen.ready.get(&node.name).map(|seen| seen.cordoned),
        ready: seen.ready.get(&node.name).map(|seen| seen.ready),
        agent: match seen.health.get(&node.name) {
            Some(Health::Good) => Some(true),
            Some(Health::Bad(_)) => Some(false),
            Some(Health::NoAgent) | None => None,
        },
    };
    plan.nodes.iter().map(view).collect()
}

/// Asks the cluster itself, through its first node. A node that it does not know is in no answer.
async fn readiness(nodes: &[Node]) -> Result<HashMap<String, Readiness>, String> {
    let Some(first) = nodes.first() else { return Ok(HashMap::new()) };
    let columns =
        "custom-columns=:.metadata.name,:.status.conditions[?(@.type=='Ready')].status,:.spec.unschedulable";
    let kubectl = kubectl_as_admin(Duration::from_secs(10))
        .args(["--request-timeout=5s", "get", "nodes"])
        .args(["--no-headers", "--output", columns]);
    let output = first.run(&kubectl).await.map_err(|error| chain(&error))?;
    Ok(parse_readiness(&output.text()))
}

/// Asks each node's own agent.
async fn health(plan: &ClusterPlan, nodes: &[Node]) -> HashMap<String, Health> {
    let network = cni::of(plan);
    let asked = nodes.iter().map(|node| async { (node.name().to_owned(), network.health(node).await) });
    join_all(asked).await.into_iter().collect()
}

fn parse_readiness(text: &str) -> HashMap<String, Readiness> {
    let parse = |line: &str| {
        let mut columns = line.split_whitespace();
        let (name, ready, cordoned) = (columns.next()?, columns.next()?, columns.next()?);
        Some((name.to_owned(), Readiness { ready: ready == "True", cordoned: cordoned == "true" }))
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
    let header = ["NODE", "ROLE", "ADDRESS", "PODS", "READY", "AGENT"].map(str::to_owned).to_vec();
    let rows = view.nodes.iter().map(|node| {
        let word = |asked: Option<bool>, yes, no, unasked| match asked {
            Some(true) => yes,
            Some(false) => no,
            None => unasked,
        };
        let ready = match (node.in_transit, node.cordoned) {
            (true, _) => "in transit",
            (false, Some(true)) => word(node.ready, "yes, cordoned", "no, cordoned", "unknown"),
            (false, _) => word(node.ready, "yes", "no", "unknown"),
        };
        let agent = word(node.agent, "well", "not well", "-");
        let cells = [&node.name, node.role, &node.address, &node.pod_cidr, ready, agent];
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
    fn readiness_is_read_from_three_columns() {
        let seen = parse_readiness("acme-cp-1   True   <none>\nacme-w-1    Unknown   true\n");
        let plane = ("acme-cp-1".to_owned(), Readiness { ready: true, cordoned: false });
        let worker = ("acme-w-1".to_owned(), Readiness { ready: false, cordoned: true });
        assert_eq!(seen, HashMap::from([plane, worker]));
    }

    #[test]
    fn what_rests_is_told_with_what_ends_it_and_any_other_error_stays_what_it_is() {
        let absent = AttachError::Engine(EngineError::Absent { node: "acme-main".to_owned() });
        let other = AttachError::Engine(EngineError::Preflight(Vec::new()));
        let at = |state, error| {
            at_rest(&Instance { state, ..crate::commands::instance::tests::running("acme") }, error)
        };
        let told = [State::Paused, State::Halted].map(|state| at(state, &absent).expect("it rests"));
        insta::assert_snapshot!(told.join("\n"), @r"
        it is paused, its nodes get no processor: `homelab resume acme` has it go on
        it is halted, its nodes are off: `homelab start acme` starts it with its data
        ");
        assert_eq!([at(State::Running, &absent), at(State::Paused, &other)], [None, None]);
    }

    #[test]
    fn a_status_shows_plan_nodes_host_and_problems() {
        let instance = serde_json::from_value(serde_json::json!({
            "name": "acme", "subnet": "192.168.60.0/24", "tldPrefix": "acme",
            "createdAt": "2026-11-18T00:00:00Z", "topology": "k8s-multi", "workers": [1], "transit": { "workers": [2], "owner": null },
            "engine": "container", "durability": "durable", "state": "running", "owner": null,
            "k8s": {
                "distribution": "kubeadm", "version": "v1.36.3", "podCidr": "10.244.0.0/16",
                "serviceCidr": "10.96.0.0/16", "kubeconfigContext": "acme",
                "caName": "HomeLab CA - acme", "cni": "routed",
            },
        }));
        let instance: provisioner::registry::Instance = instance.expect("an entry as the registry writes it");
        let home = provisioner::home::Home::at("/root/.homelab");
        let plan = ClusterPlan::of(&instance.with_transit(), &home);
        let on_their_way = in_transit(&plan, &ClusterPlan::of(&instance, &home));
        let health = [("acme-cp-1", Health::Good), ("acme-w-1", Health::Bad("no such map".to_owned()))];
        let health = health.map(|(node, health)| (node.to_owned(), health));
        let seen = Seen { ready: parse_readiness("acme-cp-1 True true"), health: health.into() };
        let view = StatusView {
            version: 1,
            instance: InstanceView::of(&instance, false, "2026-11-18T03:22:00Z".parse().expect("a time")),
            api: format!("https://{}:{API_PORT}", plan.api_address),
            api_name: plan.api_name.clone(),
            kubeconfig: Some("~/.homelab/instances/acme/kubeconfig".to_owned()),
            nodes: nodes(&plan, &on_their_way, &seen),
            on_this_host: vec!["link hl-0123456789".to_owned()],
            problems: [vec![transit(&on_their_way, instance.transit.as_ref().expect("one"))], seen.unwell()]
                .concat(),
        };
        insta::assert_snapshot!(text(&view, Some(12_120)));
    }
}
