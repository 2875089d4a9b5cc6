//! What `status` prints, for people and for programs. Pure.

use provisioner::cni::Health;
use provisioner::plan::{ClusterPlan, Role};
use serde::Serialize;

use super::certificates::CertificateView;
use super::findings::Seen;
use crate::commands::instance::InstanceView;
use crate::table::table;
use crate::words;

/// `homelab status NAME --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusView {
    /// The version of this format.
    pub(super) version: u32,
    /// The instance as `homelab instance list` shows it.
    pub(super) instance: InstanceView,
    /// The URL of its API server, `https://<address>:6443`.
    pub(super) api: String,
    /// The DNS name of that address on this host.
    pub(super) api_name: String,
    /// The path of the kubeconfig with this instance only; null if there is none.
    pub(super) kubeconfig: Option<String>,
    /// Its nodes as planned, the first control plane first.
    pub(super) nodes: Vec<NodeView>,
    /// The nodes and networks of it that this host has; empty if the engine could not be asked.
    pub(super) on_this_host: Vec<String>,
    /// Its certificates: those on this host, and those on its nodes if the nodes could be asked.
    pub(super) certificates: Vec<CertificateView>,
    /// Findings that are worth knowing and no problem.
    pub(super) notes: Vec<String>,
    /// Problems. The command ends with 7 if there is any, and with 0 otherwise.
    pub(super) problems: Vec<String>,
}

/// A node as planned, and as it is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeView {
    /// Its name, `acme-w-1`.
    pub(super) name: String,
    /// `control-plane` or `worker`.
    pub(super) role: &'static str,
    /// Its address in the instance's network.
    pub(super) address: String,
    /// The CIDR of its pods' addresses.
    pub(super) pod_cidr: String,
    /// Whether Kubernetes reports it Ready; null if the cluster could not be asked.
    pub(super) ready: Option<bool>,
    /// Whether the pod network's agent on it is healthy; null if the agent could not be asked, or if the pod network
    /// has no agents.
    pub(super) agent: Option<bool>,
    /// Whether it is cordoned, so that it gets no new pods; null if the cluster could not be asked.
    pub(super) cordoned: Option<bool>,
    /// Whether it is being added or removed.
    pub(super) in_transit: bool,
}

/// The nodes of the plan, with the answers about them.
pub(super) fn nodes(plan: &ClusterPlan, on_their_way: &[String], seen: &Seen) -> Vec<NodeView> {
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

/// The status as text. `uptime` is in seconds.
pub(super) fn text(view: &StatusView, uptime: Option<i64>, first_end: Option<String>) -> String {
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
        pair("certificates", first_end.as_deref().unwrap_or("-")),
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
        let agent = word(node.agent, "healthy", "not healthy", "-");
        let cells = [&node.name, node.role, &node.address, &node.pod_cidr, ready, agent];
        cells.map(str::to_owned).to_vec()
    });
    text.push('\n');
    text.push_str(&table(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    for (title, lines) in
        [("on this host", &view.on_this_host), ("notes", &view.notes), ("problems", &view.problems)]
    {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.extend(lines.iter().map(|line| format!("  {}\n", line.replace('\n', "\n  "))));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use provisioner::plan::API_PORT;
    use provisioner::registry::Need;

    use super::super::certificates::{first_end, views};
    use super::super::findings::{Finding, sorted, transit};
    use super::super::{in_transit, parse_readiness};
    use super::*;

    #[test]
    fn a_status_shows_plan_nodes_host_and_problems() {
        let instance = serde_json::from_value(serde_json::json!({
            "name": "acme", "subnet": "192.168.60.0/24", "tldPrefix": "acme",
            "createdAt": "2026-11-18T00:00:00Z", "topology": "k8s-multi", "workers": [1], "transit": [2],
            "engine": "container", "state": "running", "keeper": "operator",
            "handling": { "fsync": true, "kubeconfig": true, "hostNames": true, "selfTest": false },
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
        let mut findings: Vec<Finding> = transit(&on_their_way, Need::Operator).into_iter().collect();
        findings.extend(seen.unwell());
        findings.push(Finding::Note("only root sees more".to_owned()));
        let (notes, problems) = sorted(findings);
        let dated = super::super::certificates::tests::some();
        let view = StatusView {
            version: 1,
            instance: InstanceView::of(
                &instance,
                provisioner::registry::ObservedState::AsRecorded,
                "2026-11-18T03:22:00Z".parse().expect("a time"),
            ),
            api: format!("https://{}:{API_PORT}", plan.api_address),
            api_name: plan.api_name.clone(),
            kubeconfig: Some("~/.homelab/instances/acme/kubeconfig".to_owned()),
            nodes: nodes(&plan, &on_their_way, &seen),
            on_this_host: vec!["link hl-0123456789".to_owned()],
            certificates: views(&dated, "2027-01-02T00:00:00Z".parse().expect("a time")),
            notes,
            problems,
        };
        insta::assert_snapshot!(text(&view, Some(12_120), first_end(&dated)));
        crate::commands::instance::tests::published("status.json", &[view]);
    }
}
