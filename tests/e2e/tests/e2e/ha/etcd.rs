//! Members of etcd, asked over the gRPC gateway of one member.

use std::time::Duration;

use anyhow::{Context, ensure};
use provisioner::exec::Command;
use provisioner::node::Node;
use provisioner::plan::ClusterPlan;

/// Fails unless a control plane's etcd lists all control planes as voting members. The list is linearizable, so this
/// member takes part in the majority.
pub(crate) async fn has_all_members(node: &Node, plan: &ClusterPlan) -> anyhow::Result<()> {
    let mut planned: Vec<&str> = plan.control_planes().map(|node| node.name.as_str()).collect();
    planned.sort_unstable();
    let members = members(node).await?;
    ensure!(members == planned, "etcd on {} has the members {members:?}", node.name());
    Ok(())
}

async fn members(node: &Node) -> anyhow::Result<Vec<String>> {
    const PKI: &str = "/etc/kubernetes/pki/etcd";
    let ask = Command::within(Duration::from_secs(10), "wget")
        .args(["--quiet", "--timeout", "5", "--tries", "1", "--output-document", "-"])
        .args(["--ca-certificate", &format!("{PKI}/ca.crt")])
        .args(["--certificate", &format!("{PKI}/healthcheck-client.crt")])
        .args(["--private-key", &format!("{PKI}/healthcheck-client.key")])
        .args(["--post-data", "{\"linearizable\": true}", "https://127.0.0.1:2379/v3/cluster/member/list"]);
    let answer: serde_json::Value = serde_json::from_str(&node.run(&ask).await?.text())?;
    let members = answer["members"].as_array().context("etcd's answer has no members")?.iter();
    let voting = members.filter(|member| member["isLearner"] != true);
    // A member that has never started has no name.
    let mut names: Vec<String> =
        voting.map(|member| member["name"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}
