//! Clients in virtual machines, for real: on libvirt and QEMU, in a laboratory of their own (`ci/lab`).

use harness::MultiClusterFixture;
use provisioner::spec::{ClusterSpec, EngineKind, Provider, Topology};

fn in_machines(name: &str) -> ClusterSpec {
    ClusterSpec::new(name).engine(EngineKind::Vagrant(Provider::Libvirt))
}

#[tokio::test]
async fn a_cluster_of_one_machine_is_ready() -> anyhow::Result<()> {
    let fixture = MultiClusterFixture::builder().cluster(in_machines("acme").topology(Topology::Single));
    fixture.run(async |_| Ok(())).await
}
