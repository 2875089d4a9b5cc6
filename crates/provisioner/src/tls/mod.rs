//! An instance's certificate authority for servers: it signs `<prefix>.lab` and the names below it, and no others.
//!
//! The limit does not depend on this module's checks. The authority has a critical name constraint (RFC 5280,
//! section 4.2.1.10), so TLS clients that trust it refuse any other name, also in a certificate that was signed with a
//! stolen key. [`Authority`] and its leaves are made purely, apart from key and serial number; [`Folder`] keeps them
//! below the instance's folder. The authorities of [`pki`](crate::pki), which Kubernetes needs for itself, are others.
//! Next in the flow: [`trust`](crate::trust) makes the host accept the authority.

mod names;
mod certificate;
mod authority;
mod constraint;
mod leaf;
mod folder;
mod error;

pub use authority::Authority;
pub use certificate::{Certificate, CertificateState};
pub use error::TlsError;
pub use folder::{Folder, Found, Init, Issued, Rotated};
pub use leaf::{LONGEST_DAYS, Leaf};
pub use names::{HostNames, Refused};

use jiff::{SignedDuration, Timestamp};
use rcgen::SerialNumber;
use time::OffsetDateTime;

/// A certificate is valid from this long before it is made, because the clocks of TLS clients may be behind.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Generates a serial number of 16 bytes. The first bit is clear, so that the number is positive. The second is set, so
/// that it is never shorter. That leaves 126 random bits (RFC 5280, section 4.1.2.2; the CA/Browser Forum's Baseline
/// Requirements, section 7.1, require at least 64).
fn serial() -> Result<SerialNumber, TlsError> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(TlsError::Serial)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A time for rcgen, in whole seconds, as in certificates (RFC 5280, section 4.1.2.5).
fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).expect("both crates end with the year 9999")
}
