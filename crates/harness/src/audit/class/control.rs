//! Classes C: control planes and credentials.
//!
//! A server's refusal of foreign credentials can be tested only over an open path, so these probes run on the host. C1
//! and all of N test that no such path exists between instances.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use probe::{Ask, Credentials};
use provisioner::plan::Role;

use crate::audit::subject::{AuthorityRole, KnownCertificate, NodeSubject, Subject};
use crate::audit::viewpoint::Stand;

use super::questions::{answered, certificate, https, lack, token};
use super::{
    Applies, Class, ClassId, Fact, Injection, Method, MissingPart, Part, Proof, Question, Questions, Scene,
    Towards,
};

const BOTH: &[Stand] = &[Stand::Pod, Stand::Routed];
const HOST: &[Stand] = &[Stand::Host];

const ETCD_PORT: u16 = 2379;
const KUBELET_PORT: u16 = 10250;
/// A path that every authenticated user may read: the API server answers 403 to anonymous requests, and 401 to
/// credentials that it does not accept (Kubernetes, `system:discovery`).
const KNOWN_ONLY: &str = "/api";
/// All secrets of the cluster.
const SECRETS: &str = "/api/v1/secrets";

const LOGIN: &[Part] = &[Part::ApiServer, Part::Credentials];

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    (from, needs): (&'static [Stand], &'static [Part]),
    way: Method,
    injection: Injection,
) -> Class {
    let towards = Towards::Instances;
    Class::new(id, (title, means), (from, towards), way, needs, injection)
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::C1,
        "API server reachable",
        "the source can connect to the target's API server: a vulnerability or a stolen key is enough to enter",
        (BOTH, &[Part::ApiServer]),
        Method::Probes(api),
        Injection::ForwardApi,
    ),
    class(
        ClassId::C2,
        "client certificate of another instance",
        "the target's API server accepts a client certificate of the source, or a front proxy's, or gives Secrets to \
         clients without credentials",
        (HOST, LOGIN),
        Method::Probes(client_certificates),
        Injection::ForeignClients,
    ),
    class(
        ClassId::C3,
        "service-account token of another instance",
        "the target's API server accepts a service-account token of the source",
        (HOST, LOGIN),
        Method::Probes(service_account),
        Injection::ForeignTokens,
    ),
    class(
        ClassId::C4,
        "bootstrap token of another instance",
        "the target's API server accepts a bootstrap token of the source, so a foreign node could join",
        (HOST, LOGIN),
        Method::Probes(bootstrap),
        Injection::ForeignBootstrap,
    ),
    class(
        ClassId::C5,
        "certificate authority of another instance",
        "the source can make certificates that clients of the target's servers trust",
        (HOST, &[Part::ApiServer, Part::Backends, Part::Credentials]),
        Method::Probes(authority),
        Injection::ForeignServer,
    ),
    class(
        ClassId::C6,
        "identity of the kubeconfig",
        "a command for the source's cluster is executed on the target's cluster",
        (HOST, &[Part::Record]),
        Method::Fact(Fact::Identity),
        Injection::SwappedContext,
    ),
    class(
        ClassId::C7,
        "etcd and kubelets",
        "the source bypasses the target's API server and reads or writes all secrets and pods",
        (HOST, &[Part::Backends, Part::Credentials]),
        Method::Probes(backends as Questions),
        Injection::AnonymousKubelet,
    ),
    class(
        ClassId::C8,
        "SSH keys",
        "an SSH key of the source opens a node of the target",
        (HOST, &[Part::Files]),
        Method::Fact(Fact::Keys),
        Injection::ForeignKey,
    )
    .where_it(ssh_servers),
    class(
        ClassId::C9,
        "shared image store",
        "root on a node of the source can change programs that run in the target",
        (HOST, &[Part::Files, Part::Host]),
        Method::Fact(Fact::Stores),
        Injection::SharedStore,
    ),
    class(
        ClassId::C10,
        "secrets in files and logs",
        "the source's files or logs contain a key to the target",
        (HOST, &[Part::Files, Part::Host, Part::Credentials]),
        Method::Fact(Fact::Secrets),
        Injection::LeakedSecret,
    ),
];

/// Whether nodes of both sides have an SSH server or accept SSH keys.
fn ssh_servers(source: &Subject, target: Option<&Subject>) -> Applies {
    for subject in [Some(source), target].into_iter().flatten() {
        if let Some(node) = subject.nodes.iter().find(|node| node.found.is_none()) {
            return Applies::Unknown(format!("whether {} has an SSH server could not be read", node.name));
        }
        if subject.nodes.iter().all(|node| node.found.as_ref().is_some_and(|found| found.ssh.is_empty())) {
            return Applies::No(format!(
                "none of the {} nodes of '{}' has an SSH server, an SSH host key or a file with accepted keys",
                subject.nodes.len(),
                subject.name
            ));
        }
    }
    Applies::Yes
}

