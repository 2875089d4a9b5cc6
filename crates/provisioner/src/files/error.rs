//! Why a file cannot be read or changed, and what to do about it.

use std::fs::FileType;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::Hint;

/// Why a file or folder cannot be used. The modules' own errors wrap it.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {path}")]
pub struct FileError {
    /// The attempt: `read`, `write`, `lock`, `remove`, `make folder` …
    pub attempt: &'static str,
    /// The file or folder.
    pub path: Utf8PathBuf,
    /// The system's answer, or an [`Unfit`].
    #[source]
    pub source: io::Error,
}

/// A reason for which homelab refuses a file: the system would accept the file, or its error does not name the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Reading it may never end, and replacing it would destroy it.
    #[error("it is a {0}, and only regular files are read and changed")]
    NotRegular(&'static str),
    /// An open file that has been removed, named by a descriptor below /proc.
    #[error("it leads to a removed file, which has no name any more and cannot be replaced")]
    Nameless,
    /// A symbolic link to a file that cannot be made, because the file's folder is missing.
    #[error("it is a symbolic link to {0}, whose folder is missing")]
    Dangling(Utf8PathBuf),
    /// Larger than any file that homelab is meant to read. The limit is in bytes.
    #[error("it is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// File attribute `i`, chattr(1).
    #[error("it is immutable (file attribute i)")]
    Immutable,
    /// File attribute `a`, chattr(1).
    #[error("it can only be appended to (file attribute a)")]
    AppendOnly,
}

impl Unfit {
    /// Names the type of a file that is not regular.
    pub(super) fn of(file_type: FileType) -> Self {
        let is = [
            (file_type.is_dir(), "folder"),
            (file_type.is_char_device(), "character device"),
            (file_type.is_block_device(), "block device"),
            (file_type.is_fifo(), "named pipe"),
            (file_type.is_socket(), "socket"),
        ];
        Self::NotRegular(is.into_iter().find_map(|(is, name)| is.then_some(name)).unwrap_or("special file"))
    }
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        let kind = match unfit {
            Unfit::NotRegular("folder") => ErrorKind::IsADirectory,
            Unfit::NotRegular(_) | Unfit::Nameless => ErrorKind::InvalidInput,
            Unfit::Dangling(_) => ErrorKind::NotFound,
            Unfit::TooLarge(_) => ErrorKind::FileTooLarge,
            Unfit::Immutable | Unfit::AppendOnly => ErrorKind::PermissionDenied,
        };
        Self::new(kind, unfit)
    }
}

impl FileError {
    /// The reason that lies in the file itself; `None` for an error of the system.
    pub fn unfit(&self) -> Option<&Unfit> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Whether the path leads to something other than a regular file with a name. Such a thing holds nothing of ours.
    pub fn is_not_regular(&self) -> bool {
        matches!(self.unfit(), Some(Unfit::NotRegular(_) | Unfit::Nameless))
    }
}

impl Hint for FileError {
    fn hint(&self) -> Option<String> {
        let path = &self.path;
        if let Some(unfit) = self.unfit() {
            return match unfit {
                Unfit::NotRegular(_) | Unfit::Nameless | Unfit::TooLarge(_) => None,
                Unfit::Dangling(to) => Some(format!("make the folder of {to}, or remove the link {path}")),
                Unfit::Immutable => Some(format!("`chattr -i {path}` makes it changeable")),
                Unfit::AppendOnly => Some(format!("`chattr -a {path}` makes it changeable")),
            };
        }
        let kind = self.source.kind();
        if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return Some(format!("make room on the disk that holds {path}"));
        }
        (kind == ErrorKind::ReadOnlyFilesystem)
            .then(|| format!("the file system that holds {path} is mounted read-only: mount it read-write"))
    }
}

/// Makes a [`FileError`] of a file system's error, for `map_err`.
pub fn failed(attempt: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError { attempt, path, source }
}
