//! Every combination that is said to be tested.

use anyhow::ensure;
use harness::{MultiClusterFixture, PodRun};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use provisioner::error::chain;
use provisioner::spec::matrix::{Combination, TESTED};
use provisioner::spec::{ClusterSpec, Topology};

/// One after the other, over the table itself; all that fail are named.
#[tokio::test]
async fn every_tested_combination_comes_up_and_resolves_names() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for row in TESTED {
        if let Err(error) = works(row).await {
            failures.push(format!("{row}: {}", chain(error.as_ref())));
        }
    }
    ensure!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), TESTED.len(), failures.join("\n"));
    Ok(())
}

/// Brings a combination up, asks its nodes for their version and a pod for a service's address, takes it down.
async fn works(row: &Combination) -> anyhow::Result<()> {
    let workers = if row.topology == Topology::Single { 0 } else { 1 };
    let asked = ClusterSpec { cni: row.cni, ..ClusterSpec::new("acme") };
    let asked = asked.kubernetes(row.kubernetes).topology(row.topology).workers(workers);
    MultiClusterFixture::builder()
        .cluster(asked)
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let nodes: Api<Node> = Api::all(acme.client());
            for node in nodes.list(&ListParams::default()).await? {
                let version = node.status.and_then(|status| Some(status.node_info?.kubelet_version));
                ensure!(version.as_deref() == Some(row.kubernetes), "a node of {version:?}");
            }
            let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            acme.run_pod(lookup).await?.assert_success();
            Ok(())
        })
        .await
}
