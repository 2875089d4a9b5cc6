//! Who vouches for whom: the certificate authorities of a cluster, made on the host.
//!
//! kubeadm finds them in place and makes none itself; it only issues leaves below them. They are kept in the
//! instance's folder, readable by their owner alone. Next in the flow: `kubeadm` puts them on the first node.

mod authority;
mod bundle;

use std::fmt;

use crate::files::FileError;

use crate::error::Hint;

pub use authority::Authority;
pub use bundle::Bundle;

/// Text that is never shown: `Debug` and `Display` say `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why there are no authorities.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or a certificate could not be made.
    #[error("make {what}")]
    Make {
        /// `the key of acme kubernetes`.
        what: String,
        /// The library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// One of the files.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Hint for PkiError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Make { .. } => None,
        }
    }
}
