//! [`InstanceProbes`]: the witnesses and probers of an audit in one instance, in a namespace that the audit creates and deletes.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{LogParams, PostParams};
use kube::{Api, Client, Resource};
use probe::{Batch, ProbeResult, WitnessLine};
use provisioner::registry::Owner;
use provisioner::slowdown::Slowdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::ask;
use crate::audit::{PodWitness, Secret, Viewpoint, Watch};
use crate::wait::{self, Wait};

use super::manifest::{self, PROBER, WITNESS};
use super::remove::sweep;
use super::{ProbedCluster, ProbesError};
use super::{service, token};

/// The deadline for the pods of an audit to listen, and for its namespace to be deleted. Stretched where nodes are
/// slow.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// The deadline of reading one witness's log. Stretched where nodes are slow.
const HEARING: Duration = Duration::from_secs(5);

/// The objects of an audit in one instance.
#[derive(Clone)]
pub struct InstanceProbes {
    instance: String,
    /// Its context in the user's kubeconfig.
    context: String,
    namespace: String,
    /// The name of the pod witness's service.
    service: String,
    client: Client,
    /// Node and identity of each witness on the host network of a node, in the order of the nodes.
    nodes: Vec<(String, String)>,
    pod: PodWitness,
    /// The slowdown of the instance's nodes.
    slowdown: Slowdown,
    /// A bootstrap token of the instance; `None` where it could not be made.
    token: Option<Secret>,
    /// A token of a service account of the instance; `None` where it could not be made.
    account: Option<Secret>,
}

impl std::fmt::Debug for InstanceProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceProbes")
            .field("instance", &self.instance)
            .field("namespace", &self.namespace)
            .finish()
    }
}

impl InstanceProbes {
    /// The namespace of an audit, the same in every instance: `homelab-audit-1a2b3c4d`. Pure.
    pub fn namespace_of(run: u32) -> String {
        format!("homelab-audit-{run:08x}")
    }

