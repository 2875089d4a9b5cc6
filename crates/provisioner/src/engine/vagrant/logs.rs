//! Copies the logs of a VM to the host while the VM runs.

use std::io;
use std::time::Duration;

use camino::Utf8Path;

use crate::exec::Command;
use crate::files::FileError;
use crate::node::Node;

use super::super::EngineError;

/// Packs `/var/log`. Files that change or disappear meanwhile are packed as far as tar could read them; tar then exits
/// with 1 (tar(1), "Return value").
const PACK: &str =
    "tar --create --directory=/var/log --exclude=./journal --ignore-failed-read . || [ $? -eq 1 ]";

/// Copies a node's `/var/log` into a folder, without the journal, which is not text.
pub(super) async fn collect(node: &Node, into: &Utf8Path) -> Result<(), EngineError> {
    let pack = Command::within(Duration::from_secs(60), "sh").args(["-c", PACK]);
    let what = "fetch the logs";
    let packed = node.run(&pack).await.map_err(|source| EngineError::Ask { what, source })?.stdout;
    let folder = into.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || unpack(&packed, &folder));
    let unpacked = unpacked.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    unpacked
        .map_err(|source| EngineError::File(FileError { attempt: "write", path: into.to_owned(), source }))
}

/// Unpacks folders and regular files, but no links: on a client's node they point wherever the client wants.
fn unpack(packed: &[u8], folder: &Utf8Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut archive = tar::Archive::new(packed);
    archive.set_preserve_permissions(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_dir() {
            entry.unpack_in(folder)?;
        }
    }
    Ok(())
}
