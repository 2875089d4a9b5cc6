//! Makes the first node a control plane.
//!
//! All steps are kubeadm's own phases; their order makes the bring-up quick. Several phases share a process, because
//! each start of kubeadm costs two seconds on an emulated processor. The manifests of etcd and the API server are in
//! place before the kubelet reads the folder for the first time. Scheduler and controller-manager start when the API
//! server is ready: started earlier, they compete with it for the processor, get "forbidden" while it still creates
//! its roles, and back off for seconds.

use std::time::Duration;

use crate::bring_up::{Serving, Wired};
use crate::exec::{Command, CommandError};
use crate::kubernetes::{ADMIN, CA, CONFIG, PATCHES, kubectl};
use crate::node::{File, Node};
use crate::pki::Bundle;
use crate::plan::{API_PORT, ClusterPlan};

use super::join::JoinCredentials;
use super::ready::waiting;
use super::{BootstrapToken, KubeadmError, config, patches, virtual_address};

/// All phases of `kubeadm init`, in its order: `kubeadm init --help`.
const PHASES: [&str; 17] = [
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane/apiserver",
    "control-plane/controller-manager",
    "control-plane/scheduler",
    "kubelet-start",
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon/coredns",
    "addon/kube-proxy",
    "show-join-command",
];

/// Makes the first node a control plane whose API server answers. The bootstrap token becomes valid in [`complete`].
///
/// # Errors
/// [`KubeadmError`] with the step that failed, or with the last log lines of a component that did not start.
pub async fn init(
    wired: Wired,
    plan: &ClusterPlan,
    bundle: &Bundle,
) -> Result<(Serving, BootstrapToken), KubeadmError> {
    let token = BootstrapToken::draw()?;
    let first = wired.first();
    put(first, plan, bundle, &token).await?;
    virtual_address::carry(first, plan).await?;
    tokio::try_join!(
        virtual_address::carried(first, plan),
        run(
            "start etcd, the API server and the kubelet",
            first,
            init_only(&["certs", "kubeconfig", "etcd", "control-plane/apiserver", "kubelet-start"])
        ),
    )?;
    serves(first, plan).await?;
    Ok((wired.serving(), token))
}

/// Waits until the API server of a cluster that was initialised before answers.
///
/// # Errors
/// [`KubeadmError::NotReady`] with the last log lines.
pub async fn serving(wired: Wired, plan: &ClusterPlan) -> Result<Serving, KubeadmError> {
    serves(wired.first(), plan).await?;
    Ok(wired.serving())
}

