//! A cluster whose certificates have expired, as after a year's halt, starts again with new ones. A running cluster
//! gets new ones, too.

use std::time::Duration;

use anyhow::ensure;
use harness::wait::{Wait, until};
use harness::{MultiClusterFixture, TestCluster};
use jiff::Timestamp;
use provisioner::exec::Command;
use provisioner::kubeadm::KubeadmError;
use provisioner::node::{File, Nodes};
use provisioner::plan::Role;
use provisioner::request::{ClusterSpec, Topology};
use provisioner::slowdown::Slowdown;
use provisioner::tls::CertificateState;
use provisioner::{Dated, Provisioner};
use rstest::rstest;

use super::power::runs_pods;

/// A kubeadm configuration with which all issued certificates expire at once.
const ENDING: &str = "/tmp/ending.yaml";

#[rstest]
#[case::one_control_plane(Topology::Multi)]
#[case::three_control_planes(Topology::Ha)]
#[tokio::test]
async fn a_cluster_whose_certificates_have_ended_starts_again_with_new_ones_for_all_nodes_and_its_kubeconfig(
    #[case] topology: Topology,
) -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(topology).workers(1))
        .run(async |fx| {
            let (acme, provisioner) = (fx.cluster("acme"), fx.provisioner());
            let name = acme.inner().instance.name.as_str();
            let nodes = &acme.inner().nodes;
            end_all(nodes).await?;
            all_have_ended(provisioner, nodes).await?;

            provisioner.halt(name).await?;
            provisioner.start(name).await?;
            let acme = &TestCluster::attach(provisioner, name).await?;
            let nodes = &acme.inner().nodes;
            let issued = provisioner.dated_on_nodes(nodes).await?;
            let on_host = provisioner.dated_on_host(&acme.inner().instance);
            let now = Timestamp::now();
            let due: Vec<&Dated> = issued.iter().chain(&on_host).filter(|one| one.is_due(now)).collect();
            ensure!(due.is_empty() && on_host.len() > 3, "certificates were not renewed: {due:?}");
            runs_pods(acme).await?;

            provisioner.renew_certificates(name).await?;
            let again = provisioner.dated_on_nodes(nodes).await?;
            let kept: Vec<&Dated> = again.iter().filter(|one| issued.contains(one)).collect();
            ensure!(
                kept.is_empty() && again.len() == issued.len(),
                "certificates were not renewed: {kept:?}"
            );
            runs_pods(&TestCluster::attach(provisioner, name).await?).await
        })
        .await
}

/// Gives all nodes certificates that expire within a second, issued by the cluster's own authority.
async fn end_all(nodes: &Nodes) -> anyhow::Result<()> {
    let first = &nodes.first;
    let shell = |script: &str| Command::within(Duration::from_secs(60), "sh").args(["-ec", script]);
    let configuration = format!(
        "sed 's/^kind: ClusterConfiguration$/&\\ncertificateValidityPeriod: 1s/' /etc/kubernetes/kubeadm.yaml > {ENDING}"
    );
    first.run(&shell(&configuration)).await?;
    let configuration = first.read(ENDING).await?;
    for node in nodes.iter() {
        let kubelet = format!(
            "kubeadm kubeconfig user --config {ENDING} --org system:nodes --validity-period 1s \
                 --client-name system:node:{} > /tmp/kubelet.conf
             for key in client-certificate-data client-key-data; do
                 sed -n \"s/^ *$key: //p\" /tmp/kubelet.conf | base64 -d
             done",
            node.name()
        );
        let kubelet = first.run(&shell(&kubelet)).await?.stdout;
        let replace = shell("cat > $(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem)");
        node.run(&replace.input(kubelet)).await?;
        if node.plan().role == Role::ControlPlane {
            node.put(&[File::private(ENDING, configuration.as_str())]).await?;
            let renew = Command::within(Duration::from_secs(60), "kubeadm");
            node.run(&renew.args(["certs", "renew", "all", "--config", ENDING])).await?;
        }
    }
    Ok(())
}

/// Waits until all certificates have expired, including those that are used only during a start.
async fn all_have_ended(provisioner: &Provisioner, nodes: &Nodes) -> anyhow::Result<()> {
    let ended =
        until("all certificates to end", Slowdown::of_host().stretch(Duration::from_secs(10)), async || {
            let all = provisioner.dated_on_nodes(nodes).await?;
            let now = Timestamp::now();
            let good = |one: &&Dated| {
                one.certificate
                    .as_ref()
                    .map_or(true, |about| about.standing(now) != CertificateState::Expired)
            };
            let good: Vec<&Dated> = all.iter().filter(good).collect();
            Ok::<_, KubeadmError>(match good.is_empty() {
                true => Wait::Done(all.len()),
                false => Wait::NotYet(format!("{good:?}")),
            })
        });
    ensure!(ended.await? > nodes.len(), "only the kubelets' certificates were found");
    Ok(())
}
