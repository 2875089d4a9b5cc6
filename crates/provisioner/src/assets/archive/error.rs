//! Why assets could not be exported or imported.

use std::io;

use camino::Utf8Path;

use crate::error::Hint;

use super::FORMAT;

/// Why assets could not be exported or imported. After a failed import, the cache is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("{file} is no file of `homelab assets export`: {why}")]
    Foreign {
        /// Which file.
        file: String,
        /// What it is instead, as far as it can be told.
        why: String,
    },
    /// It was written by a program with another idea of the format.
    #[error("{file} has format {found}, written by homelab {theirs}; this homelab reads format {FORMAT}")]
    Format {
        /// Which file.
        file: String,
        /// Its format.
        found: u32,
        /// The version of the program that wrote it.
        theirs: String,
    },
    /// Its programs do not run here.
    #[error("{file} is for {theirs} processors; this host has {}", std::env::consts::ARCH)]
    Architecture {
        /// Which file.
        file: String,
        /// Theirs.
        theirs: String,
    },
    /// It has been made by another recipe: nodes of this program are not started from it.
    #[error(
        "{file} is of another recipe: homelab {theirs} made {has}; this homelab, {}, needs {needs}",
        env!("CARGO_PKG_VERSION")
    )]
    Recipe {
        /// Which file.
        file: String,
        /// The version of the program that wrote it.
        theirs: String,
        /// What it has: `root/0123456789abcdef`.
        has: String,
        /// What would be needed.
        needs: String,
    },
    /// It ends too early, or was changed where it is packed.
    #[error("read {file} at {entry}: it is truncated or damaged")]
    Damaged {
        /// Which file.
        file: String,
        /// The last entry that was begun.
        entry: String,
        /// What was noticed.
        #[source]
        source: io::Error,
    },
    /// An entry is not what was exported.
    #[error("{file} is damaged: {entry} is not what was exported")]
    Changed {
        /// Which file.
        file: String,
        /// Which entry.
        entry: String,
    },
    /// An entry of the list is not there.
    #[error("{file} is incomplete: it lacks {entry}")]
    Missing {
        /// Which file.
        file: String,
        /// Which entry.
        entry: String,
    },
    /// There is more than what was exported.
    #[error("{file} has more than was exported: {entry}")]
    Extra {
        /// Which file.
        file: String,
        /// Which entry.
        entry: String,
    },
    /// An entry that would do harm. It was not unpacked.
    #[error("{file} is refused: {entry} {why}")]
    Unsafe {
        /// Which file.
        file: String,
        /// Which entry.
        entry: String,
        /// What it would do.
        why: &'static str,
    },
    /// A file of the cache, or the export itself.
    #[error("{attempt} {path}")]
    File {
        /// `read`, `write` …
        attempt: &'static str,
        /// Which.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Whoever asked for it does not wait any more.
    #[error("stopped")]
    Stopped,
}

impl Hint for ArchiveError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { .. } => Some("`homelab assets export FILE` writes one".to_owned()),
            Self::Format { .. } | Self::Recipe { .. } => {
                Some("export it with the same version of homelab, or `homelab assets build` here".to_owned())
            }
            Self::Architecture { .. } => {
                Some("`homelab assets build` makes them for this processor".to_owned())
            }
            Self::Damaged { .. } | Self::Changed { .. } | Self::Missing { .. } | Self::Extra { .. } => {
                Some("copy it again: `sha256sum` must print what `assets export` printed".to_owned())
            }
            Self::Unsafe { .. } => Some("do not trust where this file came from".to_owned()),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("`homelab assets prune` removes what no node uses".to_owned())
            }
            Self::File { .. } | Self::Stopped => None,
        }
    }
}

/// Context for an error of the file system.
pub(super) fn failed(
    attempt: &'static str,
    path: impl AsRef<Utf8Path>,
) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.as_ref().to_string();
    move |source| ArchiveError::File { attempt, path, source }
}
