//! Network namespaces by name: made, entered and removed without `unsafe`.
//!
//! Bind mounts in a folder of homelab keep them, not in `/run/netns`: that belongs to `ip netns`, which remounts it on
//! first use. A thread that enters a namespace is not a thread of the runtime and ends afterwards, so that no other
//! task runs in the wrong network.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::FabricError;

/// The folder of the bind mounts that keep namespaces.
const FOLDER: &str = "/run/homelab/netns";

/// The path of a namespace's bind mount, for `podman --network ns:<path>` and `nsenter --net=<path>`.
pub fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// Makes a namespace; its loopback is down. A namespace that exists stays as it is.
pub(super) async fn make(name: &str) -> Result<(), FabricError> {
    let pin = path(name);
    let made = on_thread(move || {
        if is_pinned(&pin) {
            return Ok(());
        }
        fs::create_dir_all(FOLDER)?;
        File::create(&pin)?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(mount_bind("/proc/thread-self/ns/net", &pin)?)
    });
    made.await.map_err(failed("make", name))
}

/// Runs `work` on a thread in a namespace.
pub(super) async fn within<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FabricError> {
    let pin = path(name);
    let done = on_thread(move || {
        let namespace = File::open(&pin)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    });
    done.await.map_err(failed("enter", name))
}

/// Removes the name of a namespace, if it exists. The kernel removes the namespace when its last process has left it.
pub(super) async fn remove(name: &str) -> Result<(), FabricError> {
    let pin = path(name);
    let removed = on_thread(move || {
        match unmount(&pin, UnmountFlags::DETACH) {
            // EINVAL: the file is not a mount point, since a process was killed between the file and its mount.
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    });
    removed.await.map_err(failed("remove", name))
}

/// The names of all namespaces of ours.
pub(super) fn list() -> io::Result<Vec<String>> {
    match fs::read_dir(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

/// Whether a namespace is mounted at this path. A file that a crash left without its mount is no namespace.
fn is_pinned(pin: &str) -> bool {
    const NSFS_MAGIC: u64 = 0x6e73_6673; // linux/magic.h
    Path::new(pin).exists()
        && rustix::fs::statfs(pin).is_ok_and(|answer| answer.f_type.cast_unsigned() == NSFS_MAGIC)
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        let _entered = runtime.enter(); // netlink sockets register with the runtime that drives them
        // If the receiver was cancelled, the work is done and its result is dropped.
        let _ = sender.send(work());
    })?;
    receiver.await.map_err(io::Error::other)?
}

fn failed(attempt: &'static str, name: &str) -> impl FnOnce(io::Error) -> FabricError {
    let name = name.to_owned();
    move |source| FabricError::Namespace { attempt, name, source }
}
