//! Files, mounts and devices of the target in a node or pod of the source.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8PathBuf;

use super::leak::{FileForm, Place};
use super::proof::token;
use super::spot::{Inside, Spot, node};
use crate::audit::inject::bind_mount::{bind_mount, mount_for, process};
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::device::loop_device;
use crate::audit::inject::{InjectError, Pair};
use crate::cluster::{TestCluster, TestNode};

/// The folder of the secrets on a control plane.
const KUBERNETES: &str = "/etc/kubernetes";

/// Removes everything in a folder that is on the folder's own file system, and the folder.
fn remove(top: &str) -> provisioner::exec::Command {
    command("sh", &["-c", "test ! -e \"$0\" || find \"$0\" -xdev -delete", top])
}

/// Makes the folders above a place on a node.
async fn make_folders(changes: &mut Changes, at: &Place, on: &TestNode) -> Result<(), InjectError> {
    let make = command("sh", &["-c", "mkdir -p \"$(dirname \"$0\")\"", &at.to_string()]);
    changes.on_node(on, &make, remove(&at.top())).await
}

/// The path on the host of a file on a node's disk: in `/var`, or in the upper folder of the overlay over `/etc`.
fn on_host(of: &TestCluster, on: &TestNode, path: &str) -> Utf8PathBuf {
    let folder = of.inner().plan.folder.join("nodes").join(on.real_name());
    match path.strip_prefix("/etc/") {
        Some(rest) => folder.join("overlays/etc/upper").join(rest),
        None => folder.join(path.trim_start_matches('/')),
    }
}

/// A secret of the target's first node gets to the source's first node.
pub(super) async fn file(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (secret, form, at): (&str, FileForm, &Place),
) -> Result<(), InjectError> {
    let (ours, theirs) = (node(pair.from, 0)?, node(pair.to, 0)?);
    let secret = format!("{KUBERNETES}/{secret}");
    make_folders(changes, at, ours).await?;
    let place = at.to_string();
    let write = command("sh", &["-c", "cat > \"$0\"", &place]);
    match form {
        FileForm::Copy => {
            ours.run(&write.input(theirs.read(&secret).await?)).await?;
        }
        FileForm::Base64 { before, width } => {
            let noise: Vec<u8> = (0..before).map(|place| b'a' + (place % 26) as u8).collect();
            let all = [&noise[..], theirs.read(&secret).await?.as_bytes(), b"\nand more\n"].concat();
            ours.run(&write.input(lines(&STANDARD.encode(all), width))).await?;
        }
        FileForm::HardLink => {
            let (from, to) = (on_host(pair.to, theirs, &secret), on_host(pair.from, ours, &place));
            changes.make(&to, |path| fs::hard_link(&from, path))?;
        }
        FileForm::BindMount => bind_mount(pair, changes, (&secret, theirs), (&place, ours)).await?,
    }
    Ok(())
}

