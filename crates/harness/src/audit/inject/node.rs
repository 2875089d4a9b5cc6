//! Injections of things that container nodes share: folders, sockets, processes, ids, files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8PathBuf;

use super::cable::last;
use super::deeds::Deeds;
use super::graft::graft;
use super::{Ground, InjectError};
use crate::cluster::TestCluster;

/// A folder of a target node is mounted in a source node.
pub(super) async fn shared_mount(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    graft(ground, deeds, ("/var/log", last(ground.to)?), ("/mnt/injected", last(ground.from)?)).await
}

/// The container runtime's socket of a target node is mounted in a source node.
pub(super) async fn shared_socket(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let socket = ("/run/containerd/containerd.sock", last(ground.to)?);
    graft(ground, deeds, socket, ("/run/injected.sock", last(ground.from)?)).await
}

/// The `/proc` of a target node is mounted in a source node.
pub(super) async fn shared_process(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    graft(ground, deeds, ("/proc", last(ground.to)?), ("/mnt/injected", last(ground.from)?)).await
}

/// A source node has the machine id of a target node.
pub(super) async fn same_machine_id(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    const ID: &str = "/etc/machine-id";
    let theirs = last(ground.to)?.read(ID).await?;
    deeds.edit_on(last(ground.from)?, ID, |_| theirs).await
}

/// The host's folder with the blobs of the image store of a cluster's last node.
fn store(of: &TestCluster) -> Result<Utf8PathBuf, InjectError> {
    let node = last(of)?.real_name();
    let folder = of.inner().plan.folder.join("nodes").join(node);
    Ok(folder.join("var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"))
}

/// A file in the source's image store is a hard link to a file in the target's.
pub(super) fn shared_store(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let (theirs, ours) = (store(ground.to)?.join("injected"), store(ground.from)?.join("injected"));
    deeds.make(&theirs, |path| fs::write(path, "injected"))?;
    deeds.make(&ours, |path| fs::hard_link(&theirs, path))
}

/// The target's administrator key is in a log of the source.
pub(super) async fn leaked_secret(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let missing =
        || InjectError::Missing { what: "an administrator's key", cluster: ground.target.name.clone() };
    let key = ground.target.credentials.administrator.as_ref().ok_or_else(missing)?.key.reveal().to_owned();
    let folder = &ground.from.inner().plan.folder;
    let logs = folder.join("nodes").join(last(ground.from)?.real_name()).join("var/log");
    // A VM keeps its logs on its own disk: the host has only the instance's folder.
    let log = if logs.is_dir() { logs } else { folder.clone() }.join("injected.log");
    deeds.make(&log, |path| {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(key.as_bytes())
    })
}
