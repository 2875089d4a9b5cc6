//! What is searched of an instance in the files of others: its keys and tokens, and what only its data has.

use std::fs;

use camino::Utf8Path;
use k8s_openapi::api::core::v1::Secret as Object;
use kube::Api;
use kube::api::ListParams;
use provisioner::identity::CHAIN;
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;

use crate::audit::{Kernel, KnownAuthority, Secret, Subject};
use crate::cluster::TestCluster;

use super::files::Files;
use super::kept;
use super::needles::Wanted;
use super::secrets::{in_object, private_keys};
use super::within;

/// The length of a UID, in characters (RFC 9562, section 4).
const UID: usize = 36;
/// The control of the search: files of an instance's folder in which it has to find the instance's own secrets. These
/// have the keys of its authorities as PEM; the kubeconfig has the administrator's key as base64 of PEM.
pub(super) const OWN: [&str; 5] =
    ["pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key", "pki/sa.key", "tls/ca.key"];
pub(super) const KUBECONFIG: &str = "kubeconfig";

/// The private keys and tokens on all nodes of a cluster and in its Secrets. `None` when those of a node or the Secrets
/// cannot be read.
pub(super) async fn kept_in(cluster: &TestCluster, files: Option<Vec<Files>>) -> Option<Vec<Secret>> {
    let of_node = |files: Files| {
        let keys: Vec<Secret> = files.values().flat_map(|text| private_keys(text)).collect();
        let tokens = files.into_iter().filter(|(path, _)| path.ends_with("/token"));
        // Each node has at least the key of its kubelet.
        (!keys.is_empty())
            .then(|| keys.into_iter().chain(tokens.map(|(_, text)| Secret::new(text))).collect())
    };
    let objects: Api<Object> = Api::all(cluster.client());
    let objects = async { objects.list(&ListParams::default()).await.ok() };
    let objects = within(&cluster.inner().plan, objects).await;
    let read = files?.into_iter().map(of_node).collect::<Option<Vec<Vec<Secret>>>>()?;
    let objects = objects?.items.into_iter().flat_map(|object| {
        in_object(object.type_.as_deref().unwrap_or_default(), &object.data.unwrap_or_default())
    });
    Some(read.into_iter().flatten().chain(objects).collect())
}

/// What is searched of an instance: the secrets that are kept in it, the keys of its authorities, the SSH keys of its VMs, and
/// its traces. `None` when a secret cannot be read.
pub(super) fn of(folder: &Utf8Path, subject: &Subject, kept_in: Vec<Secret>) -> Option<Wanted> {
    let secrets = [secrets(folder, subject)?, kept_in].concat();
    let authorities = subject.authorities.iter().flatten().filter_map(issued_by);
    let uid = subject.identity.iter().flatten().find(|property| property.what == CHAIN[3]);
    let uid = uid.map(|property| property.found.clone().into_bytes()).filter(|uid| uid.len() == UID);
    Some(Wanted { secrets, traces: authorities.chain(uid).collect() })
}

/// What each certificate has that an authority has signed, and the authority's own has not: its key's identifier as that of the
/// issuer, with its tag and length (RFC 5280, section 4.2.1.1). `None` for an authority without an identifier.
fn issued_by(authority: &KnownAuthority) -> Option<Vec<u8>> {
    const TAG: u8 = 0x80;
    let (_, pem) = parse_x509_pem(authority.pem.as_ref()?.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })?;
    let length = u8::try_from(id.len()).ok()?;
    Some([&[TAG, length], id].concat())
}

/// All secrets of an instance on the host: keys, tokens, and the SSH keys of its VMs. `None` when one cannot be read.
fn secrets(folder: &Utf8Path, subject: &Subject) -> Option<Vec<Secret>> {
    let mut keys = Vec::new();
    kept::walk(folder.join("vagrant"), &mut keys).ok()?;
    keys.retain(|file| file.file_name() == Some("private_key"));
    if subject.kernel == Kernel::Own && keys.len() < subject.nodes.len() {
        return None;
    }
    let own = OWN.iter().map(|file| folder.join(file)).chain(keys);
    let own = own.map(|file| fs::read_to_string(file).ok().map(Secret::new));
    let credentials = &subject.credentials;
    let shown = [
        credentials.administrator.as_ref().map(|shown| shown.key.clone()),
        credentials.service_account.clone(),
        credentials.bootstrap.clone(),
    ];
    own.chain(shown).collect()
}
