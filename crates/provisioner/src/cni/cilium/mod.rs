//! Cilium: its own chart, rendered by Helm on the first node with values from the plan, and applied there.
//!
//! Most of the time goes into starting containers one after the other and into compiling the datapath. So the node
//! image already has what the init containers would install, the container that cleans up is removed, and this module
//! applies the custom resource definitions, because the agents would otherwise wait until the operator creates them.

mod capabilities;
mod values;

use std::time::Duration;

use futures::future::{BoxFuture, join_all, try_join_all};
use serde_json::{Value, json};

use crate::bring_up::Serving;
use crate::exec::{Command, CommandError, Failure};
use crate::kubernetes::{CILIUM_VALUES, kubectl};
use crate::node::{File, Node};
use crate::plan::{ClusterPlan, Platform};

use super::{Cni, CniError, Health};
use capabilities::Capabilities;

/// The folder of the node image with the chart and its custom resource definitions.
const SHARE: &str = "/usr/local/share/cilium";
/// The agent's health endpoint, reachable only on its own node (`healthPort` of the chart).
const HEALTH: &str = "http://127.0.0.1:9879/healthz";
/// The time-out for agents to become ready, before it is stretched.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Cilium's agent on every node, and its operator.
#[derive(Debug, Clone, Copy)]
pub struct Cilium {
    /// The platform of the cluster's nodes.
    pub platform: Platform,
}

impl Cni for Cilium {
    /// Writes the CNI configuration before the agent exists: the node is Ready at once, and the plugin waits for the
    /// agent.
    fn install<'a>(
        &'a self,
        nodes: &'a [&'a Node],
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            let file = || File::public("/etc/cni/net.d/05-cilium.conflist", conflist(plan));
            try_join_all(
                nodes.iter().map(|node| async move { node.put(&[file()]).await.map_err(refused(node)) }),
            )
            .await
            .map(drop)
        })
    }

    fn deploy<'a>(
        &'a self,
        serving: &'a Serving,
        plan: &'a ClusterPlan,
    ) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(async move {
            let first = serving.first();
            let rest = async {
                let manifests = manifests(first, plan).await?;
                applied(first, apply().args(["--filename", "-"]).input(manifests)).await
            };
            tokio::try_join!(rest, definitions(first)).map(drop)
        })
    }

    fn ready<'a>(&'a self, nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(self.until(nodes, ask().join(" ")))
    }

    /// Waits also in a cluster with kube-proxy: Cilium routes pods' packets to services by its own table.
    fn dns_ready<'a>(&'a self, nodes: &'a [&'a Node]) -> BoxFuture<'a, Result<(), CniError>> {
        Box::pin(self.until(nodes, finds_dns()))
    }

    fn health<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Health> {
        Box::pin(async move {
            let [program, args @ ..] = ask();
            match node.run(&Command::within(Duration::from_secs(10), program).args(args)).await {
                Ok(_) => Health::Good,
                Err(_) => Health::Bad(last_words(node).await),
            }
        })
    }
}

impl Cilium {
    /// Polls on all these nodes until the shell command `look` succeeds. Waits for all nodes, also after one has
    /// failed.
    async fn until(&self, nodes: &[&Node], look: String) -> Result<(), CniError> {
        let wait = self.platform.until(&look, TIMEOUT);
        let waits = join_all(nodes.iter().map(|node| node.run(&wait))).await;
        let late = nodes.iter().zip(waits).find_map(|(node, wait)| Some((node, wait.err()?)));
        match late {
            None => Ok(()),
            Some((node, source)) => {
                let state = last_words(node).await;
                Err(CniError::NotReady { node: node.name().to_owned(), state, source })
            }
        }
    }
}

