//! Classes C: control planes and credentials.
//!
//! A server's refusal of foreign credentials can be tested only over an open path, so these probes run on the host. C1
//! and all of N test that no such path exists between instances.

use std::net::{IpAddr, Ipv4Addr};

use probe::{Ask, Credentials};
use provisioner::plan::{API_PORT, Role};

use crate::audit::subject::{AuthorityRole, NodeSubject, Subject};
use crate::audit::viewpoint::Stand;

use super::questions::{answered, certificate, https, lack, token};
use super::{
    Class, ClassId, Coverages, Fact, Injection, Method, MissingPart, Proof, Question, Questions, Scene,
    Towards,
};

const BOTH: &[Stand] = &[Stand::Pod, Stand::Routed];
const HOST: &[Stand] = &[Stand::Host];

const ETCD_PORT: u16 = 2379;
const KUBELET_PORT: u16 = 10250;
/// A path that every authenticated user may read: the API server answers 403 to anonymous requests, and 401 to
/// credentials that it does not accept (Kubernetes, `system:discovery`).
const KNOWN_ONLY: &str = "/api";

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    from: &'static [Stand],
    way: Method,
    injection: Injection,
) -> Class {
    let (towards, coverage) = (Towards::Instances, Coverages::EVERYWHERE);
    Class { id, title, means, from, towards, way, coverage, injection: Some(injection) }
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::C1,
        "API server reachable",
        "the source can connect to the target's API server: a vulnerability or a stolen key is enough to enter",
        BOTH,
        Method::Probes(api),
        Injection::ForwardApi,
    ),
    class(
        ClassId::C2,
        "client certificate of another instance",
        "the target's API server accepts an administrator's certificate of the source",
        HOST,
        Method::Probes(client_certificate),
        Injection::ForeignClients,
    ),
    class(
        ClassId::C3,
        "service-account token of another instance",
        "the target's API server accepts a service-account token of the source",
        HOST,
        Method::Probes(service_account),
        Injection::ForeignTokens,
    ),
    class(
        ClassId::C4,
        "bootstrap token of another instance",
        "the target's API server accepts a bootstrap token of the source, so a foreign node could join",
        HOST,
        Method::Probes(bootstrap),
        Injection::ForeignBootstrap,
    ),
    class(
        ClassId::C5,
        "certificate authority of another instance",
        "the source can make certificates that clients of the target's servers trust",
        HOST,
        Method::Probes(authority),
        Injection::ForeignServer,
    ),
    class(
        ClassId::C6,
        "identity of the kubeconfig",
        "a command for the source's cluster is executed on the target's cluster",
        HOST,
        Method::Fact(Fact::Identity),
        Injection::SwappedContext,
    ),
    class(
        ClassId::C7,
        "etcd and kubelets",
        "the source bypasses the target's API server and reads or writes all secrets and pods",
        HOST,
        Method::Probes(backends as Questions),
        Injection::AnonymousKubelet,
    ),
    Class {
        id: ClassId::C8,
        title: "SSH keys",
        means: "an SSH key of the source opens a node of the target",
        from: HOST,
        towards: Towards::Instances,
        way: Method::Fact(Fact::Keys),
        coverage: Coverages::of_vms(
            "container nodes run no SSH server and have no SSH keys (N11 probes port 22)",
        ),
        injection: Some(Injection::ForeignKey),
    },
    class(
        ClassId::C9,
        "shared image store",
        "root on a node of the source can change programs that run in the target",
        HOST,
        Method::Fact(Fact::Stores),
        Injection::SharedStore,
    ),
    class(
        ClassId::C10,
        "secrets in files and logs",
        "the source's files or logs contain a key to the target",
        HOST,
        Method::Fact(Fact::Secrets),
        Injection::LeakedSecret,
    ),
];

/// To the cluster's API address, and to each control plane's own address where that differs.
fn api(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let target = scene.instance();
    let own = control_planes(target).map(|node| node.address).filter(|address| *address != target.api);
    let knock = |address: Ipv4Addr| {
        let access = (IpAddr::from(address), API_PORT);
        answered("https", https(access, &target.api_name, "/version", Credentials::None))
    };
    Ok([target.api].into_iter().chain(own).map(knock).collect())
}

fn at_api(target: &Subject, path: &str, credentials: Credentials) -> Ask {
    https((target.api.into(), API_PORT), &target.api_name, path, credentials)
}

fn login(scene: &Scene<'_>, credentials: Credentials) -> Vec<Question> {
    let ask = at_api(scene.instance(), KNOWN_ONLY, credentials);
    vec![Question { protocol: "https", ask, proof: Proof::Login }]
}

fn client_certificate(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let own = scene.source;
    Ok(login(scene, certificate(own, own.credentials.administrator.as_ref())?))
}

fn service_account(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let own = scene.source;
    Ok(login(scene, token(own, own.credentials.service_account.as_ref(), "a service-account token to show")?))
}

fn bootstrap(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let own = scene.source;
    Ok(login(scene, token(own, own.credentials.bootstrap.as_ref(), "a bootstrap token to show")?))
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
    let api = only(at_api(target, "/version", Credentials::None), pem(source, AuthorityRole::Cluster)?);
    let mut questions = vec![question("API server", api)];
    for node in control_planes(target) {
        let shown = certificate(target, target.credentials.etcd.as_ref())?;
        let etcd = https((node.address.into(), ETCD_PORT), &node.name, "/version", shown);
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

/// Requests to etcd and the kubelets, with the source's credentials and with none. The control of the anonymous request
/// has the right credentials: it shows that the path is open. Scheduler and controller manager listen on loopback
/// (kubeadm); N11 probes their ports.
fn backends(scene: &Scene<'_>) -> Result<Vec<Question>, MissingPart> {
    let (source, target) = (scene.source, scene.instance());
    let etcd = certificate(source, source.credentials.etcd.as_ref())?;
    let kubelet = certificate(source, source.credentials.administrator.as_ref())?;
    let anonymous = |shown: &Credentials| if scene.is_control() { shown.clone() } else { Credentials::None };
    let ask = |protocol, node: &NodeSubject, port, path, shown: Credentials, proof| {
        let ask = https((IpAddr::from(node.address), port), &node.name, path, shown);
        Question { protocol, ask, proof }
    };
    let at_etcd = control_planes(target).flat_map(|node| {
        [("etcd", etcd.clone()), ("etcd, anonymous", anonymous(&etcd))]
            .map(|(protocol, shown)| ask(protocol, node, ETCD_PORT, "/version", shown, Proof::Handshake))
    });
    let at_kubelet = target.nodes.iter().flat_map(|node| {
        [("kubelet", kubelet.clone()), ("kubelet, anonymous", anonymous(&kubelet))]
            .map(|(protocol, shown)| ask(protocol, node, KUBELET_PORT, "/pods", shown, Proof::Login))
    });
    Ok(at_etcd.chain(at_kubelet).collect())
}