/// The text in lines of this width; 0 leaves it in one line. Pure.
fn lines(text: &str, width: u8) -> String {
    if width == 0 {
        return text.to_owned();
    }
    let lines = text.as_bytes().chunks(usize::from(width)).map(String::from_utf8_lossy);
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whether the source's first node can read the secret, by its SHA-256 on both nodes.
pub(super) async fn file_is_there(
    pair: &Pair<'_>,
    (secret, form, at): (&str, FileForm, &Place),
) -> Result<Option<String>, InjectError> {
    const PART: &str = "base64 -d \"$0\" 2>/dev/null | tail -c \"+$1\" | head -c \"$2\" | sha256sum; true";
    const WHOLE: &str = "sha256sum < \"$0\"";
    let (ours, theirs) = (Inside::node(pair.from, 0)?, Inside::node(pair.to, 0)?);
    let secret = format!("{KUBERNETES}/{secret}");
    let place = at.to_string();
    let expected = theirs.run(WHOLE, &[&secret]).await?;
    let found = match form {
        FileForm::Base64 { before, .. } => {
            let size = theirs.run("wc -c < \"$0\"", &[&secret]).await?;
            ours.run(PART, &[&place, &(before + 1).to_string(), &size]).await?
        }
        _ => ours.run("sha256sum 2>/dev/null < \"$0\"; true", &[&place]).await?,
    };
    Ok((found == expected).then(|| {
        let digest = expected.get(..16).unwrap_or(&expected);
        format!(
            "{place} of {} and {secret} of {} have the SHA-256 {digest}…",
            ours.node.name(),
            theirs.node.name()
        )
    }))
}

/// The network namespace, and so the pod, in which something is mounted; the first node without one.
async fn mounted_in(pair: &Pair<'_>, in_pod: Option<Spot>) -> Result<Inside, InjectError> {
    Inside::at(pair, pair.from, in_pod.unwrap_or(Spot { node: 0, pod: None })).await
}

/// A folder of the target's first node is mounted in a node or a pod of the source.
pub(super) async fn mount(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (what, in_pod, at): (&str, Option<Spot>, &Place),
) -> Result<(), InjectError> {
    let theirs = node(pair.to, 0)?;
    if in_pod.is_none() {
        let ours = node(pair.from, 0)?;
        make_folders(changes, at, ours).await?;
        return bind_mount(pair, changes, (what, theirs), (&at.to_string(), ours)).await;
    }
    let there = process(pair.to, theirs, changes).await?;
    let here = mounted_in(pair, in_pod).await?.process(pair, pair.from).await?;
    // The folders are removed from the host, once the mount is gone.
    let top = format!("{}/root{}", here.display(), at.top());
    changes.on_host(&command("true", &[]), remove(&top)).await?;
    mount_for(changes, (&there, Path::new(what)), (&here, Path::new(&at.to_string()))).await
}

/// Whether the folder is mounted, by its device and inode on both sides.
pub(super) async fn mount_is_there(
    pair: &Pair<'_>,
    (what, in_pod, at): (&str, Option<Spot>, &Place),
) -> Result<Option<String>, InjectError> {
    let changes = Changes::on(pair);
    let there = process(pair.to, node(pair.to, 0)?, &changes).await?;
    let here = mounted_in(pair, in_pod).await?.process(pair, pair.from).await?;
    let inode = async |path: String| {
        let stat = ["-c", "stat --dereference --format=%d:%i \"$0\" 2>/dev/null; true", &path];
        Ok::<_, InjectError>(changes.ask(&command("sh", &stat)).await?.trim().to_owned())
    };
    let expected = inode(format!("{}/root{what}", there.display())).await?;
    let found = inode(format!("{}/root{at}", here.display())).await?;
    let is_open = !expected.is_empty() && expected == found;
    Ok(is_open.then(|| format!("{at} and {what} of {} are device and inode {found}", pair.to.name())))
}

/// The name of the file behind the device, in `/var` of the target's first node.
fn image(name: &str) -> String {
    format!("{name}.img")
}

/// A block device over a file of the target's first node, at a place of the source's first node.
pub(super) async fn device(
    pair: &Pair<'_>,
    changes: &mut Changes,
    at: &Place,
    name: &str,
) -> Result<(), InjectError> {
    let (ours, theirs) = (node(pair.from, 0)?, node(pair.to, 0)?);
    make_folders(changes, at, ours).await?;
    loop_device(pair, changes, (theirs, &image(name)), (ours, &at.to_string())).await
}

/// Whether the source's first node reads through the device what the target's first node has just written to the file.
pub(super) async fn device_reads(
    pair: &Pair<'_>,
    at: &Place,
    name: &str,
) -> Result<Option<String>, InjectError> {
    const WRITE: &str =
        "test ! -e \"$1\" || { printf '%s\\n' \"$0\" | dd of=\"$1\" conv=notrunc,fsync 2>/dev/null; }; true";
    const READ: &str =
        "dd if=\"$0\" iflag=direct bs=4096 count=1 2>/dev/null | head --lines=1 | tr -d '\\0'; true";
    let (ours, theirs) = (Inside::node(pair.from, 0)?, Inside::node(pair.to, 0)?);
    let token = token();
    let file = format!("/var/{}", image(name));
    theirs.run(WRITE, &[&token, &file]).await?;
    let read = ours.run(READ, &[&at.to_string()]).await?;
    Ok((read == token).then(|| {
        format!("{} wrote a token to {file}, and {} read it from {at}", theirs.node.name(), ours.node.name())
    }))
}