/// The CNI configuration of a node, as the agent would write it (CNI specification 1.0.0). Cilium implements `hostPort`
/// only where it replaces kube-proxy; with kube-proxy the portmap plugin does, as with the chart's
/// `cni.chainingMode: portmap`. Pure.
fn conflist(plan: &ClusterPlan) -> String {
    let mut plugins = vec![json!({ "type": "cilium-cni" })];
    if plan.has_kube_proxy() {
        plugins.push(json!({ "type": "portmap", "capabilities": { "portMappings": true } }));
    }
    let list = json!({ "cniVersion": "1.0.0", "name": "cilium", "plugins": plugins });
    format!("{list:#}\n")
}

/// Renders the chart on the first node. Returns all objects that it deploys.
async fn manifests(first: &Node, plan: &ClusterPlan) -> Result<String, CniError> {
    let status = first.read("/proc/1/status").await.map_err(refused(first))?;
    let machine = Capabilities::in_status(&status)
        .ok_or_else(|| CniError::Capabilities { node: first.name().to_owned(), status })?;
    let values = serde_saphyr::to_string(&values::of(plan, &machine)).expect("values have string keys");
    first.put(&[File::public(CILIUM_VALUES, values)]).await.map_err(refused(first))?;
    let text = first.run(&template()).await.map_err(refused(first))?.text();
    without_cleaner(&text).map_err(|why| CniError::Manifests { node: first.name().to_owned(), why })
}

/// The manifests as one list, without the init container that cleans up before the agent. A new node has nothing to
/// clean up, the agent's state is deleted with the node, and the container costs a second. Pure.
fn without_cleaner(manifests: &str) -> Result<String, String> {
    const CLEANER: &str = "clean-cilium-state";
    let read: Result<Vec<Value>, _> = serde_saphyr::from_multiple(manifests);
    let mut items = read.map_err(|error| error.to_string())?;
    items.retain(|item| !item.is_null());
    let before = items.iter_mut().filter_map(|item| item.pointer_mut("/spec/template/spec/initContainers"));
    for containers in before.filter_map(Value::as_array_mut) {
        containers.retain(|container| container["name"] != CLEANER);
    }
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())
}

/// `helm template`, with Helm's folders in `/tmp`: its caches are not needed again. Pure.
fn template() -> Command {
    Command::within(Duration::from_secs(60), "helm")
        .env("HELM_CACHE_HOME", "/tmp/helm")
        .env("HELM_CONFIG_HOME", "/tmp/helm")
        .env("HELM_DATA_HOME", "/tmp/helm")
        .args(["template", "cilium"])
        .arg(format!("{SHARE}/chart"))
        .args(["--namespace", "kube-system", "--values", CILIUM_VALUES])
}

/// Applies the custom resource definitions, which otherwise the operator creates when it starts.
async fn definitions(first: &Node) -> Result<(), CniError> {
    applied(first, apply().args(["--recursive", "--filename"]).arg(format!("{SHARE}/crds"))).await
}

/// How often objects are applied again after a time-out of the API server.
const REPEATS: usize = 5;

/// Applies objects, and repeats that if the API server meets its own time-out for a request (34 s), as on a host with
/// too little CPU. Server-side apply may be repeated: it does not change objects that it has already applied.
async fn applied(first: &Node, apply: Command) -> Result<(), CniError> {
    let mut repeats = REPEATS;
    loop {
        match first.run(&apply).await {
            Err(error) if repeats > 0 && is_timeout(&error) => repeats -= 1,
            outcome => return outcome.map(drop).map_err(refused(first)),
        }
    }
}

/// Whether the API server met its own time-out, by kubectl's message (`StatusReasonTimeout` of Kubernetes' API).
fn is_timeout(error: &CommandError) -> bool {
    matches!(&error.failure, Failure::Status { stderr, .. } if stderr.contains("Error from server (Timeout)"))
}

/// `kubectl apply` with forced ownership, because only homelab applies these objects. Without validation, for which
/// kubectl requests the API server's OpenAPI description: that costs the API server a second. Pure.
fn apply() -> Command {
    kubectl(Duration::from_secs(120)).args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=false",
    ])
}

