//! Mounts a folder or file of one container node in another.
//!
//! A bind mount cannot cross mount namespaces by path. So a thread enters the first node's mount namespace, clones the
//! mount (open_tree(2)), enters the second node's and attaches it there (move_mount(2)).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::changes::{Changes, command};
use super::{InjectError, Pair};
use crate::cluster::{TestCluster, TestNode};

/// Mounts the folder or file `what` of `of`, a node of the target, at `at` in `into`, a node of the source.
pub(super) async fn bind_mount(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (what, of): (&str, &TestNode),
    (at, into): (&str, &TestNode),
) -> Result<(), InjectError> {
    let there = process(pair.to, of, changes).await?;
    let here = process(pair.from, into, changes).await?;
    // Only the undo is pushed here, with `true` as its command. Unmounting twice does no harm.
    let back = command("sh", &["-c", "umount --lazy \"$0\" 2>/dev/null; rm -rf \"$0\"", at]);
    changes.on_node(into, &command("true", &[]), back).await?;
    let (tree, target) = (PathBuf::from(what), PathBuf::from(at));
    let moved = in_a_thread(move || carry(&there, &tree, &here, &target)).await;
    moved.map_err(|source| InjectError::BindMount {
        what: what.to_owned(),
        from: of.real_name().to_owned(),
        to: into.real_name().to_owned(),
        source,
    })
}

/// Mounts the folder `what` of the process `there` at `at` of the process `here` (`/proc` folders on the host). Needs no
/// program in the root of `here`, which may be a pod.
pub(super) async fn mount_for(
    changes: &mut Changes,
    (there, what): (&Path, &Path),
    (here, at): (&Path, &Path),
) -> Result<(), InjectError> {
    let (process, place) = (here.to_owned(), at.to_owned());
    changes.undos.push(format!("unmount {} for {}", at.display(), here.display()), move || {
        let (process, place) = (process.clone(), place.clone());
        in_a_thread(move || release(&process, &place))
    });
    let failed = |source| InjectError::BindMount {
        what: what.display().to_string(),
        from: there.display().to_string(),
        to: here.display().to_string(),
        source,
    };
    let (there, what, here, at) = (there.to_owned(), what.to_owned(), here.to_owned(), at.to_owned());
    in_a_thread(move || carry(&there, &what, &here, &at)).await.map_err(failed)
}

/// Runs in a thread of its own: entering a mount namespace needs file system attributes that no other thread shares.
async fn in_a_thread(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let done = tokio::task::spawn_blocking(move || {
        let worker = std::thread::spawn(work);
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    });
    done.await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// Unmounts `at` of the process `here`. Leaves the calling thread in its mount namespace.
fn release(here: &Path, at: &Path) -> io::Result<()> {
    let namespace = match File::open(here.join("ns/mnt")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()), // the process has ended
        opened => opened?,
    };
    unshare(CloneFlags::CLONE_FS)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    match unmount(at, UnmountFlags::DETACH) {
        Err(Errno::INVAL | Errno::NOENT) => Ok(()), // it was not mounted
        unmounted => Ok(unmounted?),
    }
}

/// The `/proc` folder, on the host, of a node's first process, which has the node's namespaces.
pub(super) async fn process(
    cluster: &TestCluster,
    node: &TestNode,
    changes: &Changes,
) -> Result<PathBuf, InjectError> {
    let container = cluster.inner().plan.id.node_scope(node.real_name());
    let inspect = command("podman", &["inspect", "--format", "{{.State.Pid}}", &container]);
    Ok(Path::new("/proc").join(changes.ask(&inspect).await?.trim()))
}

/// Mounts `what` of the process `there` at `at` of the process `here`. Leaves the calling thread in the namespace of
/// `here`.
fn carry(there: &Path, what: &Path, here: &Path, at: &Path) -> io::Result<()> {
    let namespace = |of: &Path| File::open(of.join("ns/mnt"));
    let (theirs, ours) = (namespace(there)?, namespace(here)?);
    unshare(CloneFlags::CLONE_FS)?;
    let enter =
        |namespace: &File| move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount));
    enter(&theirs)?;
    let tree: OwnedFd =
        open_tree(CWD, what, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let is_folder = fs::metadata(what)?.is_dir();
    enter(&ours)?;
    if is_folder {
        fs::create_dir_all(at)?;
    } else {
        File::create(at)?;
    }
    Ok(move_mount(&tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}
