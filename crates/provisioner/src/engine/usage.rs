//! Finds the processes that use a folder. The kernel's records decide, not names or labels.
//!
//! A container has the folders of its volumes mounted, and the process of a VM has the file of its disk open. The check
//! comes right before a folder is removed, when the instance's own nodes are gone.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use camino::Utf8Path;

/// The programs that run VMs, by the beginning of their names (proc_pid_comm(5)).
const HYPERVISORS: [&str; 2] = ["qemu-system", "VBoxHeadless"];

/// The processes that use a folder or something in it: it is mounted in a mount namespace other than ours, or it is the
/// disk of a VM. For each mount namespace, one process stands for all. Only root sees the processes of other users. A
/// folder that does not exist has no users.
pub(crate) async fn users_of(folder: &Utf8Path) -> Vec<String> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || look(&folder)).await.unwrap_or_default()
}

fn look(folder: &Utf8Path) -> Vec<String> {
    let Ok(folder) = folder.canonicalize_utf8() else { return Vec::new() };
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let place = place(&text, folder.as_std_path());
    let mut seen: HashSet<PathBuf> = fs::read_link("/proc/self/ns/mnt").into_iter().collect();
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { continue };
        let is_mounted = seen.insert(namespace) && {
            let text = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
            place.as_ref().is_some_and(|place| mounts(&text).any(|mount| mount.is_in(place)))
        };
        if is_mounted || is_disk(&process, folder.as_std_path()) {
            users.push(told(&process));
        }
    }
    users.sort();
    users
}

/// Whether a process runs a VM and has a file in the folder open.
fn is_disk(process: &Path, folder: &Path) -> bool {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    HYPERVISORS.iter().any(|program| name.starts_with(program)) && {
        let mut files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.any(|file| fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder)))
    }
}

/// A process and its container, if it is in one: `process 4711 (sh) of container 0123456789ab`.
fn told(process: &Path) -> String {
    let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
    let pid = process.file_name().unwrap_or_default().to_string_lossy();
    let container = container(&read("cgroup")).map(|id| format!(" of container {id}")).unwrap_or_default();
    format!("process {pid} ({}){container}", read("comm").trim())
}

/// The first twelve digits of a container's id, which podman, docker and containerd put into the name of its cgroup.
/// `cgroup` is the text of `/proc/<pid>/cgroup`. Pure.
fn container(cgroup: &str) -> Option<String> {
    let words = cgroup.split(|c: char| !c.is_ascii_alphanumeric());
    let id = words
        .into_iter()
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some(id[..12].to_owned())
}

/// A mount: the folder `root` of the file system `device` is mounted at `point` (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// `major:minor`
    device: String,
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Whether the mount shows this folder or something in it.
    fn is_in(&self, place: &Place) -> bool {
        self.device == place.device && self.root.starts_with(&place.root)
    }
}

/// A folder, named by its file system and its path there. Unlike a path, this is the same in all mount namespaces.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    device: String,
    root: PathBuf,
}

/// All mounts of a namespace, from the text of its `mountinfo`. Pure.
fn mounts(text: &str) -> impl Iterator<Item = Mount> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(2);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Mount {
            device: device.to_owned(),
            root: unescaped(root).into(),
            point: unescaped(point).into(),
        })
    })
}

/// The file system of a path, and its folder there. The innermost mount that contains the path decides; of several at
/// one mount point, the last. Pure.
fn place(text: &str, folder: &Path) -> Option<Place> {
    let around = mounts(text).filter(|mount| folder.starts_with(&mount.point));
    let mount = around.max_by_key(|mount| mount.point.components().count())?;
    let below = folder.strip_prefix(&mount.point).ok()?;
    Some(Place { root: mount.root.join(below), device: mount.device })
}

/// Decodes a path: the kernel writes spaces, tabs, line breaks and backslashes as octal numbers. Pure.
fn unescaped(text: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 /data /srv/my\\040data rw shared:2 - ext4 /dev/sda2 rw
31 22 0:40 / /run rw - tmpfs tmpfs rw
";

    #[test]
    fn a_folder_is_found_by_the_innermost_mount() {
        let at = |path: &str| place(HOST, Path::new(path)).map(|place| (place.device, place.root));
        assert_eq!(at("/home/ada"), Some(("8:1".to_owned(), "/home/ada".into())));
        assert_eq!(at("/srv/my data/lab"), Some(("8:2".to_owned(), "/data/lab".into())));
    }

    #[test]
    fn a_mount_of_the_folder_or_below_it_counts_and_one_of_a_parent_does_not() {
        let place = place(HOST, Path::new("/home/ada/lab")).unwrap();
        let counts = |line: &str| mounts(line).any(|mount| mount.is_in(&place));
        assert!(counts("50 49 8:1 /home/ada/lab/nodes/acme-main/var /var rw - ext4 /dev/sda1 rw"));
        assert!(counts("50 49 8:1 /home/ada/lab /mnt rw - ext4 /dev/sda1 rw"));
        assert!(!counts("50 49 8:1 /home/ada /mnt rw - ext4 /dev/sda1 rw"), "a home shared with a container");
        assert!(!counts("50 49 8:1 /home/ada/laboratory /mnt rw - ext4 /dev/sda1 rw"));
        assert!(!counts("50 49 8:2 /home/ada/lab /mnt rw - ext4 /dev/sda2 rw"), "another file system");
    }

    #[test]
    fn a_container_is_recognised_by_its_cgroup() {
        let id = "0123456789ab".repeat(5) + "cdef";
        for cgroup in [
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
            format!("12:pids:/libpod_parent/libpod-{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
        ] {
            assert_eq!(container(&cgroup).as_deref(), Some("0123456789ab"));
        }
        assert_eq!(container("0::/user.slice/session-1.scope\n"), None);
    }
}
