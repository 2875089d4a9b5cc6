//! Makes the certificate authorities of a cluster, on the host.
//!
//! kubeadm finds them on the node, makes none itself, and only issues leaves. They are kept in the instance's folder,
//! with keys that only the owner may read. This module does not know the authority for an instance's own servers
//! (`tls`). Next in the flow: `kubeadm` puts them on the first node.

mod authority;
mod bundle;

use std::fmt;

use crate::files::FileError;

use crate::error::Hint;

pub use authority::Authority;
pub use bundle::Bundle;

/// Text that is never printed: `Debug` and `Display` show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for files and libraries that need it.
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

/// Why a cluster has no authorities.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or a certificate could not be made.
    #[error("make {what}")]
    Make {
        /// `the authority 'acme kubernetes'`.
        what: String,
        /// The library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// A file or folder cannot be used.
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
