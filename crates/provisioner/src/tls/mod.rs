//! An instance's own certificate authority: it vouches for `<prefix>.lab` and the names below it, for servers
//! of one client and of no other.
//!
//! That does not rest on our good behaviour. The authority carries a critical name constraint (RFC 5280,
//! section 4.2.1.10), so whoever trusts it refuses any other name, also one signed with a stolen key.
//! [`Authority`] and its leaves are made purely, up to key and serial; [`Folder`] keeps them below the
//! instance's folder. It has nothing to do with [`pki`](crate::pki), which Kubernetes needs for itself.
//! Next in the flow: [`trust`](crate::trust) makes the host accept the authority.

mod names;
mod certificate;
mod authority;
mod constraint;
mod leaf;
mod folder;
mod error;

pub use authority::Authority;
pub use certificate::{Certificate, Standing};
pub use error::TlsError;
pub use folder::{Folder, Found, Init, Issued, Rotated};
pub use leaf::{LONGEST_DAYS, Leaf};
pub use names::{HostNames, Refused};

use jiff::{SignedDuration, Timestamp};
use rcgen::SerialNumber;
use time::OffsetDateTime;

/// How far back a certificate begins: clocks of clients may be a little behind.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Draws a serial number of 16 bytes. The first bit is clear, so that it is positive, and the second is set, so
/// that it is never shorter: 126 random bits (RFC 5280, section 4.1.2.2; at least 64 are asked for by the
/// CA/Browser Forum's Baseline Requirements, section 7.1).
fn serial() -> Result<SerialNumber, TlsError> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(TlsError::Serial)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A time as rcgen takes it, in whole seconds as certificates have it (RFC 5280, section 4.1.2.5).
fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).expect("both crates end with the year 9999")
}
