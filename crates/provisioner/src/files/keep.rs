//! Copies everything but the contents from a file to the new file that replaces it: owner, mode, access control list
//! and the other extended attributes (xattr(7)).

use std::ffi::CStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// The kernel's limit for a list of names and for a value, in bytes (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LARGEST: usize = 64 << 10;

/// Gives the new file everything of the old one but its contents.
///
/// # Errors
/// When something cannot be kept, such as another user's ownership without root.
pub(super) fn all(old: &File, about: &Metadata, new: &File) -> io::Result<()> {
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (about.uid(), about.gid()) {
        fchown(new, Some(about.uid()), Some(about.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(about.mode() & 0o7777))?;
    // Last, because an access control list includes the mode and more.
    attributes(old, new)
}

fn attributes(old: &File, new: &File) -> io::Result<()> {
    let mut names = vec![0; LARGEST];
    let length = match flistxattr(old, names.as_mut_slice()) {
        Err(Errno::NOTSUP) => return Ok(()), // a file system without extended attributes
        length => length?,
    };
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
        let (theirs, ours) = (value(old, name)?, value(new, name)?);
        if let Some(theirs) = theirs.filter(|theirs| ours.as_ref() != Some(theirs)) {
            fsetxattr(new, name, &theirs, XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn value(file: &File, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; LARGEST];
    match fgetxattr(file, name, value.as_mut_slice()) {
        Err(Errno::NODATA) => Ok(None),
        length => {
            value.truncate(length?);
            Ok(Some(value))
        }
    }
}
