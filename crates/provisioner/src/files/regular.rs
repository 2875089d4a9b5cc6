//! Reads regular files only. Anything else in a file's place is refused before it is opened.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;
use rustix::fs::OFlags;

use super::{FileError, Unfit, failed};

/// The largest file that is read, in bytes: far larger than any kubeconfig and any hosts file with a block list.
const LARGEST: u64 = 256 << 20;

/// The metadata of a regular file, links followed; `None` when it does not exist, also behind a dangling link.
///
/// # Errors
/// [`FileError`], with [`Unfit::NotRegular`] for anything but a regular file.
pub fn regular(path: &Utf8Path) -> Result<Option<Metadata>, FileError> {
    let look = || match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        there => regular_only(there?).map(Some),
    };
    look().map_err(failed("read", path))
}

/// Opens a regular file for reading; `None` when it does not exist.
///
/// # Errors
/// As for [`regular`]; also when the file cannot be opened.
pub fn open(path: &Utf8Path) -> Result<Option<File>, FileError> {
    // Checked before it is opened: opening a device or a pipe may block or have an effect.
    if regular(path)?.is_none() {
        return Ok(None);
    }
    let open = || match without_waiting(File::options().read(true)).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => {
            let file = file?;
            regular_only(file.metadata()?)?; // the path may lead to another file by now
            Ok(Some(file))
        }
    };
    open().map_err(failed("read", path))
}

/// The contents of a regular file; `None` when it does not exist.
///
/// # Errors
/// As for [`open`]; also when the file cannot be read, and with [`Unfit::TooLarge`] above 256 MiB.
pub fn read(path: &Utf8Path) -> Result<Option<Vec<u8>>, FileError> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    read_all(&mut file).map(Some).map_err(failed("read", path))
}

/// As [`read`], as text.
///
/// # Errors
/// As for [`read`]; also when the contents are not UTF-8.
pub fn read_text(path: &Utf8Path) -> Result<Option<String>, FileError> {
    let text = |bytes| String::from_utf8(bytes).map_err(|error| failed("read", path)(no_text(error)));
    read(path)?.map(text).transpose()
}

pub(super) fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > LARGEST {
        return Err(Unfit::TooLarge(LARGEST).into());
    }
    Ok(contents)
}

pub(super) fn regular_only(there: Metadata) -> io::Result<Metadata> {
    if there.is_file() { Ok(there) } else { Err(Unfit::of(there.file_type()).into()) }
}

/// Flags with which an open does not block, should a pipe or a terminal have taken the file's place since the check.
pub(super) fn without_waiting(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed())
}

/// The error for contents that are not UTF-8. It quotes nothing of the file: a kubeconfig holds private keys.
fn no_text(error: std::string::FromUtf8Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.utf8_error())
}
