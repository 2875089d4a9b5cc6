//! Why there is no certificate, and what to do about it.

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::error::Hint;
use crate::files::FileError;

use super::Refused;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority may not vouch for these names.
    #[error("the authority of {suffix} does not vouch for:{}", listed(.names))]
    Refused {
        /// What it vouches for, `acme.lab`.
        suffix: String,
        /// Every refused name.
        names: Vec<Refused>,
    },
    /// The instance has no authority.
    #[error("instance '{instance}' has no certificate authority: there is no {path}")]
    NoAuthority {
        /// The instance's name.
        instance: String,
        /// Where it would be.
        path: Utf8PathBuf,
    },
    /// What is in the authority's place is something else.
    #[error("{path} is not the authority of instance '{instance}': {why}")]
    NotOurs {
        /// The instance's name.
        instance: String,
        /// The certificate.
        path: Utf8PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authority's time is over.
    #[error("the authority of instance '{instance}' ended at {since}")]
    Ended {
        /// The instance's name.
        instance: String,
        /// When.
        since: Timestamp,
    },
    /// It is no certificate. The reason quotes nothing of the file: it might be a key.
    #[error("{path} is no certificate: {why}")]
    Unreadable {
        /// The file.
        path: Utf8PathBuf,
        /// Where it stops to make sense.
        why: String,
    },
    /// A key or a certificate cannot be made.
    #[error("make {what}")]
    Make {
        /// `the key of app.acme.lab`.
        what: String,
        /// The library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// The kernel gives no randomness.
    #[error("draw a serial number")]
    Serial(#[source] rustix::io::Errno),
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
}

fn listed(names: &[Refused]) -> String {
    names.iter().map(|refused| format!("\n{refused}")).collect()
}

impl Hint for TlsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { suffix, .. } => Some(format!(
                "names like app.{suffix} or *.{suffix} are fine; each instance's authority vouches for the names \
                 of that instance only, and clients hold it to that"
            )),
            Self::NoAuthority { instance, .. } => {
                Some(format!("`homelab tls init --instance {instance}` makes one"))
            }
            Self::NotOurs { instance, .. } | Self::Ended { instance, .. } => Some(format!(
                "`homelab tls rotate --instance {instance}` makes a new one and issues every certificate anew"
            )),
            Self::Unreadable { path, .. } => {
                Some(format!("nothing was changed; remove {path} if it is of no use to you"))
            }
            Self::File(error) => error.hint(),
            Self::Make { .. } | Self::Serial(_) => None,
        }
    }
}
