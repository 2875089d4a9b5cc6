//! `homelab status NAME`: shows the plan of one instance, what its cluster reports, and what the host has of it.

mod certificates;
mod findings;
mod view;

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use jiff::Timestamp;
use provisioner::cni::{self, Health};
use provisioner::error::chain;
use provisioner::kubernetes::kubectl_as_admin;
use provisioner::node::Nodes;
use provisioner::plan::{API_PORT, ClusterPlan};
use provisioner::registry::ObservedState;

use super::instance::{InstanceView, uptime};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::guard;
use crate::printer::json;
use crate::sudo;
use crate::values::{Format, name};
use crate::words;

use certificates::{ending, first_end, views};
use findings::{Finding, Readiness, Seen, recorded, sorted, transit, unattached, unready};
use view::{StatusView, nodes, text};

/// Show the state of one instance
///
/// Shows the plan, whether the nodes are Ready, and which nodes and networks of the instance this host has. Works on a
/// broken cluster, too: what cannot be found out is reported. As root, the command first restores the host guard if
/// that is not intact, and reports it. Without root, it can inspect neither the nodes nor the guard's rules. A
/// certificate that has ended, or ends within 30 days, is a problem.
///
/// Ends with exit code 7 if there are problems, else with 0. A paused or halted instance is no problem.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab status acme
  sudo homelab status acme --format json | jq '.nodes[] | select(.ready != true)'")]
pub(crate) struct Status {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Status {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let plan = ClusterPlan::of(&instance.with_transit(), app.home());
        let now = Timestamp::now();
        let on_their_way = in_transit(&plan, &ClusterPlan::of(&instance, app.home()));
        let mut findings = host_guard(app).await;
        let need = instance.need(app.home());
        findings.extend(transit(&on_their_way, need));
        if instance.standing(app.home()) == ObservedState::Off {
            findings.push(Finding::Problem(format!(
                "it ran before this host's last reboot and is off: `sudo homelab start {}` starts it with its data",
                self.name
            )));
        }
        findings.extend(recorded(&instance, need));
        let mut dated = app.provisioner.dated_on_host(&instance);
        let (mut seen, mut on_this_host) = (Seen::default(), Vec::new());
        if rustix::process::geteuid().is_root() {
            match app.provisioner.attach(&self.name).await {
                Ok(cluster) => {
                    let (ready, health, on_nodes) = tokio::join!(
                        readiness(&cluster.nodes),
                        health(&plan, &cluster.nodes),
                        app.provisioner.dated_on_nodes(&cluster.nodes),
                    );
                    match on_nodes {
                        Ok(on_nodes) => dated.extend(on_nodes),
                        Err(error) => findings.push(Finding::Problem(chain(&error))),
                    }
                    match ready {
                        Ok(ready) => {
                            findings.extend(unready(&plan, &on_their_way, &ready));
                            seen.ready = ready;
                        }
                        Err(error) => findings.push(Finding::Problem(error)),
                    }
                    seen.health = health;
                }
                Err(error) => findings.push(unattached(&instance, &error)),
            }
            findings.extend(seen.unwell());
            match app.provisioner.engines().sightings_of(Some(instance.engine)).await {
                Ok(sightings) => {
                    let ours = sightings.iter().filter(|one| one.instance == self.name);
                    on_this_host = ours.map(ToString::to_string).collect();
                }
                Err(error) => findings.push(Finding::Problem(chain(&error))),
            }
        } else {
            let command = sudo::command_from_env();
            findings.push(Finding::Note(format!(
                "only root can inspect its nodes, and what this host has of it: `{command}`"
            )));
        }
        findings.extend(ending(&instance, &dated, now));
        let (notes, problems) = sorted(findings);
        let exit = if problems.is_empty() { Exit::Ok } else { Exit::Problems };
        let kubeconfig = app.home().isolated_kubeconfig(&self.name);
        let view = StatusView {
            version: 1,
            instance: InstanceView::of(&instance, instance.standing(app.home()), now),
            api: format!("https://{}:{API_PORT}", plan.api_address),
            api_name: plan.api_name.clone(),
            kubeconfig: kubeconfig.exists().then(|| words::own_path(&kubeconfig)),
            nodes: nodes(&plan, &on_their_way, &seen),
            on_this_host,
            certificates: views(&dated, now),
            notes,
            problems,
        };
        app.printer.result(&match self.format {
            Format::Text => {
                text(&view, uptime(&instance, instance.standing(app.home()), now), first_end(&dated))
            }
            Format::Json => json(&view),
        });
        Ok(exit)
    }
}

/// The problems of the host guard. As root, the guard is restored first, and what differed is reported all the same.
async fn host_guard(app: &App) -> Vec<Finding> {
    let mut problems = guard::keep(app).await;
    problems.extend(guard::problems(&app.provisioner.look_at_guard().await));
    problems.into_iter().map(Finding::Problem).collect()
}

/// The names of the nodes in transit: those of the plan that are being added or removed.
fn in_transit(plan: &ClusterPlan, settled: &ClusterPlan) -> Vec<String> {
    let moving = plan.nodes.iter().filter(|node| !settled.nodes.contains(node));
    moving.map(|node| node.name.clone()).collect()
}

/// Asks the cluster for its nodes, through the first one. A node that the cluster does not know is not in the result.
async fn readiness(nodes: &Nodes) -> Result<HashMap<String, Readiness>, String> {
    let columns =
        "custom-columns=:.metadata.name,:.status.conditions[?(@.type=='Ready')].status,:.spec.unschedulable";
    let kubectl = kubectl_as_admin(Duration::from_secs(10))
        .args(["--request-timeout=5s", "get", "nodes"])
        .args(["--no-headers", "--output", columns]);
    let output = nodes.first.run(&kubectl).await.map_err(|error| chain(&error))?;
    Ok(parse_readiness(&output.text()))
}

/// Asks the pod network's agent on each node.
async fn health(plan: &ClusterPlan, nodes: &Nodes) -> HashMap<String, Health> {
    let network = cni::of(plan);
    let asked = nodes.iter().map(|node| async { (node.name().to_owned(), network.health(node).await) });
    join_all(asked).await.into_iter().collect()
}

/// Parses the columns of [`readiness`]: name, Ready, cordoned.
fn parse_readiness(text: &str) -> HashMap<String, Readiness> {
    let parse = |line: &str| {
        let mut columns = line.split_whitespace();
        let (name, ready, cordoned) = (columns.next()?, columns.next()?, columns.next()?);
        Some((name.to_owned(), Readiness { ready: ready == "True", cordoned: cordoned == "true" }))
    };
    text.lines().filter_map(parse).collect()
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
}