    /// Deploys witnesses and probers in an instance and waits until all witnesses listen. First it removes what audits
    /// have left whose process has ended.
    ///
    /// # Errors
    /// [`ProbesError`] with the last state of the object that is not ready. What was deployed until then stays;
    /// [`InstanceProbes::remove`] removes it.
    pub async fn deploy<'a>(cluster: impl Into<ProbedCluster<'a>>, run: u32) -> Result<Self, ProbesError> {
        let cluster = cluster.into();
        let (client, instance, image) = (cluster.client(), cluster.name().to_owned(), cluster.image());
        let namespace = Self::namespace_of(run);
        let on_nodes = cluster.nodes();
        // The last node is a worker where there is one.
        let home = on_nodes.last().map(|(node, ..)| node.clone()).unwrap_or_default();
        let mut deployed = Self {
            pod: PodWitness {
                witness: format!("{instance}/pod"),
                node: home.clone(),
                address: std::net::Ipv4Addr::UNSPECIFIED,
                service: std::net::Ipv4Addr::UNSPECIFIED,
                node_port: 0,
            },
            nodes: on_nodes.iter().map(|(node, _, witness)| (node.clone(), witness.clone())).collect(),
            token: token::make(client.clone(), run, &instance).await,
            account: None,
            slowdown: cluster.slowdown(),
            context: cluster.context().to_owned(),
            service: cluster.service(),
            instance,
            namespace,
            client,
        };
        let owner = Owner::current(&deployed.namespace).map_err(ProbesError::Owner)?;
        sweep(cluster, &owner).await?;
        let namespaces: Api<Namespace> = Api::all(deployed.client.clone());
        deployed.make(&namespaces, manifest::namespace(&deployed.namespace, &owner)).await?;
        let pods = deployed.pods();
        let node_pods = on_nodes
            .iter()
            .map(|(node, address, witness)| manifest::on_node(image, (node, *address, witness)));
        let witness = manifest::on_pod_network(image, (&home, &deployed.pod.witness));
        let own = [witness, manifest::prober(image, &home)];
        let all = node_pods.chain(own).map(|manifest| deployed.make(&pods, manifest));
        let services: Api<Service> = Api::namespaced(deployed.client.clone(), &deployed.namespace);
        let service = deployed.make(&services, manifest::service(&deployed.service));
        let (service, _) = futures::try_join!(service, futures::future::try_join_all(all))?;
        deployed.pod.address = deployed.listening(&pods, image).await?;
        deployed.account = token::of_account(deployed.client.clone(), &deployed.namespace).await;
        let spec = service.spec.unwrap_or_default();
        let cluster_ip = spec.cluster_ip.and_then(|address| address.parse().ok());
        deployed.pod.service = cluster_ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
        let port = spec.ports.into_iter().flatten().find(|port| port.name.as_deref() == Some("tcp"));
        deployed.pod.node_port =
            port.and_then(|port| port.node_port).and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let led = service::leads(
            &pods,
            deployed.slowdown,
            &deployed.pod,
            on_nodes.iter().map(|(_, address, _)| *address),
        )
        .await;
        let instance = deployed.instance.clone();
        led.map_err(|source| ProbesError::Wait { instance, source: Box::new(source) })?;
        Ok(deployed)
    }

    /// The name of its instance.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// How much slower its nodes are than containers.
    pub(super) fn slowdown(&self) -> Slowdown {
        self.slowdown
    }

    /// The namespace of all its objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The witness on the pod network: its addresses and its service.
    pub fn pod(&self) -> &PodWitness {
        &self.pod
    }

    /// A DNS name that only this instance's name server resolves.
    pub fn only_here(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.service, self.namespace)
    }

    /// The identities of the witnesses on nodes, in the order of the nodes.
    pub(super) fn node_witnesses(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|(_, witness)| witness.as_str())
    }

    /// The command line that runs the prober of a viewpoint, without its standard input, for the report. `None` for the
    /// host.
    pub(super) fn command(&self, viewpoint: &Viewpoint) -> Option<String> {
        let pod = match viewpoint {
            Viewpoint::Pod { .. } => PROBER.to_owned(),
            Viewpoint::Node { node, .. } => manifest::node_pod(node),
            Viewpoint::Host => return None,
        };
        let Self { context, namespace, .. } = self;
        Some(format!("kubectl --context {context} -n {namespace} exec -i {pod} -- {}", ask::PROBER.join(" ")))
    }

    /// Has the prober on the pod network send a batch of probes.
    ///
    /// # Errors
    /// [`ProbesError::Ask`] when the exec is refused or breaks off, when an answer is not in its format, or when the
    /// prober does not end in time. No answer is returned then, but probes may have been sent.
    pub async fn ask_from_pod(&self, batch: &Batch) -> Result<Vec<ProbeResult>, ProbesError> {
        Ok(ask::ask(&self.pods(), self.slowdown, PROBER, batch).await?)
    }

    /// Has a prober on the host network of a node send a batch of probes.
    ///
    /// # Errors
    /// As for [`Self::ask_from_pod`].
    pub async fn ask_from_node(&self, node: &str, batch: &Batch) -> Result<Vec<ProbeResult>, ProbesError> {
        Ok(ask::ask(&self.pods(), self.slowdown, &manifest::node_pod(node), batch).await?)
    }

    /// What all witnesses have seen so far, by their identity. Where a log cannot be read, [`Watch::unreadable`] has
    /// the reason.
    pub async fn watches(&self) -> Vec<(String, Watch)> {
        let pods = self.pods();
        let own = (WITNESS.to_owned(), self.pod.witness.clone());
        let nodes = self.nodes.iter().map(|(node, identity)| (manifest::node_pod(node), identity.clone()));
        let all = nodes.chain([own]).map(async |(pod, identity)| {
            let within = self.slowdown.stretch(HEARING);
            let seen = timeout(within.on_clock(), seen(&pods, &pod, &identity)).await;
            let late = || Err(format!("no answer within {}s", within.as_secs()));
            let unreadable = |why| Watch { unreadable: Some(why), ..Watch::default() };
            let watch = seen.unwrap_or_else(|_| late()).unwrap_or_else(unreadable);
            (identity, watch)
        });
        futures::future::join_all(all).await
    }

    /// A token of the service account `default` in the audit's namespace.
    pub(super) fn account(&self) -> Option<&Secret> {
        self.account.as_ref()
    }

    /// The bootstrap token that the audit made.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Waits until every witness has reported that it listens, and the prober runs. Returns the pod witness's address.
    async fn listening(&self, pods: &Api<Pod>, image: &str) -> Result<std::net::Ipv4Addr, ProbesError> {
        let names = self.nodes.iter().map(|(node, _)| manifest::node_pod(node));
        let names: Vec<String> = names.chain([WITNESS.to_owned(), PROBER.to_owned()]).collect();
        let all = names.iter().map(async |name| {
            let look = async || {
                let pod = pods.get(name).await?;
                if is_in(&pod, "Failed") {
                    return Ok(Wait::Done(pod)); // a failed pod never listens
                }
                if unpulled(&pod).is_some() {
                    return Ok(Wait::Done(pod)); // the kubelet tries again, later and later
                }
                if !is_in(&pod, "Running") {
                    return Ok(Wait::NotYet(format!("{:?}", pod.status)));
                }
                if name == PROBER {
                    return Ok(Wait::Done(pod));
                }
                let log = pods.logs(name, &LogParams::default()).await?;
                let ready =
                    reports(&log).is_ok_and(|said| matches!(said.first(), Some(WitnessLine::Ready { .. })));
                Ok(if ready { Wait::Done(pod) } else { Wait::NotYet(format!("its log is {log:?}")) })
            };
            wait::until(format!("pod {name} to listen"), self.slowdown.stretch(TIMEOUT), look).await
        });
        let instance = self.instance.clone();
        let found = futures::future::try_join_all(all).await;
        let failed = |source| ProbesError::Wait { instance: instance.clone(), source: Box::new(source) };
        let found = found.map_err(failed)?;
        if let Some((pod, why)) = found.iter().find_map(|pod| Some((pod, unpulled(pod)?))) {
            let pod = pod.metadata.name.clone().unwrap_or_default();
            return Err(ProbesError::Image { image: image.to_owned(), pod, instance, why });
        }
        if let Some(refused) = found.iter().find(|pod| is_in(pod, "Failed")) {
            let why = failure(refused);
            let pod = refused.metadata.name.clone().unwrap_or_default();
            return Err(ProbesError::Pod { pod, instance, why });
        }
        let witness = found.iter().find(|pod| pod.metadata.name.as_deref() == Some(WITNESS));
        let address = witness.and_then(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
        Ok(address.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED))
    }

    async fn make<K>(&self, api: &Api<K>, manifest: Value) -> Result<K, ProbesError>
    where
        K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(manifest).expect("the audit's manifests are valid");
        let attempt = format!("create {}", object.meta().name.clone().unwrap_or_default());
        api.create(&PostParams::default(), &object).await.map_err(self.failed(&attempt))
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn failed(&self, attempt: &str) -> impl FnOnce(kube::Error) -> ProbesError {
        let (attempt, instance) = (attempt.to_owned(), self.instance.clone());
        move |source| match source {
            kube::Error::Api(status) => ProbesError::Refused { attempt, instance, why: status.message },
            source => ProbesError::Api { attempt, instance, source: Box::new(source) },
        }
    }
}

