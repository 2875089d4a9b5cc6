//! Injections in control planes: the target accepts credentials or names of the source, or the source's context leads
//! to the target.

use std::net::SocketAddr;

use camino::Utf8Path;
use k8s_openapi::api::core::v1::{Secret as KubeSecret, Service};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::config::Kubeconfig;
use probe::Credentials;
use provisioner::kubernetes::{API_SERVER, CA, CA_KEY, PKI, SERVING};
use provisioner::plan::{API_PORT, Role};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use super::cable::last;
use super::deeds::{Deeds, command};
use super::door::Door;
use super::known::Known;
use super::{Ground, InjectError};
use crate::audit::subject::{Subject, TCP_PORT};
use crate::cluster::{TestCluster, TestNode};

const KUBELET: &str = "/var/lib/kubelet/config.yaml";

/// The source's name server resolves a name of the target: the source gets a service of that name.
pub(super) async fn foreign_names(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let full = ground.target.dns.only_here.clone();
    let name = full.split('.').next().unwrap_or_default();
    let service = json!({
        "metadata": { "name": name, "namespace": ground.namespace },
        "spec": { "ports": [{ "port": TCP_PORT }] },
    });
    let server = SocketAddr::from((ground.source.dns.server, 53));
    let known = Known {
        cluster: ground.from.clone(),
        namespace: ground.namespace.to_owned(),
        server,
        name: full.clone(),
    };
    let forgotten = known.clone();
    deeds.undos.push(format!("wait until {full} does not resolve"), move || {
        let forgotten = forgotten.clone();
        async move { forgotten.until(false).await }
    });
    make::<Service>(ground.from, "create a service with the other's name", service, deeds).await?;
    known.until(true).await
}

/// The target's API server accepts client certificates of the source's cluster CA as well. The API server reads the CA
/// file again when the file changes (kube-apiserver, `--client-ca-file`).
pub(super) async fn foreign_clients(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let shown = ground.source.credentials.administrator.as_ref();
    let shown = shown.ok_or_else(|| missing("an administrator's certificate", ground.source))?;
    let certificate = shown.certificate.clone();
    let credentials = Credentials::Certificate { certificate, key: shown.key.reveal().to_owned() };
    let ours = plane(ground.from)?.read(CA).await?;
    let door = api_of(ground.target, credentials);
    close_behind(&door, deeds);
    for node in planes(ground)? {
        deeds.edit_on(node, CA, |theirs| format!("{}\n{ours}", theirs.trim_end())).await?;
    }
    door.until(true).await
}

/// The target's API server accepts a service-account token of the source, from a static list (kube-apiserver,
/// `--token-auth-file`). A shared signing key alone would not do: a token has the UID of its account.
pub(super) async fn foreign_tokens(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let token = ground.source.credentials.service_account.as_ref();
    let token = token.ok_or_else(|| missing("a service-account token", ground.source))?.reveal().to_owned();
    let door = api_of(ground.target, Credentials::Token { token: token.clone() });
    close_behind(&door, deeds);
    for node in planes(ground)? {
        let tokens = format!("{PKI}/injected.csv");
        let list = command("sh", &["-c", "umask 077; cat > \"$0\"", &tokens]);
        let list = list.input(format!("{token},injected,injected\n"));
        deeds.on_node(node, &list, command("rm", &["-f", &tokens])).await?;
        let flag = format!("- kube-apiserver\n    - --token-auth-file={tokens}\n");
        deeds.edit_on(node, API_SERVER, |manifest| manifest.replacen("- kube-apiserver\n", &flag, 1)).await?;
    }
    door.until(true).await
}

/// The target has the bootstrap token of the source.
pub(super) async fn foreign_bootstrap(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let token = ground.source.credentials.bootstrap.as_ref();
    let token = token.ok_or_else(|| missing("a bootstrap token", ground.source))?.reveal().to_owned();
    let (id, secret) = token.split_once('.').ok_or_else(|| missing("a bootstrap token", ground.source))?;
    let door = api_of(ground.target, Credentials::Token { token: token.clone() });
    close_behind(&door, deeds);
    let object = json!({
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": { "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true" },
    });
    make::<KubeSecret>(ground.to, "create a bootstrap token", object, deeds).await?;
    door.until(true).await
}

/// The target's API server sends, after its own certificate, a certificate of its CA that the source's CA has
/// cross-signed. A TLS client that trusts either CA accepts the server, so the target goes on working.
pub(super) async fn foreign_server(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let (ours, theirs) = (plane(ground.from)?, plane(ground.to)?);
    let (certificate, key) = (ours.read(CA).await?, ours.read(CA_KEY).await?);
    let cross = across(&certificate, &key, &theirs.read(CA).await?, &theirs.read(CA_KEY).await?);
    let cross = cross.map_err(InjectError::Sign)?;
    let door =
        Door { authority: Some(certificate), path: "/version", ..api_of(ground.target, Credentials::None) };
    close_behind(&door, deeds);
    for node in planes(ground)? {
        deeds.edit_on(node, SERVING, |shown| format!("{}\n{cross}", shown.trim_end())).await?;
    }
    door.until(true).await
}

