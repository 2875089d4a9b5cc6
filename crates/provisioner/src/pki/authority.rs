//! One certificate authority: a self-signed certificate and its key, and the kubelet certificates that it issues.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

use super::{PkiError, Secret};

/// The validity of an authority, as in kubeadm (`CertificateValidity` of CAs: ten years).
const LIFETIME: Duration = Duration::days(3650);
/// The validity of its leaves, as in kubeadm: a year.
const LEAF_LIFETIME: Duration = Duration::days(365);
/// A certificate is valid from this long before it is made, because the clocks of nodes may be behind.
const SKEW: Duration = Duration::minutes(5);

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS #8.
    pub key: Secret,
}

impl Authority {
    /// Makes an authority on P-256, which costs a fraction of RSA and works with every TLS stack in a cluster.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the key cannot be generated or the certificate cannot be signed.
    pub fn make(name: &str) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Make { what: format!("the authority '{name}'"), source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // What kubeadm's own authorities carry (client-go `NewSelfSignedCACert`).
        params.key_usages = vec![
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - SKEW;
        params.not_after = now + LIFETIME;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
    }

    /// Issues a kubelet's client certificate for the API server: user `system:node:<node>` of group `system:nodes`
    /// (kubernetes.io, "Using Node Authorization"). Returns the certificate followed by its key, both PEM.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the key cannot be generated, or when the authority's own certificate or key cannot be
    /// parsed.
    pub fn kubelet(&self, node: &str) -> Result<Secret, PkiError> {
        let failed = |source| PkiError::Make { what: format!("the certificate of {node}'s kubelet"), source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - SKEW;
        params.not_after = now + LEAF_LIFETIME;
        let signing = KeyPair::from_pem(self.key.reveal()).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, signing).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Secret::new(certificate.pem() + &key.serialize_pem()))
    }
}