/// The command that checks the health of a node's agent. `brief` omits the state of other nodes, as in the kubelet's
/// own probe. Pure.
fn ask() -> [&'static str; 10] {
    [
        "wget",
        "--quiet",
        "--timeout",
        "5",
        "--tries",
        "1",
        "--header=brief:true",
        "--output-document",
        "/dev/null",
        HEALTH,
    ]
}

/// Matches the service of CoreDNS with at least one backend in the answer of Cilium's API: a list of addresses that
/// is not empty, before the service's name.
const DNS_SERVED: &str = r#""backend-addresses":\[{[^]]*\],"flags":{[^}]*"name":"kube-dns""#;

/// The shell command that lists the services of a node's agent (`GET /v1/service` of Cilium's API, on a socket). It
/// succeeds when the service of CoreDNS has a backend. Pure.
fn finds_dns() -> String {
    let ask =
        r"printf 'GET /v1/service HTTP/1.0\r\n\r\n' | socat -t 5 - UNIX-CONNECT:/var/run/cilium/cilium.sock";
    format!("{ask} | grep --quiet '{DNS_SERVED}'")
}

/// The last log lines of a node's agent, or of an init container that did not end. An agent that cannot start logs the
/// reason, ends and is restarted. So errors come first, also those in the log of the previous container.
async fn last_words(node: &Node) -> String {
    match node.run(&last_words_command()).await.map(|seen| seen.text().trim().to_owned()) {
        Ok(text) if text.is_empty() => "its agent has logged nothing".to_owned(),
        Ok(text) => text,
        Err(_) => "the node no longer answers".to_owned(),
    }
}

fn last_words_command() -> Command {
    // An agent's pod has a suffix of five letters before the pod's UID; Cilium's other pods have longer names.
    let tail = "logs=$(ls -t /var/log/pods/kube-system_cilium-?????_*/*/*.log | head -n 2); \
                grep -hE 'level=(error|fatal)' $logs | tail -n 6; tail -q -n 3 $logs";
    Command::within(Duration::from_secs(10), "sh").args(["-c", tail])
}