/// To the cluster's API address, and to each control plane's own address where that differs. An API address on loopback
/// is the host's own way in, and no other system can use it.
fn api(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let api = &scene.instance().api;
    let access = api.access.into_iter().filter(|access| !access.ip().is_loopback());
    let all: BTreeSet<SocketAddr> = access.chain(api.endpoints.iter().copied()).collect();
    let knock = |to| answered("https", https(to, &api.name, "/version", Credentials::None));
    Ok(all.into_iter().map(knock).collect())
}

fn at_api(target: &Subject, path: &str, credentials: Credentials) -> Result<Ask, MissingPart> {
    let access = target.api.access.ok_or_else(|| lack(target, "an address of its API server"))?;
    Ok(https(access, &target.api.name, path, credentials))
}

/// Requests with the same credentials to every API server of the target: to the cluster's API address and to each control
/// plane's own. The host reaches both kinds, unless the cluster is attached, where only the first is sure to be reached.
fn at_every_api(
    target: &Subject,
    (protocol, path, proof): (&'static str, &str, Proof),
    credentials: &Credentials,
) -> Result<Vec<Question>, MissingPart> {
    let access = target.api.access.ok_or_else(|| lack(target, "an address of its API server"))?;
    let own = target.uplink.iter().flat_map(|_| target.api.endpoints.iter().copied());
    let all: BTreeSet<SocketAddr> = [access].into_iter().chain(own).collect();
    let ask = |to| https(to, &target.api.name, path, credentials.clone());
    Ok(all.into_iter().map(|to| Question { protocol, ask: ask(to), proof }).collect())
}

/// Each client certificate of the source, as a client's and as a front proxy's that speaks for an administrator; and a
/// request for secrets without any credentials. A control shows certificates to the servers that their authority is for,
/// and an administrator's in place of the others: it shows that the path is open.
fn client_certificates(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (source, target) = (scene.source, scene.instance());
    let administrator = certificate(source, source.credentials.administrator.as_ref())?;
    let mut questions = Vec::new();
    if scene.is_control() {
        // Only the administrator's certificate is known of an attached cluster.
        let other = ("other certificates", KNOWN_ONLY, Proof::Login);
        questions.extend(at_every_api(target, other, &administrator)?);
    }
    for known in certificates(source)? {
        let shown = certificate(source, Some(&known.shown))?;
        let (protocol, shown) = match known.signer {
            Some(AuthorityRole::Cluster) => ("client certificates", shown),
            _ => ("other certificates", or_right(scene, &administrator, shown)),
        };
        questions.extend(at_every_api(target, (protocol, KNOWN_ONLY, Proof::Login), &shown)?);
        let shown = match known.signer {
            Some(AuthorityRole::FrontProxy) => front_proxy(known),
            _ => or_right(scene, &administrator, front_proxy(known)),
        };
        questions.extend(at_every_api(target, ("front proxies", KNOWN_ONLY, Proof::Login), &shown)?);
    }
    let shown = or_right(scene, &administrator, Credentials::None);
    questions.extend(at_every_api(target, ("anonymous", SECRETS, Proof::Access), &shown)?);
    Ok(questions)
}

/// Credentials that the source's own servers do not accept; in a control, the right ones in their place, which show that the
/// path is open.
fn or_right(scene: &Scene<'_>, right: &Credentials, shown: Credentials) -> Credentials {
    if scene.is_control() { right.clone() } else { shown }
}

fn certificates(of: &Subject) -> Result<&[KnownCertificate], MissingPart> {
    of.credentials.certificates.as_deref().ok_or_else(|| lack(of, "client certificates that could be read"))
}

/// A certificate as that of a front proxy that speaks for an administrator (Kubernetes, "Authenticating Proxy").
fn front_proxy(known: &KnownCertificate) -> Credentials {
    Credentials::FrontProxy {
        certificate: known.shown.certificate.clone(),
        key: known.shown.key.reveal().to_owned(),
        user: "kubernetes-admin".to_owned(),
        group: "system:masters".to_owned(),
    }
}

fn service_account(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let own = scene.source;
    let shown = token(own, own.credentials.service_account.as_ref(), "a service-account token to show")?;
    at_every_api(scene.instance(), ("https", KNOWN_ONLY, Proof::Login), &shown)
}

fn bootstrap(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let own = scene.source;
    let shown = token(own, own.credentials.bootstrap.as_ref(), "a bootstrap token to show")?;
    at_every_api(scene.instance(), ("https", KNOWN_ONLY, Proof::Login), &shown)
}

/// Handshakes that trust only the source's authorities, with the target's servers. etcd asks for a client certificate
/// of its own authority, so the probe has one. The other authorities have no server to probe: S2 compares their
/// fingerprints.
fn authority(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (source, target) = (scene.source, scene.instance());
    let only = |ask: Ask, pem: String| match ask {
        Ask::Https { to, name, path, credentials, .. } => {
            Ask::Https { to, name, path, credentials, authority: Some(pem) }
        }
        other => other,
    };
    let question = |protocol, ask| Question { protocol, ask, proof: Proof::Handshake };
    let api = only(at_api(target, "/version", Credentials::None)?, pem(source, AuthorityRole::Cluster)?);
    let mut questions = vec![question("API server", api)];
    for node in control_planes(target) {
        let shown = certificate(target, target.credentials.signed_by(AuthorityRole::Etcd))?;
        let etcd = https((node.address, ETCD_PORT).into(), &node.name, "/version", shown);
        questions.push(question("etcd", only(etcd, pem(source, AuthorityRole::Etcd)?)));
    }
    Ok(questions)
}

fn pem(of: &Subject, role: AuthorityRole) -> Result<String, MissingPart> {
    let found = of.authorities.iter().flatten().find(|authority| authority.role == role);
    found.and_then(|authority| authority.pem.clone()).ok_or_else(|| lack(of, role.name()))
}

fn control_planes(of: &Subject) -> impl Iterator<Item = &NodeSubject> {
    of.nodes.iter().filter(|node| node.role == Role::ControlPlane)
}

/// Requests to etcd and the kubelets with each credential of the source, and with none. A control shows what these servers
/// know, and the right credentials in place of the others: it shows that the path is open. Scheduler and controller
/// manager listen on loopback (kubeadm); N11 probes their ports. At its port for members, etcd compares a certificate with the
/// address that it comes from, so no control would succeed there; S2 compares the authorities.
fn backends(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (source, target) = (scene.source, scene.instance());
    let etcd = certificate(source, source.credentials.signed_by(AuthorityRole::Etcd))?;
    let kubelet = certificate(source, source.credentials.administrator.as_ref())?;
    let (mut to_etcd, mut to_kubelet) = (Vec::new(), Vec::new());
    for known in certificates(source)? {
        let shown = certificate(source, Some(&known.shown))?;
        match known.signer {
            Some(AuthorityRole::Etcd) => to_etcd.push(("etcd", shown.clone())),
            _ => to_etcd.push(("etcd, other certificates", or_right(scene, &etcd, shown.clone()))),
        }
        match known.signer {
            Some(AuthorityRole::Cluster) => to_kubelet.push(("kubelet", shown)),
            _ => to_kubelet.push(("kubelet, other certificates", or_right(scene, &kubelet, shown))),
        }
    }
    for (shown, what) in [
        (&source.credentials.service_account, "a service-account token to show"),
        (&source.credentials.bootstrap, "a bootstrap token to show"),
    ] {
        to_kubelet.push(("kubelet, tokens", token(source, shown.as_ref(), what)?));
    }
    to_etcd.push(("etcd, anonymous", or_right(scene, &etcd, Credentials::None)));
    let anonymous = or_right(scene, &kubelet, Credentials::None);
    let ask =
        |node: &NodeSubject, port, path, shown| https((node.address, port).into(), &node.name, path, shown);
    let at_etcd = control_planes(target).flat_map(|node| {
        to_etcd.iter().map(|(protocol, shown)| {
            let ask = ask(node, ETCD_PORT, "/version", shown.clone());
            Question { protocol, ask, proof: Proof::Handshake }
        })
    });
    let at_kubelet = target.nodes.iter().flat_map(|node| {
        let known = to_kubelet.iter().map(|(protocol, shown)| {
            let ask = ask(node, KUBELET_PORT, "/pods", shown.clone());
            Question { protocol, ask, proof: Proof::Login }
        });
        let ask = ask(node, KUBELET_PORT, "/pods", anonymous.clone());
        known.chain([Question { protocol: "kubelet, anonymous", ask, proof: Proof::Access }])
    });
    Ok(at_etcd.chain(at_kubelet).collect())
}
