//! Clients in VMs: two clusters come up, neither reaches the other, and the audit would find it if one did; and a
//! cluster with two VMs. Each test checks much, because VMs take minutes to boot.

use anyhow::ensure;
use harness::MultiClusterFixture;
use harness::inventory::Inventory;
use provisioner::Provisioner;
use provisioner::exec::Command;
use provisioner::home::Home;
use provisioner::request::Topology;

use super::{audit, on_libvirt};
use crate::isolation::each_reaches_itself_and_not_the_other;
use crate::network::{ping_from, serve};
use crate::web;

#[tokio::test]
async fn two_clients_with_kernels_of_their_own_are_isolated_the_audit_proves_it_and_nothing_is_left()
-> anyhow::Result<()> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    MultiClusterFixture::builder()
        .cluster(on_libvirt("acme").topology(Topology::Single))
        .cluster(on_libvirt("globex").topology(Topology::Single))
        .run(async |fx| {
            each_reaches_itself_and_not_the_other(fx).await?;
            for cluster in fx.clusters() {
                let validate =
                    Command::within(std::time::Duration::from_secs(120), "vagrant").arg("validate");
                let folder = cluster.inner().plan.folder.join("vagrant");
                let validate = validate.env("VAGRANT_HOME", fx.provisioner().home().cache().join("vagrant"));
                fx.provisioner().runner().run(&validate.in_directory(folder)).await?;
            }
            audit::finds_nothing_but_what_is_opened(fx).await
        })
        .await?;
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn pods_on_two_vms_of_a_client_are_reached_by_address_and_by_service_name() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(on_libvirt("acme").topology(Topology::Multi).workers(1))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let server = serve(acme, acme.node("acme-w-1")).await?;
            ping_from(acme, "acme-cp-1", server).await?;
            acme.run_pod(web::fetch()).await?.assert_output_contains(web::HELLO);
            Ok(())
        })
        .await
}