fn refused(node: &Node) -> impl FnOnce(CommandError) -> CniError {
    let node = node.name().to_owned();
    move |source| CniError::Refused { node, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exec::{Exchange, Local, Runner, Scripted};
    use crate::plan::tests::acme;
    use crate::request::{CiliumOptions, CniKind};

    fn node(exchanges: impl IntoIterator<Item = Exchange>) -> Node {
        Node::new(acme().first().clone(), Arc::new(Scripted::new(exchanges)))
    }

    fn cilium() -> Cilium {
        Cilium { platform: acme().platform }
    }

    /// The shortened log of an agent that could not find the link of its node.
    const WORDS: &str = "level=fatal msg=\"failed to start: unable to determine direct routing device\"\n";

    #[tokio::test]
    async fn an_agent_that_does_not_get_ready_is_named_with_its_last_log_lines() {
        let wait = "sh -c 'until wget --quiet --timeout 5 --tries 1 --header=brief:true --output-document /dev/null \
                    http://127.0.0.1:9879/healthz; do sleep 0.1; done'";
        let look = last_words_command().to_string();
        let script = [Exchange::fails(wait, 124, ""), Exchange::ok(look, WORDS)];
        let error = cilium().ready(&[&node(script)]).await.unwrap_err();
        insta::assert_snapshot!(error, @r#"wait for the pod network on acme-cp-1: level=fatal msg="failed to start: unable to determine direct routing device""#);
    }

    /// An agent's description of a service, shortened.
    fn said_of(name: &str, pods: &str) -> String {
        let spec = format!(
            r#"{{"backend-addresses":{pods},"flags":{{"intTrafficPolicy":"Cluster","name":"{name}"}},"id":1}}"#
        );
        format!(r#"{{"spec":{spec},"status":{{"realized":{spec}}}}}"#)
    }

    #[tokio::test]
    async fn dns_is_served_when_its_own_service_has_an_endpoint() {
        let one = r#"[{"ip":"10.244.0.126","port":53},{"ip":"10.244.1.7","port":53}]"#;
        let is_served = async |services: [String; 2]| {
            let grep = Command::within(Duration::from_secs(10), "grep").args(["--quiet", DNS_SERVED]);
            Local.run(&grep.input(format!("[{}]", services.join(",")))).await.is_ok()
        };
        let api = || said_of("kubernetes", one);
        assert!(is_served([api(), said_of("kube-dns", one)]).await);
        assert!(is_served([said_of("kube-dns", one), api()]).await);
        for none in ["[]", "null"] {
            assert!(!is_served([api(), said_of("kube-dns", none)]).await, "{none}");
            assert!(!is_served([said_of("kube-dns", none), api()]).await, "{none}");
        }
    }

    #[tokio::test]
    async fn objects_are_applied_again_after_a_time_out_of_the_api_server_and_not_after_a_refusal() {
        let apply = || apply().args(["--recursive", "--filename"]).arg(format!("{SHARE}/crds"));
        let timeout = || {
            let why = "Error from server (Timeout): error when creating \"ciliumnodes.yaml\": Timeout: request did not \
                       complete within requested timeout - context deadline exceeded";
            Exchange::fails(apply().to_string(), 1, why)
        };
        let served = node([timeout(), timeout(), Exchange::ok(apply().to_string(), "")]);
        definitions(&served).await.unwrap();
        let refused = Exchange::fails(apply().to_string(), 1, "Error from server (Forbidden): no");
        assert!(definitions(&node([refused])).await.is_err());
        let never = std::iter::repeat_with(timeout).take(1 + REPEATS);
        assert!(definitions(&node(never)).await.is_err());
    }

    #[tokio::test]
    async fn an_agent_is_checked_on_its_own_node_and_an_unhealthy_one_without_a_log_is_reported() {
        let ask = ask().join(" ");
        let well = node([Exchange::ok(&ask, "")]);
        assert_eq!(cilium().health(&well).await, Health::Good);
        let silent = [Exchange::fails(&ask, 8, ""), Exchange::ok(last_words_command().to_string(), " \n")];
        let said = Health::Bad("its agent has logged nothing".to_owned());
        assert_eq!(cilium().health(&node(silent)).await, said);
    }

    #[tokio::test]
    async fn a_node_with_unreadable_capabilities_is_an_error() {
        let error = manifests(&node([Exchange::ok("cat /proc/1/status", "Name:\tsh\n")]), &acme()).await;
        insta::assert_snapshot!(error.unwrap_err(), @"read the capabilities of acme-cp-1 in /proc/1/status: Name:	sh");
    }

    #[test]
    fn the_rendered_chart_is_one_list_without_the_container_that_cleans_up() {
        let manifests = "
---
# Source: cilium/templates/cilium-agent/daemonset.yaml
kind: DaemonSet
spec: { template: { spec: { initContainers: [{ name: config }, { name: clean-cilium-state }] } } }
---
---
kind: ConfigMap
";
        insta::assert_snapshot!(without_cleaner(manifests).unwrap(), @r#"{"apiVersion":"v1","kind":"List","items":[{"kind":"DaemonSet","spec":{"template":{"spec":{"initContainers":[{"name":"config"}]}}}},{"kind":"ConfigMap"}]}"#);
        assert!(without_cleaner("kind: [").is_err());
    }

    #[test]
    fn the_chart_is_rendered_by_helm_and_applied_by_kubectl() {
        insta::assert_snapshot!(format!("{}\n{}", template(), apply()));
    }

    #[test]
    fn the_cni_configuration_of_a_cilium_node_is_as_recorded() {
        insta::assert_snapshot!(conflist(&acme()));
    }

    #[test]
    fn portmap_is_used_only_if_kube_proxy_serves_the_services() {
        let with = |kube_proxy_replacement| {
            let cilium = CiliumOptions { kube_proxy_replacement, ..CiliumOptions::default() };
            conflist(&ClusterPlan { cni: CniKind::Cilium, cilium, ..acme() })
        };
        assert!(with(false).contains("portmap"));
        assert!(!with(true).contains("portmap"));
    }
}
