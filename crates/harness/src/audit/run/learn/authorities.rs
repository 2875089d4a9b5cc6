//! Who vouches for an instance: the certificates and keys that are in force on its first node, and its HomeLab CA.

use provisioner::home::Home;
use provisioner::tls::Folder;
use sha2::{Digest, Sha256};
use x509_parser::pem::parse_x509_pem;

use crate::audit::{Authority, AuthorityRole};
use crate::cluster::{TestCluster, TestNode};

/// Where kubeadm has them (`certificatesDir`).
const ON_NODE: &str = "/etc/kubernetes/pki";

/// All of them; nothing when one cannot be read.
pub(super) async fn of(home: &Home, cluster: &TestCluster) -> Option<Vec<Authority>> {
    let plane = cluster.nodes().first()?;
    let mut found = Vec::new();
    for role in AuthorityRole::ALL {
        let pem = match role {
            AuthorityRole::HomeLab => {
                let path = Folder::of(home, &cluster.inner().instance).authority_path();
                tokio::fs::read_to_string(path).await.ok()?
            }
            AuthorityRole::Cluster => on_node(plane, "ca.crt").await?,
            AuthorityRole::Etcd => on_node(plane, "etcd/ca.crt").await?,
            AuthorityRole::FrontProxy => on_node(plane, "front-proxy-ca.crt").await?,
            AuthorityRole::ServiceAccounts => on_node(plane, "sa.pub").await?,
        };
        found.push(read(role, pem)?);
    }
    Some(found)
}

async fn on_node(plane: &TestNode, file: &str) -> Option<String> {
    plane.read(&format!("{ON_NODE}/{file}")).await.ok()
}

/// Fingerprints of a certificate and its key, or of a bare public key. Both have the key in the same form
/// (`SubjectPublicKeyInfo`, RFC 5280, section 4.1), so that each can be compared with each.
fn read(role: AuthorityRole, pem: String) -> Option<Authority> {
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).ok()?;
    let (certificate, key) = match parsed.label.as_str() {
        "CERTIFICATE" => {
            let certificate = parsed.parse_x509().ok()?;
            (Some(sha256(&parsed.contents)), sha256(certificate.public_key().raw))
        }
        "PUBLIC KEY" => (None, sha256(&parsed.contents)),
        _ => return None,
    };
    Some(Authority { role, pem: certificate.is_some().then_some(pem), certificate, key })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Bundle;

    use super::*;

    #[test]
    fn a_key_has_one_fingerprint_wherever_it_is() {
        let bundle = Bundle::make("acme").unwrap();
        let cluster = read(AuthorityRole::Cluster, bundle.cluster.certificate.clone()).unwrap();
        assert_eq!(cluster.pem.as_ref(), Some(&bundle.cluster.certificate));
        assert!(cluster.certificate.is_some_and(|print| print.len() == 64 && print != cluster.key));
        let accounts = read(AuthorityRole::ServiceAccounts, bundle.service_account_public.clone()).unwrap();
        assert_eq!((accounts.certificate, accounts.pem), (None, None));
        // The same key under two roles is found by comparing keys.
        let pair = rcgen::KeyPair::from_pem(bundle.service_account_key.reveal()).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        assert_eq!(read(AuthorityRole::Etcd, certificate.pem()).unwrap().key, accounts.key);
        assert_eq!(read(AuthorityRole::Etcd, bundle.etcd.key.reveal().to_owned()), None, "no certificate");
        assert_eq!(read(AuthorityRole::Etcd, "nothing".to_owned()), None);
    }
}
