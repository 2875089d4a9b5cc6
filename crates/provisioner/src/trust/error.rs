//! Why the host's trust cannot be changed, and what to do about it.

use std::io;

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::exec::CommandError;
use crate::files::FileError;

/// Why the host's trust cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Nobody knows where this distribution keeps trust anchors.
    #[error("{path} names no distribution whose trust store is known")]
    UnknownHost {
        /// Where it says what it is.
        path: Utf8PathBuf,
    },
    /// The distribution's program failed, and the anchor is as it was before.
    #[error("make the change of {path} known to this host; the file is as it was before")]
    Update {
        /// The anchor.
        path: Utf8PathBuf,
        /// What the program said.
        #[source]
        source: CommandError,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Hint for TrustError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownHost { .. } => Some(
                "Debian, Ubuntu, Alpine, Fedora, RHEL, Arch and SUSE are known; elsewhere, hand the authority's \
                 file to each program, as in `curl --cacert`"
                    .to_owned(),
            ),
            Self::Update { .. } => Some("correct what the program complains about, then try again".to_owned()),
            Self::File(error) if error.source.kind() == io::ErrorKind::NotFound => {
                Some("the package that makes this folder is missing: ca-certificates".to_owned())
            }
            Self::File(error) => error.hint(),
        }
    }
}
