//! Inside a cluster everything works: names, services, pods across nodes, loaded images.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use camino::Utf8PathBuf;
use harness::wait::{Wait, until};
use harness::{MultiClusterFixture, PodError, PodRun, TestCluster, TestNode, ping};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::{Command, Local, Runner};
use provisioner::request::{CiliumOptions, ClusterSpec, CniKind, Topology};
use provisioner::slowdown::Slowdown;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::web;

#[rstest]
#[case::routed(ClusterSpec::new("acme"))]
#[case::cilium(ClusterSpec::new("acme").cni(CniKind::Cilium))]
#[case::cilium_alone(ClusterSpec::new("acme").cilium(WITHOUT_KUBE_PROXY))]
#[tokio::test]
async fn pods_are_reached_across_nodes_by_address_by_service_name_and_from_the_host(
    #[case] acme: ClusterSpec,
) -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(acme.topology(Topology::Multi).workers(2))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let server = serve(acme, acme.node("acme-w-2")).await?;
            ping_from(acme, "acme-w-1", server).await?;
            acme.run_pod(web::fetch()).await?.assert_output_contains(web::HELLO);
            let short = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            let first_service_address =
                acme.inner().plan.service_cidr.hosts().next().context("a service CIDR")?;
            acme.run_pod(short).await?.assert_output_contains(&first_service_address.to_string());
            let plan = &acme.inner().plan;
            let own = PodRun::shell(format!("nslookup {}", plan.api_name));
            acme.run_pod(own).await?.assert_output_contains(&plan.api_address.to_string());
            let workloads = PodRun::shell(format!("nslookup deep.app.{}", plan.dns_suffix()));
            acme.run_pod(workloads).await?.assert_output_contains(&plan.workload_address.to_string());
            let foreign = PodRun::shell("nslookup api.globex.lab");
            acme.run_pod(foreign).await?.assert_output_contains("NXDOMAIN");
            answers(acme.node("acme-w-1"), web::NODE_PORT).await?;
            answers(acme.node("acme-w-2"), web::HOST_PORT).await
        })
        .await
}

#[tokio::test]
async fn a_single_node_with_cilium_has_names_services_and_a_port_for_the_host() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single).cni(CniKind::Cilium))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            // A cluster that is up takes pods at once. Cilium's operator would keep them off the node until it has seen
            // the agent's pod.
            let nodes: Api<Node> = Api::all(acme.client());
            for node in nodes.list(&ListParams::default()).await? {
                let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
                ensure!(taints.is_empty(), "pods are kept off the node: {taints:?}");
            }
            serve(acme, acme.node("acme-main")).await?;
            acme.run_pod(web::fetch()).await?.assert_output_contains(web::HELLO);
            answers(acme.node("acme-main"), web::NODE_PORT).await?;
            answers(acme.node("acme-main"), web::HOST_PORT).await
        })
        .await
}

/// Cilium alone forwards services to pods.
const WITHOUT_KUBE_PROXY: CiliumOptions = CiliumOptions { kube_proxy_replacement: true, hubble: false };