/// A certificate with the name and key of authority `of`, signed by authority `by` (PEM each). Pure.
fn across(by: &str, by_key: &str, of: &str, of_key: &str) -> Result<String, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(by, KeyPair::from_pem(by_key)?)?;
    let unreadable = |_| rcgen::Error::CouldNotParseCertificate;
    let (_, pem) = parse_x509_pem(of.as_bytes()).map_err(unreadable)?;
    let theirs = pem.parse_x509().map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for name in theirs.subject().iter_common_name().filter_map(|name| name.as_str().ok()) {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params.signed_by(&KeyPair::from_pem(of_key)?, &issuer)?.pem())
}

/// The source's kubeconfig context leads to the target's API server.
pub(super) fn swapped_context(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let read = |path: &Utf8Path| {
        let unreadable =
            |error| InjectError::File { path: path.to_string(), source: std::io::Error::other(error) };
        Kubeconfig::read_from(path).map_err(unreadable)
    };
    let path = ground.from.kubeconfig();
    let (mut ours, theirs) = (read(path)?, read(ground.to.kubeconfig())?);
    for (own, other) in ours.clusters.iter_mut().zip(theirs.clusters) {
        own.cluster = other.cluster;
    }
    let text = serde_saphyr::to_string(&ours).expect("a kubeconfig can be written as YAML");
    deeds.edit(path, |_| text)
}

/// A kubelet of the target accepts anonymous requests.
pub(super) async fn anonymous_kubelet(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let node = last(ground.to)?;
    let server = format!("https://{}:10250", node.ip());
    let door = Door { server, path: "/pods", ..api_of(ground.target, Credentials::None) };
    let restart = || ground.to.inner().plan.platform.restart("kubelet");
    close_behind(&door, deeds);
    deeds.on_node(node, &command("true", &[]), restart()).await?;
    let open = |text: &str| {
        let anonymous = text.replacen("anonymous:\n    enabled: false", "anonymous:\n    enabled: true", 1);
        anonymous.replacen("mode: Webhook", "mode: AlwaysAllow", 1)
    };
    deeds.edit_on(node, KUBELET, open).await?;
    node.run(&restart()).await?;
    door.until(true).await
}

fn missing(what: &'static str, of: &Subject) -> InjectError {
    InjectError::Missing { what, cluster: of.name.clone() }
}

fn plane(of: &TestCluster) -> Result<&TestNode, InjectError> {
    let cluster = of.name().to_owned();
    of.nodes().first().ok_or(InjectError::Missing { what: "a control plane", cluster })
}

/// The control-plane nodes of the target.
fn planes<'a>(ground: &Ground<'a>) -> Result<Vec<&'a TestNode>, InjectError> {
    let of_role = ground.target.nodes.iter().filter(|node| node.role == Role::ControlPlane);
    let nodes =
        of_role.filter_map(|planned| ground.to.nodes().iter().find(|node| node.real_name() == planned.name));
    let nodes: Vec<_> = nodes.collect();
    if nodes.is_empty() { Err(missing("a control plane", ground.target)) } else { Ok(nodes) }
}

/// A request to the target's API server for `/api`, which all authenticated users may read and no others (Kubernetes,
/// `system:discovery`).
fn api_of(target: &Subject, credentials: Credentials) -> Door {
    let server = format!("https://{}:{API_PORT}", target.api);
    let (cluster, slowdown) = (target.name.clone(), target.slowdown);
    Door { cluster, server, authority: None, credentials, path: "/api", slowdown }
}

/// Pushes an undo that waits until the server refuses the request again. It runs last, so it is pushed first.
fn close_behind(door: &Door, deeds: &mut Deeds) {
    let door = door.clone();
    deeds.undos.push(format!("wait until {} refuses", door.server), move || {
        let door = door.clone();
        async move { door.until(false).await }
    });
}

/// Creates an object in a cluster, and pushes its deletion.
async fn make<K>(
    cluster: &TestCluster,
    attempt: &'static str,
    object: Value,
    deeds: &mut Deeds,
) -> Result<(), InjectError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let object: K = serde_json::from_value(object).expect("the injected objects are valid");
    let meta = object.meta().clone();
    let (name, namespace) = (meta.name.unwrap_or_default(), meta.namespace.unwrap_or_default());
    let place = cluster.clone();
    let there = namespace.clone();
    deeds.undos.push(format!("delete {name} in {}", cluster.name()), move || {
        let (place, name, there) = (place.clone(), name.clone(), there.clone());
        async move {
            let api: Api<K> = Api::namespaced(place.fresh_client().await?, &there);
            match api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                Err(source) => Err(refused("delete an object", place.name())(source)),
                Ok(_) => Ok(()),
            }
        }
    });
    let api: Api<K> = Api::namespaced(cluster.client(), &namespace);
    api.create(&PostParams::default(), &object).await.map(drop).map_err(refused(attempt, cluster.name()))
}

fn refused(attempt: &'static str, cluster: &str) -> impl FnOnce(kube::Error) -> InjectError {
    let cluster = cluster.to_owned();
    move |source| InjectError::Api { attempt, cluster, source: Box::new(source) }
}
