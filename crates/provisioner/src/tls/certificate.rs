//! What a certificate says, read back from its PEM. Pure.

use jiff::{SignedDuration, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::digest::fingerprint;

use super::DAY;

/// How long before its end a certificate is called expiring.
const SOON: SignedDuration = DAY.checked_mul(30).expect("a month of seconds fits");

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of its subject, where it has one.
    pub subject: String,
    /// The DNS names that it is for; an authority has none.
    pub names: Vec<String>,
    /// Its serial number in hex, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of the whole, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
}

/// What a certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Clients accept it.
    Valid,
    /// They do, for another month at most.
    Expiring,
    /// Its time is over.
    Expired,
    /// The instance's authority did not sign it: an earlier one did.
    Orphaned,
}

impl std::fmt::Display for Standing {
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
    /// What the first certificate in a PEM file says.
    ///
    /// # Errors
    /// Why it is none; nothing of the text is quoted.
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

    /// What its dates make of it.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.not_after.duration_since(now) {
            left if left.is_negative() => Standing::Expired,
            left if left < SOON => Standing::Expiring,
            _ => Standing::Valid,
        }
    }
}

/// The first block of a PEM file, which has to be a certificate.
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
