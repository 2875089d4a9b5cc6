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

use super::access::Access;
use super::cable::last;
use super::changes::{Changes, command};
use super::name_server::NameServer;
use super::{InjectError, Pair};
use crate::audit::subject::{Subject, TCP_PORT};
use crate::cluster::{TestCluster, TestNode};

const KUBELET: &str = "/var/lib/kubelet/config.yaml";

/// The source's name server resolves a name of the target: the source gets a service of that name.
pub(super) async fn foreign_names(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let full = pair.target.dns.only_here.clone();
    let name = full.split('.').next().unwrap_or_default();
    let service = json!({
        "metadata": { "name": name, "namespace": pair.namespace },
        "spec": { "ports": [{ "port": TCP_PORT }] },
    });
    let missing = || InjectError::Missing { what: "a name server", cluster: pair.source.name.clone() };
    let server = SocketAddr::from((pair.source.dns.server.ok_or_else(missing)?, 53));
    let known = NameServer {
        cluster: pair.from.clone(),
        namespace: pair.namespace.to_owned(),
        server,
        name: full.clone(),
    };
    let forgotten = known.clone();
    changes.undos.push(format!("wait until {full} does not resolve"), move || {
        let forgotten = forgotten.clone();
        async move { forgotten.until(false).await }
    });
    make::<Service>(pair.from, "create a service with the other's name", service, changes).await?;
    known.until(true).await
}

/// The target's API server accepts a service-account token of the source, from a static list (kube-apiserver,
/// `--token-auth-file`). A shared signing key alone would not do: a token has the UID of its account.
pub(super) async fn foreign_tokens(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let token = pair.source.credentials.service_account.as_ref();
    let token = token.ok_or_else(|| missing("a service-account token", pair.source))?.reveal().to_owned();
    let access = api_of(pair, Credentials::Token { token: token.clone() });
    close_behind(&access, changes);
    for node in planes(pair)? {
        let tokens = format!("{PKI}/injected.csv");
        let list = command("sh", &["-c", "umask 077; cat > \"$0\"", &tokens]);
        let list = list.input(format!("{token},injected,injected\n"));
        changes.on_node(node, &list, command("rm", &["-f", &tokens])).await?;
        let flag = format!("- kube-apiserver\n    - --token-auth-file={tokens}\n");
        changes
            .edit_on(node, API_SERVER, |manifest| manifest.replacen("- kube-apiserver\n", &flag, 1))
            .await?;
    }
    access.until(true).await
}

/// The target has the bootstrap token of the source.
pub(super) async fn foreign_bootstrap(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let token = pair.source.credentials.bootstrap.as_ref();
    let token = token.ok_or_else(|| missing("a bootstrap token", pair.source))?.reveal().to_owned();
    let (id, secret) = token.split_once('.').ok_or_else(|| missing("a bootstrap token", pair.source))?;
    let access = api_of(pair, Credentials::Token { token: token.clone() });
    close_behind(&access, changes);
    let object = json!({
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": { "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true" },
    });
    make::<KubeSecret>(pair.to, "create a bootstrap token", object, changes).await?;
    access.until(true).await
}

/// The target's API server sends, after its own certificate, a certificate of its CA that the source's CA has
/// cross-signed. A TLS client that trusts either CA accepts the server, so the target goes on working.
pub(super) async fn foreign_server(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (ours, theirs) = (plane(pair.from)?, plane(pair.to)?);
    let (certificate, key) = (ours.read(CA).await?, ours.read(CA_KEY).await?);
    let cross = cross_sign(&certificate, &key, &theirs.read(CA).await?, &theirs.read(CA_KEY).await?);
    let cross = cross.map_err(InjectError::Sign)?;
    let access = Access { authority: Some(certificate), path: "/version", ..api_of(pair, Credentials::None) };
    close_behind(&access, changes);
    for node in planes(pair)? {
        changes.edit_on(node, SERVING, |shown| format!("{}\n{cross}", shown.trim_end())).await?;
    }
    access.until(true).await
}

/// A certificate with the name and key of authority `of`, signed by authority `by` (PEM each). Pure.
fn cross_sign(by: &str, by_key: &str, of: &str, of_key: &str) -> Result<String, rcgen::Error> {
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
pub(super) fn swapped_context(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let read = |path: &Utf8Path| {
        let unreadable =
            |error| InjectError::File { path: path.to_string(), source: std::io::Error::other(error) };
        Kubeconfig::read_from(path).map_err(unreadable)
    };
    let path = pair.from.kubeconfig();
    let (mut ours, theirs) = (read(path)?, read(pair.to.kubeconfig())?);
    for (own, other) in ours.clusters.iter_mut().zip(theirs.clusters) {
        own.cluster = other.cluster;
    }
    let text = serde_saphyr::to_string(&ours).expect("a kubeconfig can be written as YAML");
    changes.edit(path, |_| text)
}

/// A kubelet of the target accepts anonymous requests.
pub(super) async fn anonymous_kubelet(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let node = last(pair.to)?;
    let server = format!("https://{}:10250", node.ip());
    let access = Access { server, path: "/pods", ..api_of(pair, Credentials::None) };
    let restart = || pair.to.inner().plan.platform.restart("kubelet");
    close_behind(&access, changes);
    changes.on_node(node, &command("true", &[]), restart()).await?;
    let open = |text: &str| {
        let anonymous = text.replacen("anonymous:\n    enabled: false", "anonymous:\n    enabled: true", 1);
        anonymous.replacen("mode: Webhook", "mode: AlwaysAllow", 1)
    };
    changes.edit_on(node, KUBELET, open).await?;
    node.run(&restart()).await?;
    access.until(true).await
}

pub(super) fn missing(what: &'static str, of: &Subject) -> InjectError {
    InjectError::Missing { what, cluster: of.name.clone() }
}

pub(super) fn plane(of: &TestCluster) -> Result<&TestNode, InjectError> {
    let cluster = of.name().to_owned();
    of.nodes().first().ok_or(InjectError::Missing { what: "a control plane", cluster })
}

/// The control-plane nodes of the target.
pub(super) fn planes<'a>(pair: &Pair<'a>) -> Result<Vec<&'a TestNode>, InjectError> {
    let of_role = pair.target.nodes.iter().filter(|node| node.role == Role::ControlPlane);
    let nodes =
        of_role.filter_map(|planned| pair.to.nodes().iter().find(|node| node.real_name() == planned.name));
    let nodes: Vec<_> = nodes.collect();
    if nodes.is_empty() { Err(missing("a control plane", pair.target)) } else { Ok(nodes) }
}

/// A request to the target's API server for `/api`, which all authenticated users may read and no others (Kubernetes,
/// `system:discovery`).
pub(super) fn api_of(pair: &Pair<'_>, credentials: Credentials) -> Access {
    let (server, target) = (format!("https://{}:{API_PORT}", pair.target_api()), pair.target);
    let (cluster, slowdown) = (target.name.clone(), target.slowdown);
    Access { cluster, server, authority: None, credentials, path: "/api", slowdown }
}

/// Pushes an undo that waits until the server refuses the request again. It runs last, so it is pushed first.
pub(super) fn close_behind(access: &Access, changes: &mut Changes) {
    let access = access.clone();
    changes.undos.push(format!("wait until {} refuses", access.server), move || {
        let access = access.clone();
        async move { access.until(false).await }
    });
}

/// Creates an object in a cluster, and pushes its deletion.
async fn make<K>(
    cluster: &TestCluster,
    attempt: &'static str,
    object: Value,
    changes: &mut Changes,
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
    changes.undos.push(format!("delete {name} in {}", cluster.name()), move || {
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
