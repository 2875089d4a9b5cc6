//! A leaf: a server's certificate, signed by the authority of its instance.

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use crate::pki::Secret;

use super::{Authority, Certificate, DAY, HostNames, SKEW, TlsError, date, serial};

/// The longest validity of a leaf, in days: the limit that browsers have set for public authorities, and less than the
/// 825 days that Apple's systems accept from private ones.
pub const LONGEST_DAYS: u16 = 397;

/// The longest common name, in characters (RFC 5280, appendix A.1: `ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;

/// A server's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, PEM. The authority's is not included: a TLS client that trusts the authority has it.
    pub certificate: String,
    /// Its key, PKCS #8 as PEM.
    pub key: Secret,
    /// The certificate's fields.
    pub about: Certificate,
}

impl Authority {
    /// Issues a leaf that is valid from now for `days` days, for [`LONGEST_DAYS`] at most and never longer than the
    /// authority. The names are in the subject alternative name (RFC 5280, section 4.2.1.6). The common name repeats
    /// the first name for readers, if it is short enough. After the authority's end, the leaf would have expired
    /// already; [`Folder::issue`](super::Folder::issue) refuses that case.
    ///
    /// # Errors
    /// [`TlsError::Make`] when the key or the certificate cannot be made, for instance because the authority's own
    /// certificate or key cannot be parsed; [`TlsError::Serial`] when the kernel gives no random bytes.
    ///
    /// # Panics
    /// When `now` plus `days` is after the year 9999, or when the new certificate cannot be parsed, which would be a bug.
    pub fn issue(&self, names: &HostNames, days: u16, now: Timestamp) -> Result<Leaf, TlsError> {
        let first = names.first();
        let failed = |source| TlsError::Make { what: format!("the certificate of {first}"), source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if first.len() <= LONGEST_COMMON_NAME {
            params.distinguished_name.push(DnType::CommonName, first);
        }
        let name = |name: &String| name.as_str().try_into().map(SanType::DnsName);
        params.subject_alt_names =
            names.as_slice().iter().map(name).collect::<Result<_, _>>().map_err(failed)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        let end = (now + DAY * i32::from(days.min(LONGEST_DAYS))).min(self.about.not_after);
        params.not_before = date(now - SKEW);
        params.not_after = date(end);
        let signing = KeyPair::from_pem(self.key.reveal()).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, signing).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        let about = Certificate::read(&certificate).expect("a certificate of rcgen can be read");
        Ok(Leaf { certificate, key: Secret::new(key.serialize_pem()), about })
    }
}
