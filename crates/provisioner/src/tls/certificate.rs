//! Reads the fields of a certificate from its PEM. Pure.

use jiff::{SignedDuration, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::digest::fingerprint;

use super::DAY;

/// A certificate that ends within this time is expiring.
const SOON: SignedDuration = DAY.checked_mul(30).expect("a month is within range");

/// The fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of its subject; empty without one.
    pub subject: String,
    /// Its subject alternative names; empty for an authority.
    pub names: Vec<String>,
    /// Its serial number in hex, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// The beginning of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
}

/// The state of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// TLS clients accept it.
    Valid,
    /// TLS clients accept it for less than 30 days more.
    Expiring,
    /// Its validity has ended.
    Expired,
    /// The instance's present authority did not sign it, for instance because an earlier one did.
    Orphaned,
}

impl std::fmt::Display for CertificateState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Orphaned => "orphaned",
        })
    }
}

impl Certificate {
    /// Reads the first block of a PEM file.
    ///
    /// # Errors
    /// The reason for which it is not a certificate, as a sentence that quotes nothing of the text.
    pub fn read(pem: &str) -> Result<Self, String> {
        let block = block(pem)?;
        let certificate = parsed(&block)?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => other.to_string(),
        });
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| "its dates are out of range".to_owned())
        };
        Ok(Self {
            subject: common_name(&certificate).unwrap_or_default().to_owned(),
            names: names.collect(),
            serial: hex(certificate.raw_serial()).concat(),
            not_before: time(certificate.validity().not_before)?,
            not_after: time(certificate.validity().not_after)?,
            fingerprint: fingerprint(&block.contents),
        })
    }

    /// The state by its dates alone; never [`CertificateState::Orphaned`].
    pub fn standing(&self, now: Timestamp) -> CertificateState {
        match self.not_after.duration_since(now) {
            left if left.is_negative() => CertificateState::Expired,
            left if left < SOON => CertificateState::Expiring,
            _ => CertificateState::Valid,
        }
    }
}

/// The first block of a PEM file; an error if it is not a certificate.
pub(super) fn block(pem: &str) -> Result<Pem, String> {
    let (_, block) =
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| "it is not PEM".to_owned())?;
    if block.label == "CERTIFICATE" { Ok(block) } else { Err(format!("it is a {}", block.label)) }
}

/// The certificate in a block.
pub(super) fn parsed(block: &Pem) -> Result<X509Certificate<'_>, String> {
    block.parse_x509().map_err(|error| format!("it cannot be parsed: {error}"))
}

/// The common name of a certificate's subject.
pub(super) fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok())
}

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
