//! Every combination of versions, pod networks and topologies that is documented as tested.

use anyhow::ensure;
use harness::{MultiClusterFixture, PodRun};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use provisioner::error::chain;
use provisioner::request::matrix::{Combination, TESTED};
use provisioner::request::{ClusterSpec, Topology};

/// Runs the combinations of the table, two at a time, and reports all failures.
#[tokio::test]
async fn every_tested_combination_comes_up_and_resolves_names() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for pair in TESTED.chunks(2) {
        if let Err(error) = work(pair).await {
            let rows = pair.iter().map(ToString::to_string).collect::<Vec<_>>().join(" beside ");
            failures.push(format!("{rows}: {}", chain(error.as_ref())));
        }
    }
    ensure!(failures.is_empty(), "of {} combinations fail:\n{}", TESTED.len(), failures.join("\n"));
    Ok(())
}

/// Brings combinations up in parallel, checks the version of their nodes, resolves a service's name in a pod, and
/// removes them.
async fn work(rows: &[Combination]) -> anyhow::Result<()> {
    let names = ["acme", "globex"];
    rows.iter()
        .zip(names)
        .fold(MultiClusterFixture::builder(), |fixture, (row, name)| fixture.cluster(asked(row, name)))
        .run(async |fx| {
            for (row, name) in rows.iter().zip(names) {
                let cluster = fx.cluster(name);
                let nodes: Api<Node> = Api::all(cluster.client());
                for node in nodes.list(&ListParams::default()).await? {
                    let version = node.status.and_then(|status| Some(status.node_info?.kubelet_version));
                    ensure!(version.as_deref() == Some(row.kubernetes), "{row}: a node of {version:?}");
                }
                let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
                cluster.run_pod(lookup).await?.assert_success();
            }
            Ok(())
        })
        .await
}

fn asked(row: &Combination, name: &str) -> ClusterSpec {
    let workers = if row.topology == Topology::Single { 0 } else { 1 };
    let asked = ClusterSpec { cni: row.cni, ..ClusterSpec::new(name) };
    asked.kubernetes(row.kubernetes).topology(row.topology).workers(workers)
}
