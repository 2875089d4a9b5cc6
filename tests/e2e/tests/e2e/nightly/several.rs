//! Several clusters with Cilium on one host: they come up in parallel, work, and do not reach each other.

use harness::{MultiClusterFixture, PodRun, ping};
use provisioner::request::{ClusterSpec, CniKind, Topology};

#[tokio::test]
async fn three_clients_with_four_nodes_each_come_up_at_once_and_do_not_meet() -> anyhow::Result<()> {
    let client = |name: &str| ClusterSpec::new(name).topology(Topology::Multi).cni(CniKind::Cilium);
    MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .cluster(client("initech"))
        .run(async |fx| {
            for here in fx.clusters() {
                let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
                here.run_pod(lookup).await?.assert_success();
                for there in fx.clusters() {
                    let expected =
                        if here.name() == there.name() { " 0% packet loss" } else { "UNREACHABLE" };
                    here.run_pod(ping(there.nodes()[0].ip())).await?.assert_output_contains(expected);
                }
            }
            Ok(())
        })
        .await
}
