//! Errors of an instance's authority and its certificates, with hints.

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::error::Hint;
use crate::files::FileError;

use super::Refused;

/// Why an authority or a certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority must not sign these names.
    #[error("the authority of {suffix} cannot sign certificates for:{}", listed(.names))]
    Refused {
        /// The authority's suffix, `acme.lab`.
        suffix: String,
        /// Every refused name.
        names: Vec<Refused>,
    },
    /// The instance has no authority.
    #[error("instance '{instance}' has no certificate authority: {path} does not exist")]
    NoAuthority {
        /// The instance's name.
        instance: String,
        /// The authority's certificate.
        path: Utf8PathBuf,
    },
    /// The file in the authority's place is not the instance's authority.
    #[error("{path} is not the authority of instance '{instance}': {why}")]
    NotOurs {
        /// The instance's name.
        instance: String,
        /// The file.
        path: Utf8PathBuf,
        /// The problem, as a sentence: `its key cannot be read`.
        why: String,
    },
    /// The authority has expired.
    #[error("the authority of instance '{instance}' expired at {since}")]
    Ended {
        /// The instance's name.
        instance: String,
        /// The end of its validity.
        since: Timestamp,
    },
    /// The file is not a certificate.
    #[error("{path} is not a certificate: {why}")]
    Unreadable {
        /// The file.
        path: Utf8PathBuf,
        /// The reason, as a sentence. It quotes nothing of the file, which might be a key.
        why: String,
    },
    /// A key or a certificate cannot be made.
    #[error("make {what}")]
    Make {
        /// `the certificate of app.acme.lab`.
        what: String,
        /// The library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// The kernel gives no randomness.
    #[error("generate a serial number")]
    Serial(#[source] rustix::io::Errno),
    /// A file or folder cannot be used.
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
                "use names such as app.{suffix} or *.{suffix}: an instance's authority signs names of that \
                 instance only, and TLS clients refuse all others"
            )),
            Self::NoAuthority { instance, .. } => {
                Some(format!("`homelab tls init --instance {instance}` makes one"))
            }
            Self::NotOurs { instance, .. } | Self::Ended { instance, .. } => Some(format!(
                "`homelab tls rotate --instance {instance}` makes a new one and issues every certificate again"
            )),
            Self::Unreadable { path, .. } => {
                Some(format!("nothing was changed; `rm {path}` if you do not need the file"))
            }
            Self::File(error) => error.hint(),
            Self::Make { .. } | Self::Serial(_) => None,
        }
    }
}