/// What one witness has seen, from its pod's log.
async fn seen(pods: &Api<Pod>, pod: &str, identity: &str) -> Result<Watch, String> {
    let found = pods.get(pod).await.map_err(|error| error.to_string())?;
    let log = pods.logs(pod, &LogParams::default()).await.map_err(|error| error.to_string())?;
    Ok(Watch::of(identity, reports(&log)?, is_in(&found, "Running")))
}

/// Why a pod has failed: the kubelet's reason and message, and the exit code and last output of its container. Pure.
fn failure(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default().into_iter();
    let ended = containers.filter_map(|container| container.state?.terminated);
    let ended = ended.map(|ended| {
        let last = ended.message.unwrap_or_default();
        format!("exit code {}, {}", ended.exit_code, last.trim())
    });
    [status.reason, status.message].into_iter().flatten().chain(ended).collect::<Vec<_>>().join(": ")
}

/// Why the image of a pod cannot be had; `None` where it can, or where the first attempt is still running. Pure.
fn unpulled(pod: &Pod) -> Option<String> {
    const REASONS: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"];
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?.iter();
    let mut waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    let waiting =
        waiting.find(|waiting| REASONS.iter().any(|known| waiting.reason.as_deref() == Some(known)))?;
    Some([&waiting.reason, &waiting.message].into_iter().flatten().cloned().collect::<Vec<_>>().join(": "))
}

fn is_in(pod: &Pod, phase: &str) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase)
}

/// The reports in a witness's log. A last line without a newline is still being written and is left out. Pure.
pub(super) fn reports(log: &str) -> Result<Vec<WitnessLine>, String> {
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))).collect()
}
