//! The authority of one instance: made, or read back and checked.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};

use crate::pki::Secret;

use super::certificate::{block, common_name, parsed};
use super::{Certificate, DAY, SKEW, TlsError, constraint, date, serial};

/// Three years: longer than most labs live, short enough for a rotation to be practised.
const LIFETIME: SignedDuration = DAY.checked_mul(3 * 365).expect("three years of seconds fit");

/// A self-signed certificate that may vouch for one suffix, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PKCS #8 as PEM.
    pub key: Secret,
    /// What the certificate says.
    pub about: Certificate,
}

impl Authority {
    /// Makes an authority on P-256 that begins now.
    ///
    /// It may sign leaves and no other authority (path length 0, RFC 5280, section 4.2.1.9), for names below
    /// the suffix (4.2.1.10), that identify servers: its extended key usage keeps it from vouching for
    /// code, mail or clients with whoever applies that to authorities too, as OpenSSL does (4.2.1.12).
    ///
    /// # Errors
    /// [`TlsError::Make`], [`TlsError::Serial`].
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
        let about = Certificate::read(&certificate).expect("what rcgen makes can be read");
        Ok(Self { certificate, key: Secret::new(key.serialize_pem()), about })
    }

    /// An authority as it was written, which has to be the one of this subject and suffix.
    ///
    /// # Errors
    /// What is wrong with it, without a word of the key.
    pub(super) fn read(
        certificate: String,
        key: Secret,
        subject: &str,
        suffix: &str,
    ) -> Result<Self, String> {
        // A trust store takes a file as a whole, so nothing may ride along with the certificate that is checked.
        if certificate.matches("-----BEGIN").count() > 1 {
            return Err("there is more than one certificate in it".to_owned());
        }
        let block = block(&certificate)?;
        let parsed = parsed(&block)?;
        let found = common_name(&parsed).unwrap_or_default();
        if found != subject {
            return Err(format!("its subject is '{found}', not '{subject}'"));
        }
        let basic = parsed.basic_constraints().ok().flatten().map(|basic| basic.value);
        if !basic.is_some_and(|basic| basic.ca && basic.path_len_constraint == Some(0)) {
            return Err("it is no authority for leaves alone".to_owned());
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

    /// Whether it signed a certificate.
    pub fn vouches_for(&self, certificate: &str) -> bool {
        let blocks = block(&self.certificate).and_then(|ours| Ok((ours, block(certificate)?)));
        let Ok((ours, theirs)) = blocks else { return false };
        match (parsed(&ours), parsed(&theirs)) {
            (Ok(ours), Ok(theirs)) => theirs.verify_signature(Some(ours.public_key())).is_ok(),
            _ => false,
        }
    }
}
