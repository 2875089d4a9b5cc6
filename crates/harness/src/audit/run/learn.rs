//! What has to be known of an instance before it can be asked. What cannot be found out stays unknown, which no
//! judge takes for isolated.

use std::net::Ipv6Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Secret as KubeSecret};
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::Command;
use provisioner::kubeconfig;

use crate::audit::{
    ClientCertificate, CredentialSet, DnsSubject, Link, Machine, NodeSubject, Secret, Subject,
};
use crate::cluster::{TestCluster, TestNode};

use super::Stage;

/// Everything that the audit knows of an instance on whose stage it stands.
pub(super) async fn subject(cluster: &TestCluster, stage: &Stage) -> Subject {
    let plan = &cluster.inner().plan;
    let listed = Api::<Node>::all(cluster.client()).list(&ListParams::default()).await;
    let uids: Vec<(String, String)> = listed.map_or_else(
        |_| Vec::new(),
        |nodes| {
            let uid = |node: Node| Some((node.metadata.name?, node.metadata.uid?));
            nodes.into_iter().filter_map(uid).collect()
        },
    );
    let nodes = plan.nodes.iter().zip(cluster.nodes()).map(async |(planned, node)| {
        let uid = uids.iter().find(|(name, _)| name == node.real_name()).map(|(_, uid)| uid.clone());
        NodeSubject {
            name: node.real_name().to_owned(),
            role: planned.role,
            address: node.ip(),
            link_local: link_local(node).await,
            witness: node.real_name().to_owned(),
            machine: machine(node, uid).await,
        }
    });
    let (nodes, credentials, identity) =
        futures::join!(futures::future::join_all(nodes), credentials(cluster), identity(cluster));
    Subject {
        name: cluster.name().to_owned(),
        engine: cluster.inner().instance.engine,
        subnet: plan.subnet,
        gateway: plan.gateway,
        link: plan.id.link(),
        link_witness: link_witness(cluster).map(|(witness, _)| witness),
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
        credentials,
        authorities: None,
        identity,
        store: None,
        search: None,
    }
}

/// The witness on the host's end of an instance's link, and the link; nothing where nodes can hear each other.
pub(super) fn link_witness(cluster: &TestCluster) -> Option<(String, String)> {
    let alone = cluster.nodes().len() == 1;
    alone.then(|| (format!("{}/link", cluster.name()), cluster.inner().plan.id.link()))
}

async fn link_local(node: &TestNode) -> Option<Ipv6Addr> {
    let show = ["-oneline", "-6", "address", "show", "dev", "eth0", "scope", "link"];
    let text = node.run(&quick("ip").args(show)).await.ok()?.text();
    text.split_whitespace().find_map(|word| word.split('/').next()?.parse::<Ipv6Addr>().ok())
}

async fn machine(node: &TestNode, node_uid: Option<String>) -> Option<Machine> {
    let machine_id = node.read("/etc/machine-id").await.ok()?.trim().to_owned();
    let keys = quick("sh").args(["-c", "cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null || true"]);
    let keys = node.run(&keys).await.ok()?.text();
    Some(Machine { machine_id, node_uid: node_uid?, host_keys: keys.lines().map(str::to_owned).collect() })
}

async fn credentials(cluster: &TestCluster) -> CredentialSet {
    CredentialSet {
        administrator: administrator(cluster),
        etcd: match cluster.nodes().first() {
            Some(plane) => etcd(plane).await,
            None => None,
        },
        service_account: None,
        bootstrap: bootstrap(cluster).await,
    }
}

fn administrator(cluster: &TestCluster) -> Option<ClientCertificate> {
    let config = kube::config::Kubeconfig::read_from(cluster.kubeconfig()).ok()?;
    let user = config.auth_infos.into_iter().next()?.auth_info?;
    let decoded = |data: &str| {
        let k8s_openapi::ByteString(bytes) = serde_json::from_value(data.into()).ok()?;
        String::from_utf8(bytes).ok()
    };
    let key = user.client_key_data.as_ref()?;
    Some(ClientCertificate {
        certificate: decoded(user.client_certificate_data.as_deref()?)?,
        key: Secret::new(decoded(secrecy::ExposeSecret::expose_secret(key))?),
    })
}

/// What the API server shows to etcd (kubeadm, "apiserver-etcd-client").
async fn etcd(plane: &TestNode) -> Option<ClientCertificate> {
    let file = async |extension: &str| {
        plane.read(&format!("/etc/kubernetes/pki/apiserver-etcd-client.{extension}")).await.ok()
    };
    Some(ClientCertificate { certificate: file("crt").await?, key: Secret::new(file("key").await?) })
}

/// A token to join with, as long as there is one (Kubernetes, "Bootstrap Token Secret Format").
async fn bootstrap(cluster: &TestCluster) -> Option<Secret> {
    let secrets: Api<KubeSecret> = Api::namespaced(cluster.client(), "kube-system");
    let of_kind = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
    let secret = secrets.list(&of_kind).await.ok()?.into_iter().next()?;
    let data = secret.data?;
    let part = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    Some(Secret::new(format!("{}.{}", part("token-id")?, part("token-secret")?)))
}

/// The chain of an identity, link by link, as recorded and as found now.
async fn identity(cluster: &TestCluster) -> Option<Vec<Link>> {
    let k8s = &cluster.inner().instance.k8s;
    let recorded = k8s.identity.as_ref()?;
    let path = cluster.kubeconfig();
    let context = kubeconfig::current_in(path).ok()?.unwrap_or_default();
    let endpoint = kubeconfig::endpoint_in(path, &k8s.kubeconfig_context).ok()?.unwrap_or_default();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client());
    let uid = namespaces.get(provisioner::identity::NAMESPACE).await.ok()?.metadata.uid.unwrap_or_default();
    let link = |what: &str, recorded: &str, found: String| Link {
        what: what.to_owned(),
        recorded: recorded.to_owned(),
        found,
    };
    Some(vec![
        link("context", &k8s.kubeconfig_context, context),
        link("server", &recorded.server, endpoint.server),
        link("authority", &recorded.authority, endpoint.authority.unwrap_or_default()),
        link("UID", &recorded.uid, uid),
    ])
}

fn quick(program: &str) -> Command {
    Command::within(Duration::from_secs(10), program)
}
