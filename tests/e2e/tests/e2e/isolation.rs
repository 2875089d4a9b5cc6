//! No client reaches another, and each reaches itself. Each test shows both.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::ensure;
use harness::{MultiClusterFixture, TestNode, ping};
use provisioner::exec::Command;
use provisioner::request::{CiliumOptions, ClusterSpec, Topology};

#[tokio::test]
async fn acme_and_globex_reach_themselves_and_not_each_other_from_inside_a_pod() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Multi))
        .cluster(ClusterSpec::new("globex").topology(Topology::Multi))
        .run(async |fx| each_reaches_itself_and_not_the_other(fx).await)
        .await
}

#[tokio::test]
async fn two_clients_on_cilium_with_and_without_kube_proxy_are_isolated_in_every_class() -> anyhow::Result<()>
{
    let hubble = CiliumOptions { hubble: true, ..CiliumOptions::default() };
    let alone = CiliumOptions { kube_proxy_replacement: true, ..CiliumOptions::default() };
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single).cilium(hubble))
        .cluster(ClusterSpec::new("globex").topology(Topology::Multi).workers(1).cilium(alone))
        .run(async |fx| {
            each_reaches_itself_and_not_the_other(fx).await?;
            fx.audit().await?.assert_isolated();
            Ok(())
        })
        .await
}

pub(crate) async fn each_reaches_itself_and_not_the_other(fx: &MultiClusterFixture) -> anyhow::Result<()> {
    let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
    for (here, there) in [(acme, globex), (globex, acme)] {
        let (own, foreign) = (here.nodes()[0].ip(), there.nodes()[0].ip());
        here.run_pod(ping(own)).await?.assert_output_contains(" 0% packet loss");
        here.run_pod(ping(foreign)).await?.assert_output_contains("UNREACHABLE");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_routes_through_its_gateway_reaches_neither_the_host_nor_the_other_client()
-> anyhow::Result<()> {
    let single = |name: &str| ClusterSpec::new(name).topology(Topology::Multi).workers(1);
    MultiClusterFixture::builder()
        .cluster(single("acme"))
        .cluster(single("globex"))
        .run(async |fx| {
            let (acme, globex) = (fx.cluster("acme"), fx.cluster("globex"));
            let attacker = acme.node("acme-w-1");
            let gateway = acme.inner().plan.gateway;
            let script = format!("ip route replace default via {gateway}");
            attacker.run(&shell(&script)).await?;
            // The control: the same probe, where it must answer.
            ensure!(
                reaches(attacker, acme.node("acme-cp-1").ip(), 6443).await,
                "the control does not answer"
            );
            let denied = [
                (globex.node("globex-cp-1").ip(), 6443),
                (globex.node("globex-cp-1").ip(), 10250),
                (globex.inner().plan.gateway, 22),
                (gateway, 22),
            ];
            for (address, port) in denied {
                ensure!(!reaches(attacker, address, port).await, "{address}:{port} answers");
                let ping = attacker.run(&shell(&format!("ping -c 1 -W 1 {address}"))).await;
                ensure!(ping.is_err(), "{address} answers echo requests");
            }
            Ok(())
        })
        .await
}

fn shell(script: &str) -> Command {
    Command::within(Duration::from_secs(20), "sh").args(["-c", script])
}

/// Whether a TCP connection succeeds or is refused: in both cases the address answers.
async fn reaches(node: &TestNode, address: Ipv4Addr, port: u16) -> bool {
    let script = format!("exec 3<>/dev/tcp/{address}/{port}");
    let probe = Command::within(Duration::from_secs(20), "timeout").args(["2", "bash", "-c", &script]);
    match node.run(&probe).await {
        Ok(_) => true,
        Err(error) => error.to_string().contains("Connection refused"),
    }
}
