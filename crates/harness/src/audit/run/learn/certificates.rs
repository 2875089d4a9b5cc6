//! The client certificates of an instance: of its administrators, servers, kubelets and front proxies, from the files of
//! all nodes, and of its context in the user's kubeconfig.

use kube::config::Kubeconfig;
use provisioner::home::Home;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::{Pem, parse_x509_pem};

use crate::audit::{AuthorityRole, ClientCertificate, KnownAuthority, KnownCertificate};
use crate::cluster::TestCluster;

use super::credentials;
use super::files::Files;
use super::secrets::{blocks, private_keys};

/// All client certificates of a cluster, each once. `on_nodes` has the files of each node. `None` if a certificate cannot
/// be read, or if an authority that signs client certificates has signed none: then one is missing.
pub(super) fn of(
    home: &Home,
    cluster: &TestCluster,
    on_nodes: &[Files],
    authorities: &[KnownAuthority],
) -> Option<Vec<KnownCertificate>> {
    let merged = home.kubeconfigs().iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let context = &cluster.inner().plan.kubeconfig_context;
    let merged = merged.flat_map(|text| users(&text, Some(context)));
    let shown = on_nodes.iter().flat_map(in_files).chain(merged);
    let mut known: Vec<KnownCertificate> = Vec::new();
    for shown in shown {
        let is_known = |other: &KnownCertificate| other.shown.certificate == shown.certificate;
        if !known.iter().any(is_known) && is_of_client(&shown)? {
            known.push(KnownCertificate { signer: signer(&shown, authorities), shown });
        }
    }
    let signers = [AuthorityRole::Cluster, AuthorityRole::Etcd, AuthorityRole::FrontProxy];
    let complete = signers.iter().all(|signer| known.iter().any(|known| known.signer == Some(*signer)));
    complete.then_some(known)
}

/// The certificates in files that have their keys: in a kubeconfig, in the same file, or in a file that differs in its
/// ending only (`.crt` and `.key`, as kubeadm names them). Pure.
fn in_files(files: &Files) -> Vec<ClientCertificate> {
    let mut found = Vec::new();
    for (path, text) in files {
        found.extend(users(text, None));
        let Some(certificate) = chain(text) else { continue };
        let beside = path.strip_suffix(".crt").and_then(|stem| files.get(&format!("{stem}.key")));
        let keys = [Some(text), beside].into_iter().flatten().flat_map(|text| private_keys(text));
        found.extend(keys.take(1).map(|key| ClientCertificate { certificate: certificate.clone(), key }));
    }
    found
}

/// The client certificates in a kubeconfig, of all users or of one context's. None in another file. Pure.
fn users(text: &str, context: Option<&str>) -> Vec<ClientCertificate> {
    let Ok(config) = Kubeconfig::from_yaml(text) else { return Vec::new() };
    let user = |context: &str| {
        let found = config.contexts.iter().find(|named| named.name == context);
        found.and_then(|named| named.context.as_ref()?.user.clone())
    };
    let only = context.map(user);
    let infos = config.auth_infos.iter().filter(|named| match &only {
        Some(user) => user.as_ref() == Some(&named.name),
        None => true,
    });
    infos.filter_map(|named| credentials::in_user(named.auth_info.as_ref()?)).collect()
}

/// The certificates of a PEM file, without other blocks; `None` without any. Pure.
fn chain(text: &str) -> Option<String> {
    let chain: String = blocks(text, "CERTIFICATE").map(|block| format!("{block}\n")).collect();
    (!chain.is_empty()).then_some(chain)
}

/// Whether a certificate is one of a client (RFC 5280, section 4.2.1.12, `id-kp-clientAuth`). `None` if it cannot be
/// read. Pure.
fn is_of_client(shown: &ClientCertificate) -> Option<bool> {
    let block = first(shown)?;
    let certificate = block.parse_x509().ok()?;
    let usage = certificate.extended_key_usage().ok()?;
    Some(!certificate.is_ca() && usage.is_some_and(|usage| usage.value.client_auth))
}

/// The authority whose key verifies the certificate. Pure.
fn signer(shown: &ClientCertificate, authorities: &[KnownAuthority]) -> Option<AuthorityRole> {
    let block = first(shown)?;
    let certificate = block.parse_x509().ok()?;
    let verifies = |authority: &&KnownAuthority| {
        let pem = authority.pem.as_ref().and_then(|pem| Some(parse_x509_pem(pem.as_bytes()).ok()?.1));
        let is_it = |ca: X509Certificate<'_>| certificate.verify_signature(Some(ca.public_key())).is_ok();
        pem.is_some_and(|pem| pem.parse_x509().is_ok_and(is_it))
    };
    authorities.iter().find(verifies).map(|authority| authority.role)
}

