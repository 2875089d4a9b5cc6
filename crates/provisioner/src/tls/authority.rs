//! The authority of one instance: makes it, or reads and checks it.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};

use crate::pki::Secret;

use super::certificate::{block, common_name, parsed};
use super::{Certificate, DAY, SKEW, TlsError, constraint, date, serial};

/// Three years: longer than most labs live, short enough for a rotation to be practised.
const LIFETIME: SignedDuration = DAY.checked_mul(3 * 365).expect("three years are within range");

/// A self-signed certificate that may sign names of one suffix, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PKCS #8 as PEM.
    pub key: Secret,
    /// The certificate's fields.
    pub about: Certificate,
}

impl Authority {
    /// Makes an authority on P-256 that is valid from now.
    ///
    /// It may sign leaves but no other authority (path length 0, RFC 5280, section 4.2.1.9), only for names below the
    /// suffix (4.2.1.10), and only for servers. The last limit is its extended key usage: verifiers that apply it to
    /// authorities, as OpenSSL does, refuse what the authority signs for code, mail or clients (4.2.1.12).
    ///
    /// # Errors
    /// [`TlsError::Make`] when the key or the certificate cannot be made; [`TlsError::Serial`] when the kernel gives no
    /// random bytes.
    ///
    /// # Panics
    /// When `now` is so late that the validity would end after the year 9999, or when the new certificate cannot be
    /// parsed, which would be a bug.
    pub fn make(subject: &str, suffix: &str, now: Timestamp) -> Result<Self, TlsError> {
        let failed = |source| TlsError::Make { what: format!("the authority '{subject}'"), source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.name_constraints = Some(constraint::permitting(suffix));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial()?);
        params.not_before = date(now - SKEW);
        params.not_after = date(now + LIFETIME);
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let about = Certificate::read(&certificate).expect("a certificate of rcgen can be read");
        Ok(Self { certificate, key: Secret::new(key.serialize_pem()), about })
    }

    /// Reads an authority and checks that it is the one of this subject and suffix.
    ///
    /// # Errors
    /// The problem as a sentence, which quotes nothing of the key.
    pub(super) fn read(
        certificate: String,
        key: Secret,
        subject: &str,
        suffix: &str,
    ) -> Result<Self, String> {
        // A trust store takes the whole file, so the file must contain nothing but the certificate that is checked.
        if certificate.matches("-----BEGIN").count() > 1 {
            return Err("it contains more than one certificate".to_owned());
        }
        let block = block(&certificate)?;
        let parsed = parsed(&block)?;
        let found = common_name(&parsed).unwrap_or_default();
        if found != subject {
            return Err(format!("its subject is '{found}', not '{subject}'"));
        }
        let basic = parsed.basic_constraints().ok().flatten().map(|basic| basic.value);
        if !basic.is_some_and(|basic| basic.ca && basic.path_len_constraint == Some(0)) {
            return Err("it is not an authority with path length 0".to_owned());
        }
        if let Some(objection) = constraint::objection(&parsed, suffix) {
            return Err(objection);
        }
        let pair = KeyPair::from_pem(key.reveal()).map_err(|_| "its key cannot be read".to_owned())?;
        if pair.subject_public_key_info() != parsed.public_key().raw {
            return Err("its key belongs to another certificate".to_owned());
        }
        let about = Certificate::read(&certificate)?;
        Ok(Self { certificate, key, about })
    }

    /// Whether this authority signed a certificate; `false` when either cannot be parsed.
    pub fn vouches_for(&self, certificate: &str) -> bool {
        let blocks = block(&self.certificate).and_then(|ours| Ok((ours, block(certificate)?)));
        let Ok((ours, theirs)) = blocks else { return false };
        match (parsed(&ours), parsed(&theirs)) {
            (Ok(ours), Ok(theirs)) => theirs.verify_signature(Some(ours.public_key())).is_ok(),
            _ => false,
        }
    }
}
