//! Workers are added to a running cluster and removed again, and their join tokens become worthless.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::inventory::Inventory;
use harness::wait::{Wait, until};
use harness::{FixtureBuilder, MultiClusterFixture, PodRun, TestCluster, ping};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use provisioner::error::chain;
use provisioner::events::Event;
use provisioner::exec::{Command, CommandError, Local, Runner};
use provisioner::home::Home;
use provisioner::node::{File, Node};
use provisioner::plan::ClusterPlan;
use provisioner::registry::{Instance, Workers};
use provisioner::request::{ClusterSpec, Topology};
use provisioner::stage::Stage;
use provisioner::{Drain, Provisioner};

use crate::web;

const TIMEOUT: Drain = Drain::Within(Duration::from_secs(120));

fn one_worker() -> FixtureBuilder {
    let acme = ClusterSpec::new("acme").topology(Topology::Multi).workers(1);
    MultiClusterFixture::builder().cluster(acme)
}

#[tokio::test]
async fn a_worker_is_added_and_the_first_one_removed_and_pods_services_and_names_follow() -> anyhow::Result<()>
{
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    one_worker()
        .run(async |fx| {
            let acme = fx.cluster("acme");
            no_tokens(acme).await.context("after the bring-up")?;
            acme.apply(&web::anywhere()).await?;
            let web = web_on(acme, "acme-w-1").await?;

            let acme = &acme.add_workers(1).await?;
            no_tokens(acme).await.context("after a worker was added")?;
            ensure!(
                kubernetes_has(acme).await? == ["cp-1", "w-1", "w-2"],
                "{:?}",
                kubernetes_has(acme).await?
            );
            acme.run_pod(ping(web).on_node("acme-w-2")).await?.assert_output_contains(" 0% packet loss");
            acme.run_pod(web::fetch().on_node("acme-w-2")).await?.assert_output_contains(web::HELLO);

            let acme = &acme.remove_worker("acme-w-1", TIMEOUT).await?;
            ensure!(kubernetes_has(acme).await? == ["cp-1", "w-2"], "{:?}", kubernetes_has(acme).await?);
            let web = web_on(acme, "acme-w-2").await?;
            acme.run_pod(ping(web).on_node("acme-w-2")).await?.assert_output_contains(" 0% packet loss");
            acme.run_pod(web::fetch().on_node("acme-w-2")).await?.assert_output_contains(web::HELLO);
            names_lead_to(acme, acme.node("acme-w-2").ip()).await?;

            let real = &acme.inner().instance.name;
            let entry = fx.provisioner().registry().find(real)?.context("an entry")?;
            ensure!(entry.transit.is_empty() && entry.workers.numbers().eq([2]), "{:?}", entry.workers);
            let gone = format!("{real}-w-1");
            let sightings = fx.provisioner().engines().sightings().await?;
            ensure!(!sightings.iter().any(|it| it.name.ends_with(&gone)), "{sightings:?}");
            let known = on(acme, "acme-cp-1", "ip route show; cat /etc/hosts").await?;
            let second = acme.node("acme-w-2");
            ensure!(
                known.contains(second.real_name()) && known.contains(&format!("via {}", second.ip())),
                "{known}"
            );
            ensure!(
                !known.contains(&gone) && !known.contains(&first_workers_pods(acme)),
                "the control plane still knows {gone}: {known}"
            );
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn a_used_token_joins_no_node_and_a_fresh_one_does() -> anyhow::Result<()> {
    one_worker()
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let node = unjoined(fx, acme).await?;
            let used = acme.node("acme-w-1");
            let read = |path: &str| Command::within(Duration::from_secs(10), "cat").arg(path);
            let of_the_first = used.run(&read(CONFIG)).await?.text();
            let own = of_the_first.replace(used.real_name(), node.name());
            let own = own.replace(&used.ip().to_string(), &node.address().to_string());
            let mut files = vec![File::private(CONFIG, own.clone())];
            for path in ["/etc/kubernetes/discovery.conf", "/etc/hosts"] {
                files.push(File::public(path, used.run(&read(path)).await?.text()));
            }
            node.put(&files).await?;
            let key = "tlsBootstrapToken: ";
            let token = own
                .lines()
                .find_map(|line| line.trim().strip_prefix(key))
                .context("the configuration has no token")?;
            is_forgotten(acme, token).await?;
            let refused = node.run(&join()).await.err().context("a used token lets a node join")?;
            ensure!(
                refused.to_string().contains("Unauthorized"),
                "the join fails for another reason: {refused}"
            );

            let create = "kubeadm token create --kubeconfig /etc/kubernetes/super-admin.conf --ttl 5m";
            let fresh = on(acme, "acme-cp-1", create).await?;
            node.put(&[File::private(CONFIG, own.replace(token, fresh.trim()))]).await?;
            node.run(&join()).await.context("a fresh token does not let the node join")?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_worker_that_is_killed_before_its_join_is_named_and_leaves_nothing() -> anyhow::Result<()> {
    one_worker()
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let real = &acme.inner().instance.name;
            let before = Inventory::take(fx.provisioner()).await?;
            let victim = format!("{real}-w-2");
            let container = acme.inner().plan.id.node_scope(&victim);
            let mut events = fx.provisioner().events().subscribe();
            let killed = async {
                loop {
                    let event = events.recv().await?;
                    if matches!(event, Event::StageCompleted { stage: Stage::Nodes, node: None, .. }) {
                        let kill =
                            Command::within(Duration::from_secs(20), "podman").args(["kill", &container]);
                        return Ok::<_, anyhow::Error>(Local.run(&kill).await.map(drop)?);
                    }
                }
            };
            let (added, killed) = tokio::join!(fx.provisioner().add_workers(real, 1), killed);
            killed.context("the worker could not be killed")?;
            let error = added.err().context("a killed worker has joined")?;
            ensure!(chain(&error).contains(&victim), "the error does not name the node: {}", chain(&error));
            ensure!(
                fx.provisioner().settle_workers(real).await? == [victim],
                "the pending worker was not removed"
            );
            let left = Inventory::take(fx.provisioner()).await?.left_since(&before);
            ensure!(left.is_empty(), "the killed worker left {left:?}");
            no_tokens(acme).await?;
            ensure!(
                kubernetes_has(acme).await? == ["cp-1", "w-1"],
                "Kubernetes still knows the killed worker"
            );
            acme.add_workers(1).await.context("the next worker does not join either")?;
            Ok(())
        })
        .await
}

const CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";

fn join() -> Command {
    Command::within(Duration::from_secs(180), "kubeadm").args(["join", "--config", CONFIG])
}

/// Waits until the API server no longer accepts a token. It caches a successful authentication for ten seconds
/// (k8s.io/apiserver, `TokenSuccessCacheTTL`), even if the token is deleted meanwhile.
async fn is_forgotten(acme: &TestCluster, token: &str) -> anyhow::Result<()> {
    let ask = format!(
        "kubectl --server https://{}:6443 --insecure-skip-tls-verify --token {token} get --raw /api 2>&1 || true",
        acme.inner().plan.api_name
    );
    let ask = Command::within(Duration::from_secs(10), "sh").args(["-c", &ask]);
    let forgotten = until(
        "the API server to forget a token",
        acme.slowdown().stretch(Duration::from_secs(30)),
        async || {
            let said = acme.node("acme-w-1").run(&ask).await?.text();
            Ok::<_, CommandError>(match said.contains("Unauthorized") {
                true => Wait::Done(()),
                false => Wait::NotYet(said),
            })
        },
    );
    Ok(forgotten.await?)
}

/// A node of the next worker's plan that has not joined. It is removed with the cluster.
async fn unjoined(fx: &MultiClusterFixture, acme: &TestCluster) -> anyhow::Result<Node> {
    let instance = Instance { workers: Workers::first(2), ..acme.inner().instance.clone() };
    let plan = ClusterPlan::of(&instance, fx.provisioner().home());
    fx.provisioner().engines().create(&plan).await?.others.pop().context("a node")
}

/// Fails if a bootstrap token is left in the cluster.
async fn no_tokens(cluster: &TestCluster) -> anyhow::Result<()> {
    let tokens = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
    let left = Api::<Secret>::namespaced(cluster.client(), "kube-system").list(&tokens).await?;
    let names: Vec<_> = left.into_iter().filter_map(|secret| secret.metadata.name).collect();
    ensure!(names.is_empty(), "bootstrap tokens are left: {names:?}");
    Ok(())
}

/// Names of all nodes in Kubernetes, without the cluster's prefix. Fails if one is not Ready.
async fn kubernetes_has(cluster: &TestCluster) -> anyhow::Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for node in Api::<NodeObject>::all(cluster.client()).list(&ListParams::default()).await? {
        let name = node.metadata.name.unwrap_or_default();
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        ensure!(
            conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True"),
            "{name} is not Ready"
        );
        let prefix = format!("{}-", cluster.inner().instance.name);
        names.insert(name.strip_prefix(&prefix).unwrap_or(&name).to_owned());
    }
    Ok(names.into_iter().collect())
}

/// Waits until the web server's pod is Ready on this node, and returns its address.
async fn web_on(cluster: &TestCluster, node: &str) -> anyhow::Result<Ipv4Addr> {
    let node = cluster.node(node).real_name();
    let pods: Api<Pod> = Api::default_namespaced(cluster.client());
    let address = until(
        format!("the web server on {node}"),
        cluster.slowdown().stretch(Duration::from_secs(90)),
        async || {
            let all = pods.list(&ListParams::default().labels("app=web")).await?;
            let ready = all.iter().find_map(|pod| {
                let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
                let ready =
                    status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
                (ready && spec.node_name.as_deref() == Some(node)).then(|| status.pod_ip.clone())?
            });
            Ok::<_, kube::Error>(ready.map_or_else(
                || Wait::NotYet(format!("{:?}", all.items.iter().map(|pod| &pod.status).collect::<Vec<_>>())),
                Wait::Done,
            ))
        },
    );
    Ok(address.await?.parse()?)
}

/// Waits until the name resolves to this address. The kubelet updates CoreDNS's file within a minute and a half, and
/// CoreDNS reloads it every half minute.
async fn names_lead_to(cluster: &TestCluster, address: Ipv4Addr) -> anyhow::Result<()> {
    let name = format!("deep.app.{}", cluster.inner().plan.dns_suffix());
    let ask =
        format!("for i in $(seq 180); do nslookup {name} | grep {address} && exit; sleep 1; done; exit 1");
    let asked = PodRun::shell(ask).within(Duration::from_secs(200));
    cluster.run_pod(asked).await?.assert_output_contains(&address.to_string());
    Ok(())
}

/// The first worker's part of the pod CIDR.
fn first_workers_pods(cluster: &TestCluster) -> String {
    let parts = cluster.inner().plan.pod_cidr.subnets(24);
    parts.ok().and_then(|mut parts| parts.nth(1)).map(|part| part.to_string()).unwrap_or_default()
}

async fn on(cluster: &TestCluster, node: &str, script: &str) -> anyhow::Result<String> {
    let run = Command::within(Duration::from_secs(30), "sh").args(["-ec", script]);
    Ok(cluster.node(node).run(&run).await?.text())
}
