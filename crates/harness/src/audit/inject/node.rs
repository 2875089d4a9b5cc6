//! Injections of things that container nodes share: folders, sockets, processes, ids, files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8PathBuf;

use super::bind_mount::bind_mount;
use super::cable::last;
use super::changes::Changes;
use super::{InjectError, Pair};
use crate::cluster::TestCluster;

/// A folder of a target node is mounted in a source node.
pub(super) async fn shared_mount(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    bind_mount(pair, changes, ("/var/log", last(pair.to)?), ("/mnt/injected", last(pair.from)?)).await
}

/// The container runtime's socket of a target node is mounted in a source node.
pub(super) async fn shared_socket(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let socket = ("/run/containerd/containerd.sock", last(pair.to)?);
    bind_mount(pair, changes, socket, ("/run/injected.sock", last(pair.from)?)).await
}

/// The `/proc` of a target node is mounted in a source node.
pub(super) async fn shared_process(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    bind_mount(pair, changes, ("/proc", last(pair.to)?), ("/mnt/injected", last(pair.from)?)).await
}

/// A source node has the machine id of a target node.
pub(super) async fn same_machine_id(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const ID: &str = "/etc/machine-id";
    let theirs = last(pair.to)?.read(ID).await?;
    changes.edit_on(last(pair.from)?, ID, |_| theirs).await
}

/// The host's folder with the blobs of the image store of a cluster's last node.
fn store(of: &TestCluster) -> Result<Utf8PathBuf, InjectError> {
    let node = last(of)?.real_name();
    let folder = of.inner().plan.folder.join("nodes").join(node);
    Ok(folder.join("var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"))
}

/// A file in the source's image store is a hard link to a file in the target's.
pub(super) fn shared_store(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (theirs, ours) = (store(pair.to)?.join("injected"), store(pair.from)?.join("injected"));
    changes.make(&theirs, |path| fs::write(path, "injected"))?;
    changes.make(&ours, |path| fs::hard_link(&theirs, path))
}

/// The target's administrator key is in a log of the source.
pub(super) async fn leaked_secret(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let missing =
        || InjectError::Missing { what: "an administrator's key", cluster: pair.target.name.clone() };
    let key = pair.target.credentials.administrator.as_ref().ok_or_else(missing)?.key.reveal().to_owned();
    let folder = &pair.from.inner().plan.folder;
    let logs = folder.join("nodes").join(last(pair.from)?.real_name()).join("var/log");
    // A VM keeps its logs on its own disk: the host has only the instance's folder.
    let log = if logs.is_dir() { logs } else { folder.clone() }.join("injected.log");
    changes.make(&log, |path| {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(key.as_bytes())
    })
}