/// Deploys all that a cluster needs besides the API server: controller-manager, scheduler, CoreDNS, kube-proxy where
/// the pod network needs it, and the bootstrap token. Returns what the other nodes need to join.
///
/// # Errors
/// [`KubeadmError`] with the step that failed.
pub async fn complete(
    serving: &Serving,
    token: BootstrapToken,
    plan: &ClusterPlan,
    bundle: &Bundle,
) -> Result<JoinCredentials, KubeadmError> {
    let first = serving.first();
    // First the components that pods wait for: the scheduler, and kube-proxy, through which CoreDNS reaches the API
    // server.
    let mut waited_for = vec!["control-plane/controller-manager", "control-plane/scheduler"];
    waited_for.extend(plan.has_kube_proxy().then_some("addon/kube-proxy"));
    tokio::try_join!(
        run("deploy controllers, scheduler and proxy", first, init_only(&waited_for)),
        own_corefile(first, plan)
    )?;
    let rest =
        ["upload-config", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon/coredns"];
    tokio::try_join!(
        run("deploy CoreDNS and upload the configuration", first, init_only(&rest)),
        give_pod_cidr(first, first, plan)
    )?;
    Ok(JoinCredentials::of(bundle.cluster.certificate.clone(), token))
}

/// `kubeadm init` with only these phases.
fn init_only(phases: &[&str]) -> Command {
    let others: Vec<&str> = PHASES.into_iter().filter(|phase| !phases.contains(phase)).collect();
    let command = Command::within(Duration::from_secs(120), "kubeadm");
    command.args(["init", "--config", CONFIG, "--skip-phases", &others.join(",")])
}

async fn put(
    first: &Node,
    plan: &ClusterPlan,
    bundle: &Bundle,
    token: &BootstrapToken,
) -> Result<(), KubeadmError> {
    let mut files = bundle.on_node();
    files.push(File::private(CONFIG, config::cluster(plan, token)));
    files.extend(patches::control_plane(plan));
    files.push(File::public(format!("{}/corednsdeployment.yaml", PATCHES), patches::coredns(plan)));
    files.push(File::public("/etc/hosts", config::hosts(plan)));
    first.put(&files).await.map_err(failed("write the kubeadm files", first))
}

/// Creates our Corefile's ConfigMap before kubeadm deploys CoreDNS: kubeadm keeps one that exists.
async fn own_corefile(first: &Node, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    // For validation kubectl requests the API server's OpenAPI description, which costs the API server a second.
    let create = kubectl(Duration::from_secs(60)).args(["create", "--validate=false", "--filename", "-"]);
    run("create CoreDNS's configuration", first, create.input(config::corefile(plan))).await
}

/// Gives a node its planned part of the pod CIDR as soon as its kubelet has registered it, which may be a little later
/// than the end of kubeadm.
pub(super) async fn give_pod_cidr(first: &Node, node: &Node, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let object = format!("node/{}", node.name());
    let wait = waiting(plan, Duration::from_secs(60), ["wait", "--for", "create", &object]);
    waited(node, "the kubelet to register", first, &wait).await?;
    let cidr = node.plan().pod_cidr;
    let patch = serde_json::json!({ "spec": { "podCIDR": cidr, "podCIDRs": [cidr] } });
    let command = kubectl(Duration::from_secs(60)).args(["patch", "node", node.name(), "--patch"]);
    run("give a node its pod CIDR", first, command.arg(patch.to_string())).await
}

/// Waits until the API server has created its roles and reports ready: before, it refuses anonymous requests. Polls
/// with wget, which costs a tenth of kubectl's CPU time: while a cluster starts, everything waits for the processor.
///
/// # Errors
/// [`KubeadmError::NotReady`] with the last log lines.
pub async fn serves(first: &Node, plan: &ClusterPlan) -> Result<(), KubeadmError> {
    let ready = format!("https://{}:{API_PORT}/readyz", plan.api_name);
    let ask = format!(
        "wget --quiet --timeout 5 --tries 1 --ca-certificate {CA} --output-document /dev/null {ready}"
    );
    let wait = plan.platform.until(&ask, Duration::from_secs(180));
    waited(first, "the API server to be ready", first, &wait).await
}

/// Runs `wait` on the node `from`. If it fails, the error has the last log lines of `node`. `what` names the awaited
/// state in the error: `all nodes to be Ready`.
pub(super) async fn waited(
    node: &Node,
    what: &'static str,
    from: &Node,
    wait: &Command,
) -> Result<(), KubeadmError> {
    let Err(source) = from.run(wait).await else { return Ok(()) };
    // The logs say more than the output of `wait`. Some of the files may not exist yet.
    let look = "tail -n 12 /var/log/kubelet.log; \
                tail -n 6 /var/log/keepalived.log /var/log/pods/kube-system_*/*/*.log; true";
    let look = Command::within(Duration::from_secs(10), "sh").args(["-c", look]);
    let state = match node.run(&look).await {
        Ok(seen) => seen.text(),
        Err(_) => "the node no longer answers".to_owned(),
    };
    Err(KubeadmError::NotReady { what, node: node.name().to_owned(), state, source })
}

pub(super) async fn run(attempt: &'static str, node: &Node, command: Command) -> Result<(), KubeadmError> {
    node.run(&command).await.map(drop).map_err(failed(attempt, node))
}

pub(super) fn failed(attempt: &'static str, node: &Node) -> impl FnOnce(CommandError) -> KubeadmError {
    let node = node.name().to_owned();
    move |source| KubeadmError::Step { attempt, node, source }
}

/// Reads the administrator's kubeconfig, which kubeadm made on the first node.
///
/// # Errors
/// [`KubeadmError::Step`] when the file cannot be read.
pub async fn admin_conf(first: &Node) -> Result<String, KubeadmError> {
    first.read(ADMIN).await.map_err(failed("read the administrator's kubeconfig", first))
}

/// Reads the UID of the namespace `kube-system`, which identifies the cluster.
///
/// # Errors
/// [`KubeadmError::Step`] when the API server does not answer.
pub async fn uid(first: &Node) -> Result<String, KubeadmError> {
    let get = ["get", "namespace", crate::identity::NAMESPACE, "--output", "jsonpath={.metadata.uid}"];
    let command = kubectl(Duration::from_secs(60)).args(get);
    Ok(first
        .run(&command)
        .await
        .map_err(failed("read the UID of kube-system", first))?
        .text()
        .trim()
        .to_owned())
}