#[tokio::test]
async fn services_are_found_also_after_a_restart_of_kube_proxy() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let script = "set -e
                old=$(pgrep -x kube-proxy)
                kill $old
                while kill -0 $old 2>/dev/null; do sleep 0.1; done
                until wget -qO- http://127.0.0.1:10249/metrics | grep -q 'sync_proxy_rules_last.*IPv4.* [1-9]'
                do sleep 0.1; done";
            let restart = Command::within(Duration::from_secs(60), "sh").args(["-c", script]);
            acme.node("acme-main").run(&restart).await.context("kube-proxy does not sync its rules")?;
            let lookup = PodRun::shell("nslookup kubernetes.default.svc.cluster.local");
            acme.run_pod(lookup).await?.assert_success();
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_image_archive_is_brought_into_a_cluster_and_a_missing_image_is_an_error() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let wanted = || PodRun::new("e2e.invalid/loaded:1", ["echo", "it runs"]);
            let missing = acme.run_pod(wanted()).await;
            ensure!(
                matches!(missing, Err(PodError::NeverRan { .. })),
                "the pod ran without its image: {missing:?}"
            );

            let folder = tempfile::tempdir()?;
            let archive = Utf8PathBuf::try_from(folder.path().join("image.tar"))?;
            std::fs::write(&archive, exported(acme).await?)?;
            acme.load_image(&archive).await?;
            acme.run_pod(wanted()).await?.assert_output_contains("it runs");

            let both = acme.run_pod(PodRun::shell("echo out; echo err >&2; exit 3")).await?;
            let said = (both.exit_code, both.stdout.as_str(), both.stderr.as_str(), both.phase.as_str());
            ensure!(said == (3, "out\n", "err\n", "Failed"), "the pod's result is reported wrongly: {both}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_host_reaches_its_name_servers_while_a_cluster_is_up_and_no_cluster_gets_their_addresses()
-> anyhow::Result<()> {
    let listed = std::fs::read_to_string("/etc/resolv.conf")?;
    let servers = listed.lines().filter_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    let servers: Vec<Ipv4Addr> = servers.collect();
    ensure!(!servers.is_empty(), "this host has no IPv4 name server: {listed}");
    MultiClusterFixture::builder()
        .cluster(ClusterSpec::new("acme").topology(Topology::Single))
        .run(async |fx| {
            // Route lookups only: no packet is sent. The control is an address of a pool that no host has.
            let pool = fx.provisioner().settings().pools.pod.range;
            let nobodys = pool.hosts().rfind(|address| !servers.contains(address)).context("a pool")?;
            ensure!(
                leads(nobodys).await.is_err(),
                "packets to {nobodys} of the pool {pool} would leave this host"
            );
            let taken = fx.provisioner().host_networks().await?;
            for server in servers {
                leads(server).await.context("a name server is cut off")?;
                ensure!(
                    taken.iter().any(|host| host.net == server.into()),
                    "{server} may be given to a cluster"
                );
            }
            Ok(())
        })
        .await
}

/// Fails unless the host has a route to the address.
async fn leads(address: Ipv4Addr) -> anyhow::Result<()> {
    let ask = Command::within(Duration::from_secs(10), "ip").args(["route", "get", &address.to_string()]);
    Ok(Local.run(&ask).await.map(drop)?)
}

/// The toolbox image under another name, as an archive. The node does not keep it under that name.
async fn exported(acme: &TestCluster) -> anyhow::Result<Vec<u8>> {
    let node = acme.node("acme-main");
    let script = "ctr -n k8s.io images tag homelab.invalid/toolbox:1 e2e.invalid/loaded:1 >&2
        ctr -n k8s.io images export /tmp/loaded.tar e2e.invalid/loaded:1 >&2
        ctr -n k8s.io images rm e2e.invalid/loaded:1 >&2
        cat /tmp/loaded.tar";
    let export = Command::within(Duration::from_secs(60), "sh").args(["-ec", script]);
    Ok(node.run(&export).await?.stdout)
}

/// Runs a web server on a node, behind a service, and returns its pod's address.
pub(crate) async fn serve(acme: &TestCluster, node: &TestNode) -> anyhow::Result<Ipv4Addr> {
    acme.apply(&web::on_node(node.real_name())).await?;
    let address = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let ready = |pod: &Pod| {
        let conditions = pod.status.clone().and_then(|status| status.conditions).unwrap_or_default();
        conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True")
    };
    let pod: Pod = acme.wait_for("web", Duration::from_secs(60), ready).await?;
    Ok(address(&pod).context("an address")?.parse()?)
}

/// Pings an address from a pod on this node.
pub(crate) async fn ping_from(acme: &TestCluster, node: &str, server: Ipv4Addr) -> anyhow::Result<()> {
    let output = acme.run_pod(ping(server).on_node(node)).await?;
    ensure!(output.node == node, "the pod ran on {}", output.node);
    output.assert_output_contains(" 0% packet loss");
    Ok(())
}

/// Waits until the web server answers the host on this port of a node.
async fn answers(node: &TestNode, port: u16) -> anyhow::Result<()> {
    let port = SocketAddr::from((node.ip(), port));
    let answer = until(
        format!("an answer on {port}"),
        Slowdown::of_host().stretch(Duration::from_secs(30)),
        async || {
            let fetched: std::io::Result<String> = async {
                let mut stream = TcpStream::connect(port).await?;
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                Ok(answer)
            }
            .await;
            Ok::<_, std::io::Error>(fetched.map_or_else(|error| Wait::NotYet(error.to_string()), Wait::Done))
        },
    );
    ensure!(answer.await?.contains(web::HELLO), "another server answers on {port}");
    Ok(())
}
