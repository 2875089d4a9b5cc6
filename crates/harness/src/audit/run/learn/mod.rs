//! What has to be known of an instance before it can be asked. What cannot be found out stays unknown, which no
//! judge takes for isolated.

mod node;
mod credentials;
mod authorities;
mod store;
mod secrets;
mod search;

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::Command;
use provisioner::home::Home;
use provisioner::identity::{self, IdentityError};

use crate::audit::{DnsSubject, Link, Subject};
use crate::cluster::TestCluster;

use super::Stage;

pub(in crate::audit) use credentials::administrator;

/// How long one kind of knowledge may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that the audit knows of instances, each on its stage.
pub(super) async fn subjects(home: &Home, clusters: &[TestCluster], stages: &[Stage]) -> Vec<Subject> {
    let known = clusters.iter().zip(stages).map(|(cluster, stage)| subject(home, cluster, stage));
    let mut subjects = join_all(known).await;
    search::all(home, clusters, &mut subjects).await;
    subjects
}

async fn subject(home: &Home, cluster: &TestCluster, stage: &Stage) -> Subject {
    let plan = &cluster.inner().plan;
    let machines: Api<Node> = Api::all(cluster.client());
    let listed = within(async { machines.list(&ListParams::default()).await.ok() }).await;
    let listed = listed.map(|nodes| nodes.items).unwrap_or_default();
    let nodes = plan.nodes.iter().zip(cluster.nodes()).map(|(planned, node)| {
        let same = |listed: &&Node| listed.metadata.name.as_deref() == Some(node.real_name());
        node::subject(planned.role, node, listed.iter().find(same))
    });
    let (nodes, credentials, authorities, identity, store) = futures::join!(
        join_all(nodes),
        within(async { Some(credentials::of(cluster, stage).await) }),
        within(authorities::of(home, cluster)),
        within(async { identity(cluster).await.ok() }),
        within(store::of(cluster.nodes())),
    );
    Subject {
        name: cluster.name().to_owned(),
        engine: cluster.inner().instance.engine,
        subnet: plan.subnet,
        gateway: plan.gateway,
        link: plan.id.link(),
        link_witness: link_witness(cluster).map(|(witness, _)| witness),
        cni: plan.cni,
        pod_cidr: plan.pod_cidr,
        service_cidr: plan.service_cidr,
        nodes,
        pod: stage.pod().clone(),
        dns: DnsSubject {
            // By kubeadm's convention the tenth address of the service CIDR.
            server: plan.service_cidr.hosts().nth(9).unwrap_or(plan.api_address),
            suffix: plan.dns_suffix(),
            only_here: stage.only_here(),
        },
        api: plan.api_address,
        api_name: plan.api_name.clone(),
        credentials: credentials.unwrap_or_default(),
        authorities,
        identity,
        store,
        search: None,
    }
}

/// The witness on the host's end of an instance's link, and the link; nothing where nodes can hear each other.
pub(super) fn link_witness(cluster: &TestCluster) -> Option<(String, String)> {
    let alone = cluster.nodes().len() == 1;
    alone.then(|| (format!("{}/link", cluster.name()), cluster.inner().plan.id.link()))
}

/// The chain of an identity, link by link, as recorded and as found now.
async fn identity(cluster: &TestCluster) -> Result<Vec<Link>, IdentityError> {
    let instance = &cluster.inner().instance;
    let mut links = identity::links_in(instance, cluster.kubeconfig())?;
    links.extend(identity::link_of(instance, cluster.client()).await?);
    let link = |identity::Link { what, recorded, found }| Link { what: what.to_owned(), recorded, found };
    Ok(links.into_iter().map(link).collect())
}

/// What is learnt in time. An API server that hangs leaves it unknown.
async fn within<T>(learnt: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(PATIENCE, learnt).await.ok().flatten()
}

fn quick(program: &str) -> Command {
    Command::within(Duration::from_secs(10), program)
}
