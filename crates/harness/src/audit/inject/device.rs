//! The injection of a device: a loop device over a file of a target's node, which a source's node can use.

use std::fs;

use super::bind_mount::process;
use super::cable::last;
use super::changes::{Changes, command};
use super::{InjectError, Pair};
use crate::cluster::TestNode;

/// The device node on the source's node.
const DEVICE: &str = "/dev/injected";
/// The size of the file, in bytes.
const SIZE: u64 = 1 << 20;

/// A node of the source gets a loop device over a file of a node of the target.
pub(super) async fn injected(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (theirs, ours) = (last(pair.to)?, last(pair.from)?);
    loop_device(pair, changes, (theirs, "injected.img"), (ours, DEVICE)).await
}

/// A file in `/var` of a target's node becomes a loop device; the source's node gets a device node for it at `at`, and
/// its cgroup allows to use it. cgroup v2 decides by a program that cannot be changed: there the device node is the whole
/// injection.
pub(super) async fn loop_device(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (theirs, name): (&TestNode, &str),
    (ours, at): (&TestNode, &str),
) -> Result<(), InjectError> {
    let folder = pair.to.inner().plan.folder.join("nodes").join(theirs.real_name());
    let file = folder.join("var").join(name);
    changes.make(&file, |path| fs::File::create(path)?.set_len(SIZE))?;
    let detach = "for device in $(losetup --noheadings --output NAME --associated \"$0\"); do \
                  losetup --detach \"$device\"; done";
    let attach = command("losetup", &["--find", file.as_str()]);
    changes.on_host(&attach, command("sh", &["-c", detach, file.as_str()])).await?;
    let ask = ["--noheadings", "--output", "MAJ:MIN", "--associated", file.as_str()];
    let number = changes.ask(&command("losetup", &ask)).await?.trim().to_owned();
    let missing = || InjectError::Missing { what: "a loop device", cluster: pair.target.name.clone() };
    let (major, minor) = number.split_once(':').ok_or_else(missing)?;

    let path = process(pair.from, ours, changes).await?.join("cgroup");
    let failed = |source| InjectError::File { path: path.display().to_string(), source };
    for group in groups(&fs::read_to_string(&path).map_err(failed)?) {
        let write = |verb: &str| {
            let file = format!("/sys/fs/cgroup/devices{group}/devices.{verb}");
            command("sh", &["-c", "echo \"$1\" > \"$0\"", &file, &format!("b {number} rwm")])
        };
        changes.on_host(&write("allow"), write("deny")).await?;
    }
    let make = command("mknod", &[at, "b", major, minor]);
    changes.on_node(ours, &make, command("rm", &["-f", at])).await
}

/// The cgroups of a node's processes in the hierarchy of devices, and of the container around them, the outer one
/// first; none with cgroup v2. `text` is a process's `/proc/<pid>/cgroup`. Pure.
fn groups(text: &str) -> Vec<&str> {
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let is_it = fields.next()?.split(',').any(|controller| controller == "devices");
        is_it.then(|| fields.next()).flatten()
    });
    let around = path.and_then(|path| path.rsplit_once('/')).map(|(around, _)| around);
    around.into_iter().chain(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_two_cgroups_of_devices_and_none_with_version_2() {
        let text =
            "6:freezer:/libpod_parent/libpod-0a/node\n5:devices:/libpod_parent/libpod-0a/node\n0::/x/node\n";
        assert_eq!(groups(text), ["/libpod_parent/libpod-0a", "/libpod_parent/libpod-0a/node"]);
        assert_eq!(groups("0::/machine.slice/libpod-0a.scope/node/init\n"), [""; 0]);
    }
}
