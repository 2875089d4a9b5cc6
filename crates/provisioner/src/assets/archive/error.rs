//! Errors of exports and imports, with hints.

use std::io;

use camino::Utf8Path;

use crate::error::Hint;

use super::FORMAT;

/// Why assets could not be exported or imported. After a failed import, the cache is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file is not an export.
    #[error("{file} was not written by `homelab assets export`: {why}")]
    Foreign {
        /// The file, or `-`.
        file: String,
        /// The reason, as a sentence: `it is not gzipped`.
        why: String,
    },
    /// The file has another version of the format.
    #[error("{file} has format {found}, written by homelab {theirs}; this homelab reads format {FORMAT}")]
    Format {
        /// The file.
        file: String,
        /// The version of its format.
        found: u32,
        /// The version of the program that wrote it.
        theirs: String,
    },
    /// The file's programs do not run on this host's processor.
    #[error("{file} is for {theirs} processors; this host has {}", std::env::consts::ARCH)]
    Architecture {
        /// The file.
        file: String,
        /// The file's architecture: `aarch64`.
        theirs: String,
    },
    /// The file was made from another recipe, so nodes of this program are not started from its artefacts.
    #[error(
        "{file} is of another recipe: homelab {theirs} made {has}; this homelab, {}, needs {needs}",
        env!("CARGO_PKG_VERSION")
    )]
    Recipe {
        /// The file.
        file: String,
        /// The version of the program that wrote it.
        theirs: String,
        /// The artefact in the file: `root/0123456789abcdef`.
        has: String,
        /// The artefact that this program needs in its place.
        needs: String,
    },
    /// The file ends too early, or its gzip or tar data was changed.
    #[error("read {file} at {entry}: it is truncated or damaged")]
    Damaged {
        /// The file.
        file: String,
        /// The last entry that was begun.
        entry: String,
        /// The reader's error.
        #[source]
        source: io::Error,
    },
    /// An entry does not have the checksum in the list.
    #[error("{file} is damaged: {entry} is not what was exported")]
    Changed {
        /// The file.
        file: String,
        /// The entry's path.
        entry: String,
    },
    /// An entry of the list is not in the file.
    #[error("{file} is incomplete: {entry} is missing")]
    Missing {
        /// The file.
        file: String,
        /// The entry's path.
        entry: String,
    },
    /// The file has an entry that is not in the list, an artefact that is not in the recipe, or bytes after its end.
    #[error("{file} has more than was exported: {entry}")]
    Extra {
        /// The file.
        file: String,
        /// The entry's path.
        entry: String,
    },
    /// An entry could do harm. It was not unpacked.
    #[error("{file} is refused: {entry} {why}")]
    Unsafe {
        /// The file.
        file: String,
        /// The entry's path.
        entry: String,
        /// The reason, as the end of a sentence: `leads out of its folder`.
        why: &'static str,
    },
    /// A file of the cache, or the exported file, cannot be read or written.
    #[error("{attempt} {path}")]
    File {
        /// `read`, `write` …
        attempt: &'static str,
        /// The path, or a name such as `standard output`.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The caller no longer waits for the work.
    #[error("stopped")]
    Stopped,
}

impl Hint for ArchiveError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { .. } => Some("`homelab assets export FILE` writes one".to_owned()),
            Self::Format { .. } | Self::Recipe { .. } => Some(
                "export it with the same version of homelab, or `sudo homelab assets build` here".to_owned(),
            ),
            Self::Architecture { .. } => {
                Some("`sudo homelab assets build` makes them for this processor".to_owned())
            }
            Self::Damaged { .. } | Self::Changed { .. } | Self::Missing { .. } | Self::Extra { .. } => Some(
                "copy it again: `sha256sum` must print the checksum that `assets export` printed".to_owned(),
            ),
            Self::Unsafe { .. } => Some("do not import files from the source of this file".to_owned()),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("`sudo homelab assets prune` removes what no node uses".to_owned())
            }
            Self::File { .. } | Self::Stopped => None,
        }
    }
}

/// Makes an [`ArchiveError`] of a file system's error, for `map_err`.
pub(super) fn failed(
    attempt: &'static str,
    path: impl AsRef<Utf8Path>,
) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.as_ref().to_string();
    move |source| ArchiveError::File { attempt, path, source }
}
