//! Injections of things that container nodes share: folders, sockets, processes, ids, files.

use std::fs;

use camino::Utf8PathBuf;
use provisioner::kubernetes::ADMIN;

use super::bind_mount::bind_mount;
use super::cable::last;
use super::changes::{Changes, command};
use super::control::plane;
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

/// The target's kubeconfig of the administrator is in a folder of a source node.
pub(super) async fn leaked_secret(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const FOLDER: &str = "/opt/injected";
    let config = plane(pair.to)?.read(ADMIN).await?;
    let write = format!("umask 077; mkdir -p {FOLDER}/one && cat > {FOLDER}/one/two");
    let write = command("sh", &["-c", &write]).input(config);
    changes.on_node(last(pair.from)?, &write, command("rm", &["-rf", FOLDER])).await
}