fn first(shown: &ClientCertificate) -> Option<Pem> {
    Some(parse_x509_pem(shown.certificate.as_bytes()).ok()?.1)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use provisioner::pki::{Authority, Bundle};
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};

    use super::*;
    use crate::audit::Secret;

    /// A certificate that an authority has signed, and its key.
    fn signed(by: &Authority, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let issuer = KeyPair::from_pem(by.key.reveal()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&by.certificate, issuer).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn client_certificates_are_found_with_their_keys_wherever_kubeadm_keeps_them() {
        let ca = Bundle::make("acme").unwrap().cluster;
        let client = || signed(&ca, ExtendedKeyUsagePurpose::ClientAuth);
        let [pair, one_file, kubeconfig] = [client(), client(), client()];
        let encoded = |text: &str| STANDARD.encode(text);
        let files = Files::from(
            [
                ("/pki/front-proxy-client.crt", pair.0.clone()),
                ("/pki/front-proxy-client.key", pair.1.clone()),
                ("/pki/ca.crt", ca.certificate.clone()),
                ("/var/lib/kubelet/pki/kubelet-client.pem", format!("{}{}", one_file.0, one_file.1)),
                (
                    "/etc/kubernetes/admin.conf",
                    format!(
                        "users:\n- name: admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
                        encoded(&kubeconfig.0),
                        encoded(&kubeconfig.1)
                    ),
                ),
            ]
            .map(|(path, text)| (path.to_owned(), text)),
        );
        let mut found: Vec<(String, String)> = in_files(&files)
            .into_iter()
            .map(|shown| (shown.certificate.replace("\r\n", "\n"), shown.key.reveal().trim().to_owned()))
            .collect();
        let mut expected = [pair, one_file, kubeconfig]
            .map(|(certificate, key)| (certificate.replace("\r\n", "\n"), key.trim().to_owned()))
            .to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_context_has_the_certificate_of_its_own_user_only() {
        let ca = Bundle::make("acme").unwrap().cluster;
        let (certificate, key) = signed(&ca, ExtendedKeyUsagePurpose::ClientAuth);
        let text = format!(
            "contexts:\n- name: acme\n  context: {{cluster: a, user: one}}\nusers:\n- name: other\n  user: {{}}\n- name: \
             one\n  user: {{client-certificate-data: {}, client-key-data: {}}}\n",
            STANDARD.encode(&certificate),
            STANDARD.encode(&key)
        );
        assert_eq!(users(&text, Some("acme")).len(), 1);
        assert_eq!(users(&text, Some("globex")), []);
        assert_eq!(users("just text", Some("acme")), []);
    }

    #[test]
    fn a_certificate_belongs_to_the_authority_whose_key_verifies_it_whatever_its_name() {
        let (acme, globex) = (Bundle::make("acme").unwrap(), Bundle::make("globex").unwrap());
        let authority = |role, of: &Authority| KnownAuthority {
            role,
            certificate: None,
            key: String::new(),
            pem: Some(of.certificate.clone()),
        };
        let authorities = [
            authority(AuthorityRole::Cluster, &acme.cluster),
            authority(AuthorityRole::Etcd, &acme.etcd),
            authority(AuthorityRole::FrontProxy, &acme.front_proxy),
        ];
        let shown = |by: &Authority, usage| {
            let (certificate, key) = signed(by, usage);
            ClientCertificate { certificate, key: Secret::new(key) }
        };
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        let etcd = shown(&acme.etcd, client.clone());
        assert_eq!(signer(&etcd, &authorities), Some(AuthorityRole::Etcd));
        assert_eq!(
            signer(&shown(&acme.front_proxy, client.clone()), &authorities),
            Some(AuthorityRole::FrontProxy)
        );
        assert_eq!(signer(&shown(&globex.cluster, client), &authorities), None);
        assert_eq!(is_of_client(&etcd), Some(true));
        assert_eq!(is_of_client(&shown(&acme.etcd, ExtendedKeyUsagePurpose::ServerAuth)), Some(false));
        let broken = ClientCertificate { certificate: "nothing".to_owned(), key: Secret::new("") };
        assert_eq!(is_of_client(&broken), None);
    }
}
