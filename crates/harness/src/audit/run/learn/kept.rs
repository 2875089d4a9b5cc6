//! The files that the host keeps of an instance.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::home::Home;
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

/// The files that the host keeps of an instance: its folder with all that its container nodes have written, the events,
/// and the evidence of its failures. The images that all nodes share are read-only layers outside of that folder. The
/// user's merged kubeconfig is left out, because it has the keys of all instances by design.
pub(super) fn all(home: &Home, folder: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    walk(folder.to_owned(), &mut files)?;
    walk(home.events(), &mut files)?;
    let evidence = home.root().join("evidence");
    for entry in there(evidence.read_dir_utf8())?.into_iter().flatten() {
        let entry = entry?;
        if folder.file_name().is_some_and(|instance| is_evidence(entry.file_name(), instance)) {
            walk(entry.into_path(), &mut files)?;
        }
    }
    Ok(files)
}

/// Whether a folder has evidence of this instance: `acme-20261121T120000Z` is evidence of `acme`,
/// `acme-1-20261121T120000Z` is not. Pure.
fn is_evidence(name: &str, instance: &str) -> bool {
    let time = name.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
    time.is_some_and(|time| !time.contains('-'))
}

/// Adds all regular files and symbolic links at and below a path. Links are not followed: their targets are found by
/// themselves, or are not ours. Files that vanish meanwhile, such as rotated logs, are skipped.
pub(super) fn walk(start: Utf8PathBuf, files: &mut Vec<Utf8PathBuf>) -> io::Result<()> {
    let mut left = vec![start];
    while let Some(path) = left.pop() {
        let Some(meta) = there(fs::symlink_metadata(&path))? else { continue };
        if meta.is_file() || meta.is_symlink() {
            files.push(path);
        } else if meta.is_dir() {
            for entry in there(path.read_dir_utf8())?.into_iter().flatten() {
                left.push(entry?.into_path());
            }
        }
    }
    Ok(())
}

/// `None` for a file that does not exist.
pub(super) fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The values of a file's extended attributes of the kind `user` (xattr(7)). Empty on a file system without such attributes.
pub(super) fn attributes(path: &Utf8Path) -> io::Result<Vec<Vec<u8>>> {
    const LARGEST: usize = 64 << 10; // XATTR_LIST_MAX and XATTR_SIZE_MAX
    let mut list = vec![0; LARGEST];
    let length = match llistxattr(path.as_std_path(), &mut list) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let names = list[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    let value = |name: &[u8]| {
        let mut value = vec![0; LARGEST];
        let length = lgetxattr(path.as_std_path(), name, &mut value).ok()?;
        value.truncate(length);
        Some(value)
    };
    Ok(names.filter_map(value).collect())
}
