//! Collects the facts about instances that the audit's plan and judge need: addresses, identities, credentials, files.
//!
//! A fact that cannot be read stays `None`, and the judge never takes that for isolated.

mod node;
mod attached;
mod files;
mod seen;
mod neighbours;
mod management;
mod credentials;
mod certificates;
mod authorities;
mod trust;
mod store;
mod disks;
mod secrets;
mod search;
mod wanted;
mod kept;
mod unpack;
mod needles;
mod key_numbers;

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::Command;
use provisioner::home::Home;
use provisioner::identity::{self, IdentityError};
use provisioner::plan::{API_PORT, ClusterPlan, Role};
use provisioner::request::{CniKind, EngineKind};

use crate::audit::{
    ApiServer, ClassId, DnsSubject, Kernel, KnownAuthority, Parts, Property, Selection, Subject, Trust,
    Uplink,
};
use crate::cluster::TestCluster;

use super::{Audited, InstanceProbes};
use files::Files;

pub(in crate::audit) use credentials::administrator;
pub(super) use management::{host_link, host_mac, link_witnesses, of as management};

/// The deadline of one kind of facts. Stretched where nodes are slow.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The facts about all clusters that the selected classes need, instances first. Facts that take long are collected only
/// for the classes that use them (C9, C10). `deployed` has the probes of the clusters in the same order.
pub(super) async fn subjects(
    home: &Home,
    audited: Audited<'_>,
    deployed: &[InstanceProbes],
    selection: &Selection,
) -> Vec<Subject> {
    let clusters = audited.instances;
    let known = clusters.iter().zip(deployed);
    let known = known.map(async |(cluster, deployed)| {
        let files = if reads_keys(selection) { files::with_keys(cluster).await } else { None };
        (subject(home, cluster, deployed, (selection, files.as_deref())).await, files)
    });
    let attached = audited.attached.iter().zip(deployed.iter().skip(clusters.len()));
    let attached = attached.map(|(cluster, deployed)| attached::subject(cluster, deployed));
    let (known, attached) = futures::join!(join_all(known), join_all(attached));
    let (mut subjects, files): (Vec<_>, Vec<_>) = known.into_iter().unzip();
    if selection.has(ClassId::C10) {
        search::all(home, clusters, files, &mut subjects).await;
    }
    subjects.extend(attached);
    subjects
}

async fn subject(
    home: &Home,
    cluster: &TestCluster,
    deployed: &InstanceProbes,
    (selection, files): (&Selection, Option<&[Files]>),
) -> Subject {
    let plan = &cluster.inner().plan;
    let machines: Api<Node> = Api::all(cluster.client());
    let listed = within(plan, async { machines.list(&ListParams::default()).await.ok() }).await;
    let listed = listed.map(|nodes| nodes.items).unwrap_or_default();
    let nodes = plan.nodes.iter().zip(cluster.nodes()).map(|(planned, node)| {
        let same = |listed: &&Node| listed.metadata.name.as_deref() == Some(node.real_name());
        node::subject(plan, planned.role, node, listed.iter().find(same))
    });
    let (mut nodes, neighbours, authorities, trust, identity, store) = futures::join!(
        join_all(nodes),
        neighbours::all(cluster, deployed, selection),
        within(plan, authorities(home, cluster)),
        async { if selection.has(ClassId::S2) { trust::of(cluster).await } else { Trust::default() } },
        within(plan, async { identity(cluster).await.ok() }),
        within(plan, async { if selection.has(ClassId::C9) { store(cluster).await } else { None } }),
    );
    for (node, found) in nodes.iter_mut().zip(neighbours) {
        node.neighbours = found;
    }
    let certificates = files.zip(authorities.as_ref());
    let certificates =
        certificates.and_then(|(files, signers)| certificates::of(home, cluster, files, signers));
    let link = host_link(plan).await;
    let engine = plan.engine;
    let control_planes = plan.nodes.iter().filter(|node| node.role == Role::ControlPlane);
    let endpoints = control_planes.map(|node| (node.address, API_PORT).into());
    Subject {
        name: cluster.name().to_owned(),
        parts: if engine == EngineKind::Simulated {
            Parts::none("it has no real nodes")
        } else {
            Parts::default()
        },
        kernel: if engine.is_virtual() { Kernel::Own } else { Kernel::OfHost },
        uplink: Some(Uplink {
            subnet: plan.subnet,
            gateway: plan.gateway,
            gateway_mac: host_mac(&link),
            link: link.clone(),
        }),
        management: management(plan),
        link_witnesses: link_witnesses(cluster.name(), plan, link),
        slowdown: plan.platform.slowdown,
        // Cilium passes only TCP, UDP and ICMP to a pod: `bpf/lib/conntrack.h` of its sources drops unknown L4 protocols.
        passes_every_protocol: plan.cni != CniKind::Cilium,
        pod_cidrs: vec![plan.pod_cidr],
        service_cidr: Some(plan.service_cidr),
        nodes,
        pod: deployed.pod().clone(),
        dns: DnsSubject {
            // kubeadm gives CoreDNS the tenth address of the service CIDR.
            server: plan.service_cidr.hosts().nth(9),
            only_here: deployed.only_here(),
        },
        api: ApiServer {
            access: Some((plan.api_address, API_PORT).into()),
            name: plan.api_name.clone(),
            endpoints: endpoints.collect(),
        },
        credentials: credentials::of(cluster, deployed, certificates),
        authorities,
        trust,
        declared: Vec::new(),
        identity,
        store,
        search: None,
    }
}

/// The certificate authorities of an instance: files of its first node and of the host.
async fn authorities(home: &Home, cluster: &TestCluster) -> Option<Vec<KnownAuthority>> {
    let said = files::read(cluster.nodes().first()?, &authorities::files()).await?;
    authorities::of(home, cluster, &said).await
}

/// Whether a class shows client certificates of nodes, or searches their keys.
fn reads_keys(selection: &Selection) -> bool {
    [ClassId::C2, ClassId::C5, ClassId::C7, ClassId::C10].into_iter().any(|class| selection.has(class))
}

/// The files that the nodes can write and that could be shared: image stores of containers, disks of VMs.
async fn store(cluster: &TestCluster) -> Option<Vec<String>> {
    let plan = &cluster.inner().plan;
    if !plan.engine.is_virtual() {
        return store::of(cluster.nodes()).await;
    }
    let machines: Vec<String> = plan.nodes.iter().map(|node| plan.id.node_scope(&node.name)).collect();
    tokio::task::spawn_blocking(move || disks::of(&machines)).await.ok().flatten()
}

/// The parts of the cluster's identity (context, server, authority, UID), each as recorded and as found now.
async fn identity(cluster: &TestCluster) -> Result<Vec<Property>, IdentityError> {
    let instance = &cluster.inner().instance;
    let mut links = identity::links_in(instance, cluster.kubeconfig())?;
    links.extend(identity::link_of(instance, cluster.client()).await?);
    let link = |identity::IdentityLink { what, recorded, found }| Property {
        what: what.to_owned(),
        recorded,
        found,
    };
    Ok(links.into_iter().map(link).collect())
}

/// The result of `learnt`, or `None` after the deadline, for instance because an API server hangs.
async fn within<T>(plan: &ClusterPlan, learnt: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(plan.platform.slowdown.stretch(TIMEOUT).on_clock(), learnt).await.ok().flatten()
}

fn quick(program: &str) -> Command {
    Command::within(TIMEOUT, program)
}
