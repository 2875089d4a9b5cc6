//! The authorities of an instance: the CA certificates and keys in force on its first node, and its HomeLab CA.

use provisioner::home::Home;
use provisioner::kubernetes::PKI;
use provisioner::tls::Folder;
use sha2::{Digest, Sha256};
use x509_parser::pem::{Pem, parse_x509_pem};

use crate::audit::{AuthorityRole, KnownAuthority};
use crate::cluster::TestCluster;

/// The paths of the authorities' files on a cluster's first node.
pub(super) fn files() -> Vec<String> {
    on_node().map(|(_, file)| file).collect()
}

/// All authorities, from the contents of [`files`] in the same order, and from the HomeLab CA on the host. `None` when
/// one cannot be read.
pub(super) async fn of(home: &Home, cluster: &TestCluster, said: &[String]) -> Option<Vec<KnownAuthority>> {
    let own = Folder::of(home, &cluster.inner().instance).authority_path();
    let own = tokio::fs::read_to_string(own).await.ok()?;
    let on_node = on_node().map(|(role, _)| role).zip(said.iter().cloned());
    on_node.chain([(AuthorityRole::HomeLab, own)]).map(|(role, pem)| read(role, pem)).collect()
}

/// The authorities on the node, each with its path. The HomeLab CA is a file of the host, so it is not among them.
fn on_node() -> impl Iterator<Item = (AuthorityRole, String)> {
    AuthorityRole::ALL.into_iter().filter_map(|role| {
        let file = match role {
            AuthorityRole::HomeLab => return None,
            AuthorityRole::Cluster => "ca.crt",
            AuthorityRole::Etcd => "etcd/ca.crt",
            AuthorityRole::FrontProxy => "front-proxy-ca.crt",
            AuthorityRole::ServiceAccounts => "sa.pub",
        };
        Some((role, format!("{PKI}/{file}")))
    })
}

/// The fingerprints of a certificate and its key, or of a public key alone. `None` for other PEM. Both contain the key
/// in the same form (`SubjectPublicKeyInfo`, RFC 5280, section 4.1), so the fingerprints of their keys can be compared.
/// Pure.
fn read(role: AuthorityRole, pem: String) -> Option<KnownAuthority> {
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).ok()?;
    let (certificate, key) = prints(&parsed)?;
    Some(KnownAuthority { role, pem: certificate.is_some().then_some(pem), certificate, key })
}

/// The fingerprints of a certificate and its key, or of a public key alone. `None` for other PEM. Pure.
pub(super) fn prints(block: &Pem) -> Option<(Option<String>, String)> {
    match block.label.as_str() {
        "CERTIFICATE" => {
            let certificate = block.parse_x509().ok()?;
            Some((Some(sha256(&block.contents)), sha256(certificate.public_key().raw)))
        }
        "PUBLIC KEY" => Some((None, sha256(&block.contents))),
        _ => None,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Bundle;

    use super::*;

    #[test]
    fn a_key_has_the_same_fingerprint_in_every_role() {
        let bundle = Bundle::make("acme").unwrap();
        let cluster = read(AuthorityRole::Cluster, bundle.cluster.certificate.clone()).unwrap();
        assert_eq!(cluster.pem.as_ref(), Some(&bundle.cluster.certificate));
        assert!(cluster.certificate.is_some_and(|print| print.len() == 64 && print != cluster.key));
        let accounts = read(AuthorityRole::ServiceAccounts, bundle.service_account_public.clone()).unwrap();
        assert_eq!((accounts.certificate, accounts.pem), (None, None));
        // One key in two roles has the same fingerprint in both.
        let pair = rcgen::KeyPair::from_pem(bundle.service_account_key.reveal()).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        assert_eq!(read(AuthorityRole::Etcd, certificate.pem()).unwrap().key, accounts.key);
        assert_eq!(read(AuthorityRole::Etcd, bundle.etcd.key.reveal().to_owned()), None, "a private key");
        assert_eq!(read(AuthorityRole::Etcd, "nothing".to_owned()), None);
    }
}
