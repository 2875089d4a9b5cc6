//! Errors of changes to the host's trust store, with hints.

use std::io;

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::exec::CommandError;
use crate::files::FileError;

/// Why the host's trust store cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The trust store of this distribution is not known.
    #[error("the distribution in {path} has no trust store that homelab knows")]
    UnknownHost {
        /// `/etc/os-release`.
        path: Utf8PathBuf,
    },
    /// The distribution's program failed, and the anchor is as it was before.
    #[error("update the host's trust store after a change of {path}; the file is as it was before")]
    Update {
        /// The anchor.
        path: Utf8PathBuf,
        /// The failure of the program.
        #[source]
        source: CommandError,
    },
    /// A file or folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Hint for TrustError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownHost { .. } => Some(
                "Debian, Ubuntu, Alpine, Fedora, RHEL, Arch and SUSE are known; on other hosts, pass the \
                 authority's file to each program, as in `curl --cacert FILE`"
                    .to_owned(),
            ),
            Self::Update { .. } => Some("correct the program's error, then repeat the command".to_owned()),
            Self::File(error) if error.source.kind() == io::ErrorKind::NotFound => {
                Some("install the package ca-certificates, which makes this folder".to_owned())
            }
            Self::File(error) => error.hint(),
        }
    }
}
