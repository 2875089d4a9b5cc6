//! Nine pods that probe each other: each runs a witness, and the test runs probers in them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use harness::TestCluster;
use harness::wait::{Wait, until};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult};
use provisioner::exec::Command;

use super::cases::{Expected, Port, Row};

const NAMESPACES: [&str; 3] = ["red", "green", "blue"];
const PODS: [&str; 3] = ["a", "b", "c"];

/// The pods' addresses, by `<namespace>/<name>`.
pub(super) struct Peers<'a> {
    cluster: &'a TestCluster,
    addresses: BTreeMap<String, IpAddr>,
}

impl<'a> Peers<'a> {
    /// Starts nine pods, distributed over the nodes in turn, so that there are pairs on one node and across nodes.
    pub(super) async fn settle(cluster: &'a TestCluster) -> anyhow::Result<Self> {
        let nodes = cluster.nodes().iter().map(|node| node.real_name()).cycle();
        let manifests: Vec<String> =
            NAMESPACES.iter().flat_map(|ns| PODS.map(|pod| (*ns, pod))).zip(nodes).map(manifest).collect();
        let namespaces = NAMESPACES.map(namespace).join("---");
        cluster.apply(&format!("{namespaces}---{}", manifests.join("---"))).await?;
        let pods: Api<Pod> = Api::all(cluster.client());
        let ours = ListParams::default().labels("peer=yes");
        let addresses =
            until("nine pods to run", cluster.slowdown().stretch(Duration::from_secs(90)), async || {
                let all = pods.list(&ours).await?.items;
                let running: BTreeMap<String, IpAddr> = all.iter().filter_map(running).collect();
                Ok::<_, kube::Error>(match running.len() {
                    9 => Wait::Done(running),
                    n => Wait::NotYet(format!("{n} run")),
                })
            });
        Ok(Self { cluster, addresses: addresses.await? })
    }

    /// Probes the connections of all rows, and returns the results in their order. `None` means that the connection was
    /// cut before the target sent its name, as happens when a policy takes effect during the connection.
    pub(super) async fn ask(&self, rows: &[Row]) -> anyhow::Result<Vec<Option<Expected>>> {
        let mut batches: BTreeMap<&str, Vec<Probe>> = BTreeMap::new();
        for (number, row) in (0_u32..).zip(rows) {
            let probe = Probe { nonce: Nonce::new(RUN, number), ask: self.question(row)? };
            batches.entry(row.from).or_default().push(probe);
        }
        let batches = batches.into_iter();
        let answers = try_join_all(batches.map(|(from, probes)| self.ask_from(from, probes))).await?;
        let answers: BTreeMap<Nonce, ProbeOutcome> = answers.into_iter().flatten().collect();
        (0_u32..)
            .zip(rows)
            .map(|(number, row)| {
                let outcome = answers.get(&Nonce::new(RUN, number)).context("a probe without an answer")?;
                judge(row, outcome)
            })
            .collect()
    }

    fn question(&self, row: &Row) -> anyhow::Result<Ask> {
        let address = *self.addresses.get(row.to).with_context(|| format!("no pod {}", row.to))?;
        Ok(match row.port {
            Port::Tcp(port) => Ask::Tcp { to: SocketAddr::new(address, port) },
            Port::Udp(port) => Ask::Udp { to: SocketAddr::new(address, port), size: 64 },
        })
    }

    async fn ask_from(&self, from: &str, probes: Vec<Probe>) -> anyhow::Result<Vec<(Nonce, ProbeOutcome)>> {
        let (namespace, pod) = from.split_once('/').context("a pod is <namespace>/<name>")?;
        let batch = Batch {
            version: probe::VERSION,
            deadline_ms: 10_000,
            answer_timeout_ms: 600,
            rate: 1000,
            probes,
        };
        let said = self.cluster.ask(namespace, pod, &batch).await?;
        ensure!(matches!(said.last(), Some(ProbeResult::End { .. })), "the prober in {from} was cut off");
        let answers = said.into_iter().filter_map(|said| match said {
            ProbeResult::Answer(answer) => Some((answer.nonce, answer.outcome)),
            ProbeResult::End { .. } => None,
        });
        Ok(answers.collect())
    }

    /// Deletes the objects of these manifests.
    pub(super) async fn delete(&self, manifests: &str) -> anyhow::Result<()> {
        let delete = Command::within(Duration::from_secs(60), "kubectl")
            .args(["--kubeconfig=/etc/kubernetes/admin.conf", "delete", "--filename", "-"])
            .input(manifests);
        Ok(self.cluster.nodes()[0].run(&delete).await.map(drop)?)
    }
}

/// The run in all nonces. It need not be unique, because no packet leaves the cluster.
const RUN: u32 = 1;

/// A connection is allowed if the target answers with its own name.
///
/// # Errors
///
/// If the probe could not run.
fn judge(row: &Row, outcome: &ProbeOutcome) -> anyhow::Result<Option<Expected>> {
    match outcome {
        ProbeOutcome::Answered { identity: Some(identity), .. } if identity == row.to => {
            Ok(Some(Expected::Allowed))
        }
        ProbeOutcome::Answered { identity: None, .. } => Ok(None),
        ProbeOutcome::Silent => Ok(Some(Expected::Denied)),
        other => bail!("{row:?}: {other:?}"),
    }
}

fn running(pod: &Pod) -> Option<(String, IpAddr)> {
    let status = pod.status.as_ref()?;
    let name = format!("{}/{}", pod.metadata.namespace.as_deref()?, pod.metadata.name.as_deref()?);
    let ready = status.conditions.as_ref()?.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    ready.then_some((name, status.pod_ip.as_ref()?.parse().ok()?))
}

fn namespace(name: &str) -> String {
    format!("\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ ns: {name} }} }}\n")
}

fn manifest(((namespace, pod), node): ((&str, &str), &str)) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: {pod}, namespace: {namespace}, labels: {{ peer: 'yes', pod: {pod} }} }}
spec:
  nodeName: {node}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: homelab.invalid/toolbox:1
    command:
    - sh
    - -c
    - exec homelab-probe witness --identity {namespace}/{pod} --tcp $POD_IP:80 --tcp $POD_IP:81
      --udp $POD_IP:80 --udp $POD_IP:81
    env: [{{ name: POD_IP, valueFrom: {{ fieldRef: {{ fieldPath: status.podIP }} }} }}]
    ports: [{{ name: tcp-80, containerPort: 80 }}]
"
    )
}
